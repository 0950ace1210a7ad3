"""How much of the exact answers live recalls returned, as a value that clients share."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_AUDITED = 30
"""Audited recalls below which nothing is concluded from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFigures:
    """What the last audits of the served index found.

    Attributes:
        recall: Mean over recalls of the share of the exact results that were returned.
        low: Lower end of its 95% bootstrap interval over recalls.
        high: The upper end.
        num_recalls: Recalls that this is of: the last ones, of the present base.
        num_audited: Recalls audited since the server started.
        last_time: When the last one was, in seconds since 1970.
    """

    recall: float
    low: float
    high: float
    num_recalls: int
    num_audited: int
    last_time: float
