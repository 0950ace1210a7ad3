"""Whether a history of reads and writes on several servers is one that a single catalogue can give.

Sequence numbers put all writes in one order. That order must fit time: a write that began after another was
acknowledged comes after it, and no two take the same number. An answer names the write it reflects, at least the one it
was asked for, and on one server never one before that of an earlier answer. Of every item it must show the last write
up to there, or a later one that had been sent before the answer came.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from heapq import heappop, heappush
from typing import TypeAlias

from history import ABSENT, PRESENT, History, Read, Write


class Kind(StrEnum):
    """What is wrong."""

    STALE_READ = "stale read"
    LOST_WRITE = "lost write"
    RESURRECTED_DELETE = "resurrected delete"
    NEVER_WRITTEN = "never written"
    WRONG_ORDER = "wrong order"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that no single catalogue gives."""

    kind: Kind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What an item was from one write on."""

    sequence: int
    start: float
    version: int


_States: TypeAlias = Mapping[str, Sequence[_State]]


def problems(history: History) -> list[Problem]:
    """Returns everything that is wrong with a history.

    A stale read shows an older write than it must; where no answer at all shows the one it must, that write is lost.
    """
    # A deletion of nothing takes no number; it stands behind the write whose number it shows.
    writes = sorted(history.writes, key=lambda write: (write.sequence, write.count == 0))
    states = _states(history.initial, writes)
    return [*_write_order(history.initial, writes), *_read_order(history), *_values(history.reads, states)]


def _states(initial: Mapping[str, int], writes: Sequence[Write]) -> _States:
    states = {i: [_State(sequence=0, start=-math.inf, version=v)] for i, v in initial.items()}
    for write in writes:
        for item_id, version in write.versions.items():
            states[item_id].append(_State(sequence=write.sequence, start=write.start, version=version))
    return states


def _write_order(initial: Mapping[str, int], writes: Sequence[Write]) -> Iterator[Problem]:
    """Yields what is wrong with the numbers of writes, which are sorted by them, and with how much they changed."""
    versions = dict(initial)
    last, latest_start = 0, -math.inf
    for write in writes:
        name = f"the write {write.sequence} of {sorted(write.versions)} on {write.server}"
        if write.count and write.sequence - write.count < last:
            text = f"{name} took {write.count} numbers, and another ends with {last}"
            yield Problem(kind=Kind.WRONG_ORDER, message=text)
        if write.end < latest_start:
            text = f"{name} was acknowledged before another began that has a lower number"
            yield Problem(kind=Kind.WRONG_ORDER, message=text)
        wanted = sum(v != ABSENT or versions[item_id] != ABSENT for item_id, v in write.versions.items())
        if write.count != wanted:
            text = f"{name} changed {write.count} items instead of {wanted}"
            yield Problem(kind=Kind.LOST_WRITE, message=text)
        versions |= write.versions
        last, latest_start = max(last, write.sequence), max(latest_start, write.start)


def _read_order(history: History) -> Iterator[Problem]:
    """Yields answers that reflect less than they were asked to, or than an earlier answer of the same server."""
    replies: dict[str, list[tuple[float, int]]] = {}  # when it had come, and what it reflects
    reached: dict[str, int] = {}
    operations: list[Read | Write] = [*history.reads, *history.writes]
    for operation in sorted(operations, key=lambda one: one.start):
        server, sequence = operation.server, operation.sequence
        before = replies.setdefault(server, [])
        while before and before[0][0] < operation.start:
            reached[server] = max(reached.get(server, 0), heappop(before)[1])
        if sequence is not None:
            heappush(before, (operation.end, sequence))
        if sequence is None or isinstance(operation, Write):
            continue
        wanted = max(operation.min_sequence, reached.get(server, 0))
        if sequence < wanted:
            asked = f"{operation.min_sequence} was asked for, {reached.get(server, 0)} were shown before"
            yield Problem(kind=Kind.STALE_READ, message=f"{server} reflects only {sequence} writes, {asked}")


def _values(reads: Sequence[Read], states: _States) -> Iterator[Problem]:
    wrong: list[tuple[Read, str, _State]] = []
    confirmed: set[tuple[str, int]] = set()
    for read in reads:
        reflected = read.min_sequence if read.sequence is None else read.sequence
        for item_id, seen in read.seen.items():
            position = bisect_right(states[item_id], reflected, key=lambda state: state.sequence) - 1
            least, *later = states[item_id][position:]
            if _shows(seen, least.version):
                confirmed.add((item_id, least.sequence))
            elif not any(state.start < read.end and _shows(seen, state.version) for state in later):
                wrong.append((read, item_id, least))
    for read, item_id, least in wrong:
        seen = read.seen[item_id]
        kind = _kind(seen, least, states[item_id], is_confirmed=(item_id, least.sequence) in confirmed)
        must, at = f"version {least.version} of write {least.sequence}", f"at write {read.sequence} of {read.server}"
        yield Problem(kind=kind, message=f"item {item_id!r} {at} is version {seen} instead of {must} or a later one")


def _kind(seen: int, least: _State, states: Sequence[_State], *, is_confirmed: bool) -> Kind:
    if not any(_shows(seen, state.version) for state in states if state.sequence < least.sequence):
        return Kind.LOST_WRITE if seen == ABSENT else Kind.NEVER_WRITTEN
    if least.version == ABSENT:
        return Kind.RESURRECTED_DELETE
    return Kind.STALE_READ if is_confirmed else Kind.LOST_WRITE


def _shows(seen: int, version: int) -> bool:
    """Returns whether what was seen of an item is this version."""
    return version != ABSENT if seen == PRESENT else seen == version
