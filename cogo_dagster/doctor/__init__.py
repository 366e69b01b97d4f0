"""`cogo doctor`: whether what these settings use works, and what to do where it does not."""
