"""Errors that the recall system raises; each message names the value seen, the place and the cure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class RecallError(Exception):
    """Base of every error of this package."""


class ConfigError(RecallError):
    """A configuration file or value cannot be used."""


class DataError(RecallError):
    """A data folder breaks the contract of its tables."""


class ArtifactError(RecallError):
    """A model artifact is missing, damaged or of another format."""


class TrainingError(RecallError):
    """Training cannot go on."""


class CatalogError(RecallError):
    """A catalogue file is missing, damaged or of another format."""


class DamagedRowError(CatalogError):
    """A row of a catalogue is damaged; the message names the item or user."""


class CatalogBusyError(CatalogError):
    """Another process holds the write lock of a catalogue for too long."""


class CatalogFullError(CatalogError):
    """There is no room left for a write to a catalogue."""


class BackupError(RecallError):
    """A backup cannot be made where it should be, or is damaged, or is no backup."""


class BusyError(RecallError):
    """Another process does the same job on the same folder."""


class NotReadyError(RecallError):
    """There is nothing to serve with yet, or the request does not match what is served."""


class NotFoundError(RecallError):
    """A named item is not stored."""


class TooLargeError(RecallError):
    """A request exceeds a limit of the server."""


class UnavailableError(RecallError):
    """The server is starting or stopping; try again."""


class OverloadedError(UnavailableError):
    """The server has as many calls as it takes and refused this one without looking at it; try again later."""


class QuotaError(RecallError):
    """The token has used up its requests for now."""

    def __init__(self, message: str, *, retry_seconds: float = 0.0) -> None:
        """Keeps after how many seconds the next request can be taken; 0 where that is not known."""
        self.retry_seconds = retry_seconds
        super().__init__(message)


class UnauthenticatedError(RecallError):
    """The call carries no token that the server knows."""


class PermissionDeniedError(RecallError):
    """The token does not allow this call."""


class DeadlineError(RecallError):
    """What was asked for cannot be reached in time."""


def text_for_logs(error: Exception) -> str:
    """Returns what an error says, without the id of an item or user, which belongs into no log."""
    return "a row of an item or user is damaged" if isinstance(error, DamagedRowError) else str(error)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldViolation:
    """One thing wrong with one field of a request.

    Attributes:
        field: Path of the field, for example `items[3].features.title`.
        description: The value seen, the value wanted and the cure.
    """

    field: str
    description: str


class InvalidRequestError(RecallError):
    """A request has one or more invalid fields; all of them are listed."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        """Keeps the violations and joins them into the message."""
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in self.violations))
