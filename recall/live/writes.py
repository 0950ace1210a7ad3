"""Writes and what came of them, as frozen values without any wire or table in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestKey:
    """Names one request to write, so that a repeat of it is known.

    Attributes:
        request_id: What the caller calls it.
        digest: Of method and content.
    """

    request_id: str
    digest: bytes


class WarningCode(StrEnum):
    """What a caller should know that did not stop a write."""

    UNKNOWN_FEATURE = "UNKNOWN_FEATURE"
    LOW_INFORMATION = "LOW_INFORMATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteWarning:
    """One remark about one item or one user of a write; the other id is empty.

    `code` is a `WarningCode`, or one that only a newer server knows.
    """

    item_id: str = ""
    code: str
    message: str
    user_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What one write did in the catalogue.

    Attributes:
        sequence: Number of its last change; of the last write before it where it changed nothing.
        count: How much it changed: items, users or events.
        model_id: Model that was served.
        warnings: Remarks, in the order of the items.
        is_repeat: Whether this is what an earlier request of the same id did.
    """

    sequence: int
    count: int
    model_id: str = ""
    warnings: tuple[WriteWarning, ...] = ()
    is_repeat: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """An upsert that is durable and visible.

    Attributes:
        sequence: Every search from now on reflects all writes up to this one.
        model_id: Model that embedded the items.
        warnings: Remarks, in the order of the items or users.
    """

    sequence: int
    model_id: str
    warnings: tuple[WriteWarning, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteResult:
    """A delete that is durable and visible.

    Attributes:
        sequence: Every search from now on reflects all writes up to this one.
        model_id: Model that is served.
        num_deleted: How many of the ids were stored.
    """

    sequence: int
    model_id: str
    num_deleted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordResult:
    """Events that are durable and visible.

    Attributes:
        sequence: Every recall from now on reflects all writes up to this one.
        model_id: Model that is served.
        num_recorded: How many of the events were not stored before.
    """

    sequence: int
    model_id: str
    num_recorded: int
