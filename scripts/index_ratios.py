"""The ratios that the index benchmark promises, from what was measured on one set."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from index_contenders import GRAPH, THEIRS
from index_run import OUR_GRAPH, OUR_LSH
from kept import Json

PQ = "index ivf_pq"
HIGH, LOW = 0.98, 0.95
"""Recalls@100 at which graphs, and the other kinds, are compared."""


def ratios(result: Json) -> dict[str, float]:
    """Returns those whose both sides were measured, by name; see `scripts/benchmark_index.py`."""
    return dict(pair for made in (_speeds, _memory, _inserts, _quantised) for pair in made(result))


def _speeds(result: Json) -> Iterator[tuple[str, float]]:
    ours, raw = _entry(result, _named(OUR_GRAPH), HIGH), _entry(result, _raw_graph, HIGH)
    if ours and raw:
        yield "single_over_best_raw", _over(ours, raw)
    lists = _entry(result, _named("faiss IVF"), HIGH)
    if ours and lists:
        yield "single_over_faiss_ivf", _over(ours, lists)
    raw = _entry(result, lambda row: row["contender"].startswith("faiss HNSW"), HIGH, how="batched")
    if ours and raw:
        yield "batched_over_raw_faiss", _over(ours, raw, how="batched")
    lsh = _entry(result, _named(OUR_LSH), LOW)
    theirs: dict[str, tuple[Callable[[Json], bool], float | None]] = {
        "flat": (_named("faiss IndexFlat"), None),
        "faiss_lsh_reranked": (lambda row: row["contender"].startswith("faiss IndexLSH"), LOW),
        "hnsw": (_named("faiss HNSW"), LOW),
    }
    for name, (chosen, target) in theirs.items():
        other = _entry(result, chosen, target)
        if lsh and other:
            yield f"lsh_over_{name}", _over(lsh, other)


def _memory(result: Json) -> Iterator[tuple[str, float]]:
    measured, ours = result["memory"].get(OUR_GRAPH), _entry(result, _named(OUR_GRAPH), LOW)
    if measured and ours:
        least = _vector_bytes(result) + ours["file_bytes"]
        yield "memory_over_vectors_and_graph", (measured["anonymous_bytes"] + measured["mapped_bytes"]) / least


def _inserts(result: Json) -> Iterator[tuple[str, float]]:
    for how in ("single", "hundreds"):
        if result["inserts"].get(f"{how}_microseconds"):
            yield f"lsh_insert_microseconds_{how}", result["inserts"][f"{how}_microseconds"]


def _quantised(result: Json) -> Iterator[tuple[str, float]]:
    measured, pq = result["memory"].get(PQ), _entry(result, _named(PQ), LOW)
    if measured:
        yield "pq_resident_over_vectors", measured["resident_bytes"] / _vector_bytes(result)
        yield "pq_anonymous_over_vectors", measured["anonymous_bytes"] / _vector_bytes(result)
    if pq:
        yield "pq_recall_at_100", pq["recall_at_100"]


def _named(name: str) -> Callable[[Json], bool]:
    return lambda row: bool(row["contender"] == name)


def _raw_graph(row: Json) -> bool:
    return bool(row["side"] == THEIRS and row["family"] == GRAPH)


def _entry(result: Json, chosen: Callable[[Json], bool], target: float | None, *, how: str = "single") -> Json | None:
    """Returns the fastest entrant of those chosen at a target; None where nobody reached it."""
    rows = [row for row in result["duel"]["entrants"] if chosen(row) and row["target"] == target]
    return max(rows, key=lambda row: row[f"{how}_per_second"], default=None)


def _over(ours: Json, theirs: Json, *, how: str = "single") -> float:
    """Returns the median of the ratios of each round."""
    return float(np.median(np.array(ours[f"{how}_rounds"]) / np.array(theirs[f"{how}_rounds"])))


def _vector_bytes(result: Json) -> int:
    return int(4 * result["num_rows"] * result["dim"])
