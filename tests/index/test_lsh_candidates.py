from __future__ import annotations

import numpy as np
import pytest

from index import bitmap
from index.lsh_candidates import Limits, Memory, candidates
from index.lsh_quantised import Quantised
from index.lsh_tables import Tables
from index.ordering import ordered
from index.topk import best

NUM_ROWS, BITS, TABLES = 500, 3, 6


def _memory(vectors: np.ndarray, buckets: np.ndarray, num_packed: int) -> Memory:
    quantised = Quantised.blank(*vectors.shape)
    quantised.write(vectors, 0)
    tables = Tables.of(buckets[:num_packed], BITS)
    if num_packed < len(buckets):
        tables = tables.with_rows(buckets[num_packed:], num_packed)
    return Memory(
        offsets=tables.offsets.reshape(-1),
        entries=tables.entries.reshape(-1),
        heads=tables.heads.reshape(-1),
        following=tables.following,
        rows=quantised.rows.reshape(-1),
        scales=quantised.scales,
        hits=np.zeros(len(vectors), dtype=np.uint8),
        found=np.empty(len(vectors), dtype=np.int32),
        keys=np.empty(len(vectors), dtype=np.uint64),
    )


@pytest.fixture
def buckets() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 1 << BITS, (NUM_ROWS, TABLES)).astype(np.uint32)


@pytest.mark.parametrize("num_packed", [NUM_ROWS, 300, 0])
@pytest.mark.parametrize("min_hits", [1, 2, 3])
def test_candidates_are_the_rows_with_enough_hits(unit_vectors, buckets, num_packed, min_hits):
    vectors, queries = unit_vectors(NUM_ROWS), unit_vectors(2, seed=1)
    memory = _memory(vectors, buckets, num_packed)
    probed = np.array([[0, 1, 8, 16, 20, 33, 47], [7, 9, 22, 40, 41, 0, 0]])  # table << 3 | bucket
    used = np.array([7, 5])
    allowed = np.arange(NUM_ROWS) % 3 > 0
    for bound, mask in ((NUM_ROWS, None), (350, None), (350, allowed)):
        limits = Limits(
            num_rows=bound,
            allowed=None if mask is None else bitmap.from_mask(mask),
            min_hits=min_hits,
            rerank=NUM_ROWS,
        )
        rows, offsets = candidates(memory, queries, probed, used, limits)
        for query in range(2):
            some = probed[query, : used[query]]
            hits = sum((buckets[:, slot >> BITS] == slot & 7).astype(int) for slot in some)
            wanted = (hits >= min_hits) & (np.arange(NUM_ROWS) < bound) & (True if mask is None else mask)
            assert sorted(rows[offsets[query] : offsets[query + 1]].tolist()) == np.flatnonzero(wanted).tolist()
    assert not memory.hits.any()


@pytest.mark.parametrize("dim", [3, 16, 64, 130])
@pytest.mark.parametrize("num_packed", [NUM_ROWS, 300])
def test_the_best_by_whole_numbers_are_handed_on_wherever_they_lie(buckets, dim, num_packed):
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((NUM_ROWS, dim)).astype(np.float32)
    vectors[100:110] = vectors[7]  # equals: lower rows come first
    query = vectors[7:8] + np.float32(0.1)
    memory = _memory(vectors, buckets, num_packed)
    everything = np.arange(1 << BITS)[None, :]
    limits = Limits(num_rows=NUM_ROWS, allowed=None, min_hits=1, rerank=25)
    rows, _ = candidates(memory, query, everything, np.array([8]), limits)
    scales = np.abs(vectors).max(axis=1).astype(np.float32) / np.float32(127)
    whole = np.rint(vectors * (np.float32(127) / np.abs(vectors).max(axis=1))[:, None]).astype(np.int64)
    of_query = np.rint(query[0] * (np.float32(127) / np.abs(query).max())).astype(np.int64)
    scores = (whole @ of_query).astype(np.float32) * scales
    expected = best(np.arange(NUM_ROWS), scores, 25)[0]
    assert sorted(rows.tolist()) == sorted(expected.tolist())


def test_quantised_rows_are_aligned_and_close(unit_vectors):
    vectors = unit_vectors(50, 70)
    made = Quantised.blank(50, 70)
    made.write(vectors, 0)
    assert made.rows.shape == (50, 128)
    assert made.rows.ctypes.data % 64 == 0
    assert not made.rows[:, 70:].any()
    np.testing.assert_allclose(made.rows[:, :70] * made.scales[:, None], vectors, atol=0.51 * made.scales.max())
    grown = made.grown(80, 70)
    np.testing.assert_array_equal(grown.rows[:50], made.rows)
    np.testing.assert_array_equal(grown.scales[:50], made.scales)


def test_order_is_score_descending_then_row_ascending():
    generator = np.random.default_rng(0)
    scores = generator.choice(np.array([-1.5, -0.0, 0.0, 0.25, 3e38, -3e38, 1e-40], dtype=np.float32), 90)
    rows = generator.permutation(1000)[:90]
    found = ordered(rows, scores, np.array([0, 40, 40, 90]), k=30, width=35)
    assert found.counts.tolist() == [30, 0, 30]
    for query, (start, end) in enumerate([(0, 40), (40, 40), (40, 90)]):
        expected_rows, expected_scores = best(rows[start:end], scores[start:end], 30)
        np.testing.assert_array_equal(found.rows[query, : end - start][:30], expected_rows)
        np.testing.assert_array_equal(found.scores[query, : end - start][:30], expected_scores)
        assert (found.rows[query, found.counts[query] :] == -1).all()
        assert np.isneginf(found.scores[query, found.counts[query] :]).all()
