"""Numbers, times and jobs as text, the same in the terminal and on pages."""
