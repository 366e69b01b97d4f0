"""Errors of an artifact store. The class determines whether to retry."""


class ArtifactStoreError(Exception):
    """Base class; on its own, one upload or download failed and may be retried."""


class ArtifactStoreUnavailable(ArtifactStoreError):
    """The store is unreachable, or rejects every file for now: wait and retry. Unknown errors have this class too."""


class ArtifactRejected(ArtifactStoreError):
    """The store will never accept this file: do not retry."""


class ArtifactNotFound(ArtifactStoreError):
    """The object is not in the store."""


class StoreNotOwned(ArtifactStoreError):
    """The store does not belong to this database alone: nothing is deleted from it."""
