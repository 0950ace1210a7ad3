"""Clients of several servers that record what they write and see.

Writers go on until a server acknowledges; readers take the answer of whichever they ask, or none.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from history import ABSENT, PRESENT, History, Read, Write
from ledger import Change
from recall.client import ItemRecord, RecallClient, RecallQuery
from recall.errors import DeadlineError, NotFoundError, UnavailableError
from servers import Servers

_PAUSE_SECONDS = 0.05
_NUM_CANDIDATES = 40
_FRESH_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class _Answered:
    """A reply's number and count, and which server gave it."""

    server: str
    sequence: int
    count: int


class RecordedWrites:
    """Writes to whichever server there is, with a request id, until one acknowledges."""

    def __init__(self, servers: Servers, history: History, *, seed: int) -> None:
        """Takes where to write and what to record it in."""
        self._servers = servers
        self._history = history
        self._rng = np.random.default_rng(seed)
        self.num_repeats = 0

    def upsert(self, items: Sequence[ItemRecord]) -> None:
        """Inserts or replaces items."""

        def send(client: RecallClient, request_id: str) -> tuple[int, int]:
            return client.upsert(items, request_id=request_id).sequence, len(items)

        self._write({item.item_id: item.features for item in items}, send)

    def delete(self, item_ids: Sequence[str]) -> None:
        """Deletes items."""

        def send(client: RecallClient, request_id: str) -> tuple[int, int]:
            reply = client.delete(item_ids, request_id=request_id)
            return reply.sequence, reply.num_deleted

        self._write(dict.fromkeys(item_ids), send)

    def _write(self, change: Change, send: Callable[[RecallClient, str], tuple[int, int]]) -> None:
        versions, start = self._history.versions(change), time.perf_counter()
        answered = self._acknowledged(send)
        self._history.add_write(
            Write(
                server=answered.server,
                start=start,
                end=time.perf_counter(),
                sequence=answered.sequence,
                count=answered.count,
                versions=versions,
            )
        )

    def _acknowledged(self, send: Callable[[RecallClient, str], tuple[int, int]]) -> _Answered:
        request_id = uuid.uuid4().hex
        while True:
            number = int(self._rng.integers(len(self._servers.names)))
            try:
                return _Answered(self._servers.names[number], *send(self._servers.client(number), request_id))
            except (UnavailableError, DeadlineError):  # whether it was stored is not known: the id makes a repeat safe
                self.num_repeats += 1
                time.sleep(_PAUSE_SECONDS)


class RecordedReads:
    """Asks whichever server there is, most of the time for every write that anybody knows of."""

    def __init__(self, servers: Servers, history: History, *, probe: str, seed: int) -> None:
        """Takes whom to ask, what to record it in, and a stored item that nobody writes, to recall with."""
        self._servers = servers
        self._history = history
        self._probe = probe
        self._rng = np.random.default_rng(seed)
        self.num_unanswered = 0
        self.num_late = 0

    def read_until(self, stop: threading.Event) -> None:
        """Reads until `stop` is set; calls that no server answers are counted, and those that one answers too late.

        Raises:
            RecallError: A read failed otherwise.
        """
        item_ids = sorted(self._history.initial)
        while not stop.is_set():
            number = int(self._rng.integers(len(self._servers.names)))
            asked = [str(item_id) for item_id in self._rng.choice(item_ids, _NUM_CANDIDATES, replace=False)]
            fresh = self._rng.random() < _FRESH_SHARE
            try:
                self.recall(number, asked, fresh=fresh)
                self.get(number, asked[0], fresh=fresh)
            except UnavailableError:
                self.num_unanswered += 1
                time.sleep(_PAUSE_SECONDS)
            except DeadlineError:
                self.num_late += 1

    def recall(self, number: int, asked: Sequence[str], *, fresh: bool) -> None:
        """Recalls with these items as the only candidates."""

        def ask(client: RecallClient, min_sequence: int) -> tuple[int | None, Mapping[str, int]]:
            query = RecallQuery(
                history=(self._probe,), exclude_history=False, limit=len(asked), candidates=tuple(asked)
            )
            result = client.recall(query, min_sequence=min_sequence)
            returned = set(result.item_ids)
            return result.sequence, {item_id: PRESENT if item_id in returned else ABSENT for item_id in asked}

        self._read(number, ask, fresh=fresh)

    def get(self, number: int, item_id: str, *, fresh: bool) -> None:
        """Gets one item, whose features tell its version."""

        def ask(client: RecallClient, min_sequence: int) -> tuple[int | None, Mapping[str, int]]:
            try:
                reply = client.get(item_id, min_sequence=min_sequence)
            except NotFoundError:
                return None, {item_id: ABSENT}
            return reply.sequence, {item_id: self._history.version_of(item_id, reply.item.features)}

        self._read(number, ask, fresh=fresh)

    def _read(
        self, number: int, ask: Callable[[RecallClient, int], tuple[int | None, Mapping[str, int]]], *, fresh: bool
    ) -> None:
        min_sequence, start = self._history.last_sequence if fresh else 0, time.perf_counter()
        sequence, seen = ask(self._servers.client(number), min_sequence)
        self._history.add_read(
            Read(
                server=self._servers.names[number],
                start=start,
                end=time.perf_counter(),
                min_sequence=min_sequence,
                sequence=sequence,
                seen=seen,
            )
        )
