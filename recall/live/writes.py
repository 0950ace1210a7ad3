"""Answers to writes, as frozen values without any wire or table in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class WarningCode(StrEnum):
    """What a caller should know that did not stop a write."""

    UNKNOWN_FEATURE = "UNKNOWN_FEATURE"
    LOW_INFORMATION = "LOW_INFORMATION"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteWarning:
    """One remark about one item of an upsert."""

    item_id: str
    code: WarningCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """An upsert that is durable and visible.

    Attributes:
        sequence: Every search from now on reflects all writes up to this one.
        model_id: Model that embedded the items.
        warnings: Remarks, in the order of the items.
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
