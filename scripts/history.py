"""What clients of several servers wrote and saw, with times, for a check of whether one catalogue can have given it.

Every write of an item leaves a version of its own: features that no other write of the item has, counted from 1. All
times are seconds of one clock, that of the process whose threads the clients are.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from ledger import Change
from recall.live.item_vectors import same_features
from recall.schema import FeatureMap

ABSENT = 0
"""The item is not stored, or not returned."""
PRESENT = -1
"""The item is returned, in which version is not told."""
UNKNOWN = -2
"""The item is stored in a version that nobody wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One write that was acknowledged.

    Attributes:
        server: Which acknowledged it.
        start: When it was first sent, in whichever attempt and to whichever server.
        end: When it was acknowledged.
        sequence: Its last number, by the reply.
        count: How many items it wrote or deleted, by the reply; each took a number.
        versions: What it left of each item, `ABSENT` where it deleted.
    """

    server: str
    start: float
    end: float
    sequence: int
    count: int
    versions: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One answer.

    Attributes:
        server: Which gave it.
        start: When it was asked.
        end: When it had come.
        min_sequence: Which write the asker wanted it to reflect.
        sequence: Which write it claims to reflect; None where it does not say, as that there is no such item.
        seen: What it shows of each item that it was asked about: a version, or one of the names above.
    """

    server: str
    start: float
    end: float
    min_sequence: int
    sequence: int | None
    seen: Mapping[str, int]


class History:
    """Everything that was written and seen; threads may share it."""

    def __init__(self, stored: Change) -> None:
        """Starts with what is known to be stored."""
        self._lock = threading.Lock()
        self._features: dict[str, list[FeatureMap]] = {i: [f] for i, f in stored.items() if f is not None}
        self._last_sequence = 0
        self.initial = {item_id: ABSENT if features is None else 1 for item_id, features in stored.items()}
        """Versions before the first write."""
        self.writes: list[Write] = []
        self.reads: list[Read] = []

    @property
    def last_sequence(self) -> int:
        """Number of the last write that was acknowledged to anybody."""
        return self._last_sequence

    def versions(self, change: Change) -> dict[str, int]:
        """Returns the versions that a write leaves, which is about to be sent."""
        made = {}
        with self._lock:
            for item_id, features in change.items():
                if features is not None:
                    self._features.setdefault(item_id, []).append(features)
                made[item_id] = ABSENT if features is None else len(self._features[item_id])
        return made

    def version_of(self, item_id: str, features: FeatureMap) -> int:
        """Returns which version of an item has these features."""
        with self._lock:
            known = list(self._features.get(item_id, ()))
        matching = (number for number in range(len(known), 0, -1) if same_features(known[number - 1], features))
        return next(matching, UNKNOWN)

    def add_write(self, write: Write) -> None:
        """Adds a write that was acknowledged."""
        with self._lock:
            self.writes.append(write)
            self._last_sequence = max(self._last_sequence, write.sequence)

    def add_read(self, read: Read) -> None:
        """Adds an answer."""
        with self._lock:
            self.reads.append(read)
