"""Types of the documents that the SQL functions return, one module per subject.

A key that the public API does not show is marked `exclude`. A value that no client writes is read as `Unreadable`;
see `queue.tolerant`.
"""
