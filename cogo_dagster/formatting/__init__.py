"""Text for numbers, times and jobs, shared by the command line and the dashboard."""
