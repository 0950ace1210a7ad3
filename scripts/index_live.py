"""Live indexes that the benchmark measures: one base with more and more written to it, and what exact search finds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from index import bitmap
from index.flat import FlatIndex
from index.hnsw import GRAPH, HnswIndex, HnswParameters
from index.live import LiveIndex
from index.protocols import FloatArray
from index.topk import best
from index_data import K, VectorSet, clustered_queries
from index_rivals import SHORT_EF, Setting

FRESH_STREAM = 2
"""Of the random numbers of what is written: apart from those of the queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How much was written to a base.

    Attributes:
        name: In the names of ratios.
        fresh: New items.
        deleted: Share of the base that was deleted.
    """

    name: str
    fresh: int
    deleted: float


def states(num_rows: int) -> tuple[Written, ...]:
    """Returns what is measured: nothing written, then 0.4% and 4% of the rows (2,000 and 20,000 of 500,000)."""
    few, many = max(num_rows // 250, 1), max(num_rows // 25, 1)
    return (
        Written(name="live", fresh=0, deleted=0.0),
        Written(name="live_2k_fresh", fresh=few, deleted=0.01),
        Written(name="live_20k_fresh", fresh=many, deleted=0.05),
    )


def graph_of(data: VectorSet, raw: Path) -> HnswIndex:
    """Returns our graph kind over the very links of a graph that FAISS wrote, so that both walk one graph."""
    folder = data.folder / "shared"
    folder.mkdir(exist_ok=True)
    writer = faiss.FileIOWriter(str(folder / GRAPH))
    faiss.write_index(faiss.read_index(str(raw)), writer, faiss.IO_FLAG_SKIP_STORAGE)
    del writer  # which closes the file
    return HnswIndex.load(folder, data.vectors, HnswParameters(threads=1))


class LiveState:
    """A live index to which something was written, searched with any candidate list; a `Built` of the benchmarks."""

    def __init__(self, data: VectorSet, base: HnswIndex, written: Written, *, seed: int = 0) -> None:
        """Writes new items under ids that lie anywhere between those of the base, and deletes some of the base."""
        self._data, self._base = data, base
        num_rows, dim = data.vectors.shape
        rng = np.random.default_rng([seed, written.fresh])
        self._item_ids = [f"{row:08}" for row in range(num_rows)]
        self._deleted = rng.choice(num_rows, round(written.deleted * num_rows), replace=False)
        self._fresh_ids = [
            f"{row:08}-{place}" for place, row in enumerate(rng.integers(num_rows, size=written.fresh).tolist())
        ]
        self._fresh = clustered_queries(written.fresh, dim, stream=FRESH_STREAM)
        self._searched: dict[tuple[int, int], LiveIndex] = {}

    @property
    def num_queries(self) -> int:
        """Queries that recall is of."""
        return len(self._data.queries)

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns the lengths of the candidate list."""
        return {"ef": SHORT_EF}

    def live(self, setting: Setting, *, threads: int) -> LiveIndex:
        """Returns the index with a candidate list."""
        key = (setting["ef"], threads)
        if key not in self._searched:
            base = self._base.retuned(ef_search=setting["ef"], threads=threads)
            live = LiveIndex(self._item_ids, self._data.vectors, base, sequence=0)
            gone = [self._item_ids[row] for row in self._deleted]
            live.apply(self._fresh_ids, self._fresh, deleted=gone, sequence=1)
            self._searched[key] = live
        return self._searched[key]

    def at(self, setting: Setting, *, threads: int) -> Any:
        """Returns the search: item ids and scores, as a server has them."""
        return self.live(setting, threads=threads).search

    def save(self, folder: Path) -> None:
        """Writes nothing: made anew each time."""

    def floors(self) -> FloatArray:
        """Returns the score of the last of the exact 100 of each query, [num_queries] float32."""
        rows = self._data.vectors.shape[0]
        alive = np.ones(rows, dtype=np.bool_)
        alive[self._deleted] = False
        base = FlatIndex(self._data.vectors).search(self._data.queries, K, allowed=bitmap.from_mask(alive))
        if not len(self._fresh):
            return np.ascontiguousarray(base.scores[:, -1])
        fresh = FlatIndex(self._fresh).search(self._data.queries, K)
        joined = np.concatenate((base.scores, fresh.scores), axis=1)
        return np.array([best(np.arange(line.size), line, K)[1][-1] for line in joined], dtype=np.float32)

    def recall(self, setting: Setting, floors: FloatArray) -> float:
        """Returns the share of the exact 100 that is found; scores are exact, so a floor says which these are."""
        hits = self.live(setting, threads=1).search(self._data.queries, K)
        return float(np.mean([(one.scores >= floor).sum() / K for one, floor in zip(hits, floors, strict=True)]))


def least_setting(state: LiveState, target: float) -> Setting | None:
    """Returns the shortest candidate list that reaches a recall, None where none does."""
    floors = state.floors()
    place = bisect_left(SHORT_EF, target, key=lambda ef: state.recall({"ef": ef}, floors))
    return {"ef": SHORT_EF[place]} if place < len(SHORT_EF) else None
