"""Jobs that export from Figma: `figma` (a file), `figma.nodes` (parts of it), `figma.images` (renderings of them)."""
