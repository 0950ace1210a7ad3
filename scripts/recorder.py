"""A writer of events, and whether a server holds what it acknowledged of them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recall.client import RecallClient, RecallQuery
from recall.live.records import InteractionRecord

_ITEMS_A_USER = 3


@dataclass(frozen=True, slots=True)
class _Events:
    """All that is ever recorded of one user."""

    user_id: str
    item_ids: tuple[str, ...]


class Recorder:
    """Records that users chose items, one new user after another, with all items of the user in one request."""

    def __init__(self, item_ids: Sequence[str], *, seed: int) -> None:
        """Takes stored items that nobody writes."""
        self._item_ids = item_ids
        self._rng = np.random.default_rng(seed)
        self._acknowledged: list[_Events] = []
        self._in_flight: _Events | None = None
        self._num_users = 0
        self.num_acknowledged = 0

    def write_until(self, stop: threading.Event, client: RecallClient) -> None:
        """Records until `stop` is set.

        Raises:
            RecallError: A request failed; it stays on its way.
        """
        while not stop.is_set():
            chosen = self._rng.choice(self._item_ids, _ITEMS_A_USER, replace=False)
            self._num_users += 1
            events = _Events(f"recorded-{self._num_users}", tuple(map(str, chosen)))
            self._in_flight = events
            client.record([InteractionRecord(user_id=events.user_id, item_id=i, timestamp=1) for i in events.item_ids])
            self._in_flight = None
            self._acknowledged.append(events)
            self.num_acknowledged += 1

    def differences(self, client: RecallClient) -> list[str]:
        """Returns what a server lacks of all that was acknowledged since this was last asked; nobody writes meanwhile.

        A recall leaves out what the user chose, so it tells what is recorded.
        """
        found = []
        for events in self._acknowledged:
            if missing := self._not_recorded(client, events):
                found.append(f"events of {events.user_id!r} with {sorted(missing)} are acknowledged and not reflected")
        if self._in_flight is not None:
            missing = self._not_recorded(client, self._in_flight)
            if 0 < len(missing) < _ITEMS_A_USER:
                found.append(f"an unacknowledged write of {self._in_flight} is stored in part: without {missing}")
        self._acknowledged, self._in_flight = [], None
        return found

    @staticmethod
    def _not_recorded(client: RecallClient, events: _Events) -> set[str]:
        query = RecallQuery(user_id=events.user_id, candidates=events.item_ids, limit=_ITEMS_A_USER)
        return set(client.recall(query).item_ids)
