"""The API: reads as JSON with cursors, and actions for those with the admin token."""
