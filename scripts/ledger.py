"""What was written to a server: what it acknowledged, and what is on its way. And the writers that fill it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from recall.client import ItemRecord
from recall.schema import FeatureMap

Change: TypeAlias = Mapping[str, FeatureMap | None]
"""The features that a write leaves behind, by item id; None where it deletes. A server takes all of it or nothing."""

_MAX_ITEMS_A_WRITE = 5
_DELETE_SHARE = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """What an item must be: its features, or None where it must not be returned."""

    features: FeatureMap | None


class Ledger:
    """What a server must hold. Threads may share it; an item has at most one write on its way."""

    def __init__(self, stored: Change) -> None:
        """Starts with what is known to be stored."""
        self._lock = threading.Lock()
        self._entries = {item_id: Entry(features) for item_id, features in stored.items()}
        self._in_flight: list[Change] = []

    def begin(self, change: Change) -> None:
        """Notes a write before it is sent."""
        with self._lock:
            self._in_flight.append(change)

    def acknowledge(self, change: Change) -> None:
        """Notes that a write was acknowledged, or found to be stored."""
        with self._lock:
            self._in_flight = [other for other in self._in_flight if other is not change]
            self._entries |= {item_id: Entry(features) for item_id, features in change.items()}

    def drop(self, change: Change) -> None:
        """Notes that a write was found not to be stored."""
        with self._lock:
            self._in_flight = [other for other in self._in_flight if other is not change]

    def in_flight(self) -> list[Change]:
        """Returns the writes that are not acknowledged."""
        with self._lock:
            return list(self._in_flight)

    def before(self, change: Change) -> Change:
        """Returns what the items of a write must have been before it."""
        with self._lock:
            return {item_id: self._entries[item_id].features for item_id in change}

    def settled(self, item_ids: Iterable[str] | None = None) -> dict[str, Entry]:
        """Returns what items must be, those left out that have a write on its way; None means all items."""
        with self._lock:
            open_ids = {item_id for change in self._in_flight for item_id in change}
            wanted = self._entries if item_ids is None else item_ids
            return {item_id: self._entries[item_id] for item_id in wanted if item_id not in open_ids}

    def unchanged(self, before: Mapping[str, Entry]) -> dict[str, Entry]:
        """Returns those entries of `before` that no write has touched since."""
        now = self.settled(before)
        return {item_id: entry for item_id, entry in before.items() if now.get(item_id) is entry}


class WriteClient(Protocol):
    """Where writes go: to one server, or to whichever of several there is."""

    def upsert(self, items: Sequence[ItemRecord]) -> object:
        """Inserts or replaces items, all or none."""

    def delete(self, item_ids: Sequence[str]) -> object:
        """Deletes items, all or none."""


class Writer:
    """Upserts and deletes items of its own, a few at a time."""

    def __init__(self, ledger: Ledger, item_ids: Sequence[str], features: Iterator[FeatureMap], *, seed: int) -> None:
        """Takes the only items that it writes, and where their features come from."""
        self._ledger = ledger
        self._item_ids = item_ids
        self._features = features
        self._rng = np.random.default_rng(seed)
        self.num_acknowledged = 0

    def write_until(self, stop: threading.Event, client: WriteClient) -> None:
        """Writes until `stop` is set.

        Raises:
            RecallError: A write failed; it stays on its way.
        """
        while not stop.is_set():
            self._write(client)
            self.num_acknowledged += 1

    def _write(self, client: WriteClient) -> None:
        size = self._rng.integers(1, _MAX_ITEMS_A_WRITE + 1)
        chosen = [str(item_id) for item_id in self._rng.choice(self._item_ids, size, replace=False)]
        if self._rng.random() < _DELETE_SHARE:
            deletion: Change = dict.fromkeys(chosen)
            self._ledger.begin(deletion)
            client.delete(chosen)
            self._ledger.acknowledge(deletion)
            return
        features = {item_id: next(self._features) for item_id in chosen}
        self._ledger.begin(features)
        client.upsert([ItemRecord(item_id=item_id, features=f) for item_id, f in features.items()])
        self._ledger.acknowledge(features)
