"""The numbers behind what others decide, as pure functions."""
