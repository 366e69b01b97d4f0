"""Jobs that export from Figma: `figma` (a file), `figma.nodes` (nodes of it), `figma.images` (rendered nodes)."""
