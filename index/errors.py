"""Errors that the index raises; each message holds the value seen, the value wanted and the place."""


class VectorIndexError(Exception):
    """Base of every error of this package."""


class InvalidVectorError(VectorIndexError):
    """A vector is NaN, infinite, zero or of another dimension."""


class InvalidQueryError(VectorIndexError):
    """A search argument is out of range, for example `k < 1`."""


class InvalidIndexConfigError(VectorIndexError):
    """An index parameter is out of range or of an unknown kind."""


class MissingBackendError(VectorIndexError):
    """An optional library (FAISS) is not installed."""


class SnapshotDamagedError(VectorIndexError):
    """A snapshot part is missing, truncated or fails its checksum."""


class SnapshotMismatchError(VectorIndexError):
    """A snapshot belongs to another catalogue or to another format version."""
