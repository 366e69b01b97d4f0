"""What can go wrong with an artifact store. The class says what to do about it."""


class ArtifactStoreError(Exception):
    """Base of all, and what went wrong with one upload or download: it may be tried again."""


class ArtifactStoreUnavailable(ArtifactStoreError):
    """The store is away, or rejects everything for now: wait and try again. Also the class of unknown errors."""


class ArtifactRejected(ArtifactStoreError):
    """This file can never be stored there: repeating the upload does not help."""


class ArtifactNotFound(ArtifactStoreError):
    """The object is not in the store."""


class StoreNotOwned(ArtifactStoreError):
    """The store is not, or not only, this database's: nothing is deleted from it."""
