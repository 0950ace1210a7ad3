"""The freshness canary: how long after its acknowledgement a write can be retrieved, measured all the time.

One reserved item (`reserved.py`) is written through the same `Ingest` as every other, with features that differ from
the last ones, and then looked for by these features, in the index that answers, until a search returns it in a state
no older than the write. The row is replaced in place, so neither catalogue nor index grows. Each probe is one commit
and takes one sequence number, as any write does.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from index.protocols import SearchOptions
from recall.live.ingest import Ingest
from recall.live.item_vectors import known_features
from recall.live.periodic import Periodic
from recall.live.records import ItemRecord
from recall.live.reserved import CANARY_ID
from recall.live.search_input import described_item
from recall.live.watcher import FAILURES
from recall.schema import FeatureMap, FeatureSpec, FeatureValue

_logger = logging.getLogger(__name__)

BOUNDS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes into which times are counted; longer ones make a last class."""

_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.01
_LIMIT = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryFigures:
    """What the probes since the start found.

    Attributes:
        num_found: Writes that were retrieved.
        num_failed: Those that were not acknowledged, or not retrieved in time.
        counts: How many were retrieved within each of `BOUNDS_SECONDS`, not counting those within a smaller one; last
            how many took longer.
        sum_seconds: All times from acknowledgement to retrieval together.
        last_seconds: The last of them; None before the first.
        last_write_seconds: How long the last acknowledged write took; None before the first.
        last_time: When the last probe ended, in seconds since 1970; None before the first.
        last_error: Why the last probe failed; empty where it did not.
    """

    num_found: int = 0
    num_failed: int = 0
    counts: tuple[int, ...] = (0,) * (len(BOUNDS_SECONDS) + 1)
    sum_seconds: float = 0.0
    last_seconds: float | None = None
    last_write_seconds: float | None = None
    last_time: float | None = None
    last_error: str = ""


class FreshnessCanary:
    """Probes at an interval, in a thread of its own once `start` is called."""

    def __init__(
        self, ingest: Ingest, *, patience_seconds: float = _PATIENCE_SECONDS, pause_seconds: float = _PAUSE_SECONDS
    ) -> None:
        """Takes where to write and search; how long one write is looked for, and the pause between two looks."""
        self._ingest = ingest
        self._patience_seconds = patience_seconds
        self._pause_seconds = pause_seconds
        self._num_probes = 0
        self._closed = False
        self._thread: Periodic | None = None
        self.figures = CanaryFigures()
        """What the probes since the start found, as one value."""

    def start(self, interval_seconds: float) -> None:
        """Begins to probe; the first time after one interval."""
        self._thread = Periodic(self.probe, interval_seconds=interval_seconds, name="recall-canary")

    def close(self, *, timeout_seconds: float) -> None:
        """Ends the thread; waits that long for a probe under way."""
        self._closed = True
        if self._thread is not None:
            self._thread.close(timeout_seconds=timeout_seconds)

    def probe(self) -> None:
        """Writes the item and looks for it until it is found; has one caller at a time."""
        self._num_probes += 1
        try:
            features = probe_features(self._ingest.generation.model.schema.item_features, self._num_probes)
            start = time.perf_counter()
            written = self._ingest.upsert([ItemRecord(item_id=CANARY_ID, features=features)])
            acknowledged = time.perf_counter()
            found = self._is_found(features, written.sequence, until=acknowledged + self._patience_seconds)
        except FAILURES as error:
            self._fail(f"{type(error).__name__}: {error}")
            return
        if found:
            self._count(time.perf_counter() - acknowledged, write_seconds=acknowledged - start)
        elif not self._closed:
            waited = f"{self._patience_seconds:g} s after its acknowledgement"
            self._fail(f"write {written.sequence} of the reserved item was not retrievable {waited}")

    def _is_found(self, features: FeatureMap, sequence: int, *, until: float) -> bool:
        while not self._finds(features, sequence):
            if self._closed or time.perf_counter() >= until:
                return False
            time.sleep(self._pause_seconds)
        return True

    def _finds(self, features: FeatureMap, sequence: int) -> bool:
        moment = self._ingest.generation.at_one_moment()
        known = known_features(moment.model.schema.item_features, features).features
        asked = described_item(moment, CANARY_ID, known, SearchOptions())
        hits = asked.search(moment.index, [0], _LIMIT)[0]
        return moment.index.sequence >= sequence and CANARY_ID in hits.item_ids

    def _count(self, seconds: float, *, write_seconds: float) -> None:
        if self.figures.last_error:
            _logger.info("the freshness canary finds its item again")
        counts = list(self.figures.counts)
        counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.figures = replace(
            self.figures,
            num_found=self.figures.num_found + 1,
            counts=tuple(counts),
            sum_seconds=self.figures.sum_seconds + seconds,
            last_seconds=seconds,
            last_write_seconds=write_seconds,
            last_time=time.time(),
            last_error="",
        )

    def _fail(self, error: str) -> None:
        if error != self.figures.last_error:
            _logger.error("the freshness canary failed: %s", error)
        self.figures = replace(
            self.figures, num_failed=self.figures.num_failed + 1, last_time=time.time(), last_error=error
        )


def probe_features(specs: Sequence[FeatureSpec], number: int) -> FeatureMap:
    """Returns a value for every feature; one probe's are others than those of the probe before."""
    return {spec.name: _value(spec, number % 2) for spec in specs}


def _value(spec: FeatureSpec, parity: int) -> FeatureValue:
    if spec.kind == "number":
        return float(parity)
    if spec.kind == "vector":
        vector = np.full(spec.dim, 1.0 + parity, dtype=np.float32)
        vector.setflags(write=False)
        return vector
    text = f"canary {parity}"
    return (text,) if spec.kind == "set" else text
