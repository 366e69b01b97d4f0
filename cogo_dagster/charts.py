"""Charts as SVG, for pages and for files that are opened by themselves."""
