"""What the engine's SQL functions answer, one type per kind of row, in one module per subject.

A key that the public API does not show is marked `exclude`. A value that no client writes is held as `Unreadable`; see
`queue.tolerant`.
"""
