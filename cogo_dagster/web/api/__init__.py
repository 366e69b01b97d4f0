"""The JSON API: reads with cursors, and actions for operators."""
