from __future__ import annotations

import threading

import numpy as np
import pytest

from index import bitmap
from index.errors import InvalidIndexConfigError, InvalidQueryError, InvalidVectorError
from index.flat import FlatIndex
from index.lsh import LshIndex
from index.lsh_parameters import MAX_PROBES, LshParameters
from index.lsh_search import Request

FAMILIES = ["cross_polytope", "hyperplane", "p_stable"]


def _fixed(family: str = "cross_polytope", **values: int | float) -> LshParameters:
    """Returns parameters with nothing left to a rule."""
    fixed = {"bits": 6, "functions": 6 if family == "hyperplane" else 2, "tables": 4, "probes": 12, "min_hits": 1}
    width = 0.8 if family == "p_stable" else 0.0
    return LshParameters(family=family, **{**fixed, "width": width, "rerank": 20, **values})


def _recall(found: np.ndarray, truth: np.ndarray) -> float:
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kept", [0, 150])
def test_row_by_row_equals_all_at_once(unit_vectors, family, kept):
    vectors, queries = unit_vectors(300), unit_vectors(20, seed=1)
    whole, parts = LshIndex.build(vectors, _fixed(family)), LshIndex.build(vectors[:kept], _fixed(family))
    for row in range(kept, 300):
        parts.append(vectors[row : row + 1])
    expected, found = whole.search(queries, 9), parts.search(queries, 9)
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert parts.num_rows == 300


def test_append_past_packing_equals_all_at_once(unit_vectors):
    vectors, queries = unit_vectors(6000), unit_vectors(20, seed=1)
    whole, parts = LshIndex.build(vectors, _fixed()), LshIndex.build(vectors[:1000], _fixed())
    for start in range(1000, 6000, 700):
        parts.append(vectors[start : start + 700])
    np.testing.assert_array_equal(parts.search(queries, 9).rows, whole.search(queries, 9).rows)


def test_search_stays_within_the_bound(unit_vectors):
    vectors = unit_vectors(200)
    index, early = LshIndex.build(vectors[:30], _fixed()), LshIndex.build(vectors[:60], _fixed())
    index.append(vectors[30:])
    for bound, whole in ((60, early), (20, LshIndex.build(vectors[:20], _fixed()))):
        found = index.search(vectors[150:], 10, num_rows=bound)
        np.testing.assert_array_equal(found.rows, whole.search(vectors[150:], 10).rows)
    assert index.search(vectors, 5, num_rows=0).counts.tolist() == [0] * 200
    with pytest.raises(InvalidQueryError, match="num_rows is -1"):
        index.search(vectors, 1, num_rows=-1)


def test_readers_see_whole_prefixes_while_a_writer_appends(unit_vectors):
    vectors, queries = unit_vectors(3000), unit_vectors(4, seed=1)
    index = LshIndex.build(vectors[:100], _fixed())
    expected = {n: LshIndex.build(vectors[:n], _fixed()).search(queries, 8).rows for n in (100, 1000, 2000, 2900)}
    wrong, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            for bound in [n for n in expected if n <= index.num_rows]:
                if not np.array_equal(index.search(queries, 8, num_rows=bound).rows, expected[bound]):
                    wrong.append(bound)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(100, 3000, 50):
        index.append(vectors[start : start + 50])
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


@pytest.mark.parametrize("family", FAMILIES)
def test_chosen_parameters_reach_their_target_against_exact_search(unit_vectors, family):
    vectors, queries = np.split(unit_vectors(3200, 32, num_centres=40), [3000])
    truth = FlatIndex(vectors).search(queries, 20).rows
    for target in (0.8, 0.95):
        index = LshIndex.build(vectors, LshParameters(family=family, target_recall=target, target_k=20))
        # The rule aims a quarter of the way above; its sample of 187 queries is off by .015 at most.
        assert _recall(index.search(queries, 20).rows, truth) >= target


def test_chosen_parameters_reach_their_target_without_clusters():
    vectors = np.random.default_rng(0).standard_normal((3200, 24)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors, queries = np.split(vectors, [3000])
    index = LshIndex.build(vectors, LshParameters(target_k=20))
    assert _recall(index.search(queries, 20).rows, FlatIndex(vectors).search(queries, 20).rows) >= 0.95


def test_more_probes_find_more(unit_vectors):
    vectors, queries = np.split(unit_vectors(3100, 32), [3000])
    truth = FlatIndex(vectors).search(queries, 10).rows
    index = LshIndex.build(vectors, _fixed(bits=8, tables=2, probes=2, rerank=64))
    recalls = [_recall(index.retuned(probes=probes).search(queries, 10).rows, truth) for probes in (2, 12, 120)]
    assert recalls == sorted(recalls)
    assert recalls[2] > 0.95  # against exact search
    assert recalls[0] < recalls[2]


def test_every_bucket_finds_everything(unit_vectors):
    vectors, queries = np.split(unit_vectors(520), [500])
    index = LshIndex.build(vectors, _fixed("hyperplane", probes=4 << 6, rerank=500))
    found, truth = index.search(queries, 10), FlatIndex(vectors).search(queries, 10)
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)


def test_widening_tries_no_bucket_twice_and_stays_within_its_memory():
    def tried(parameters, k):
        request = Request.of(parameters, k, num_rows=5000, num_allowed=5000, allowed=None)
        return [request.probes, *(wider.probes for wider in request.widened())]

    assert tried(_fixed(probes=3), 10) == [3, 24, 192]
    assert tried(_fixed(probes=40), 10) == [40, 4 << 6]
    many = _fixed(bits=24, tables=16, probes=1 << 18)
    assert tried(many, 10) == [1 << 18, MAX_PROBES]
    assert tried(many, 4000) == [MAX_PROBES, MAX_PROBES]


def test_far_query_is_never_short():
    # Every row is opposite to the query, so no near bucket holds any.
    vectors = np.tile(np.array([[-1, 0.01, 0, 0]], dtype=np.float32), (50, 1))
    index = LshIndex.build(vectors, _fixed("hyperplane", bits=12, functions=12, tables=1, probes=1))
    query = np.array([[1, 0, 0, 0]], dtype=np.float32)
    assert index.search(query, 5).rows.tolist() == [[0, 1, 2, 3, 4]]
    assert index.search(query, 5, allowed=bitmap.from_rows(np.array([7, 9]), 50)).counts.tolist() == [2]


def test_rows_wanted_all_are_those_of_exact_search(unit_vectors):
    vectors, queries = np.split(unit_vectors(420), [400])
    index = LshIndex.build(vectors, _fixed(rerank=500))
    found, truth = (i.search(queries, 10**9) for i in (index, FlatIndex(vectors)))
    np.testing.assert_array_equal(found.rows, truth.rows)
    np.testing.assert_array_equal(found.scores, truth.scores)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length", [0.25, 4.0])
def test_length_of_a_query_does_not_change_what_is_found(unit_vectors, family, length):
    # A power of two changes no digit of a score.
    vectors, queries = np.split(unit_vectors(1040), [1000])
    index = LshIndex.build(vectors, LshParameters(family=family, target_k=10))
    found, longer = index.search(queries, 10), index.search(np.float32(length) * queries, 10)
    np.testing.assert_array_equal(longer.rows, found.rows)
    np.testing.assert_array_equal(longer.scores, np.float32(length) * found.scores)


def test_append_of_nothing_leaves_mapped_vectors_alone(unit_vectors):
    vectors = unit_vectors(50)
    vectors.setflags(write=False)
    index = LshIndex.build(vectors)
    index.append(np.empty((0, vectors.shape[1]), dtype=np.float32))
    assert index.num_rows == 50


@pytest.mark.parametrize("share", [0.5, 0.1, 0.01])
def test_search_under_a_bitmap_is_full_and_keeps_its_recall(unit_vectors, share):
    vectors, queries = np.split(unit_vectors(4100, 24), [4000])
    index = LshIndex.build(vectors, LshParameters(target_k=20))
    mask = np.random.default_rng(3).random(4000) < share
    allowed = bitmap.from_mask(mask)
    found, truth = (i.search(queries, 20, allowed=allowed) for i in (index, FlatIndex(vectors)))
    assert found.counts.tolist() == [20] * 100
    assert mask[found.rows].all()
    assert _recall(found.rows, truth.rows) >= 0.95


def test_k_above_the_target_is_full_and_keeps_its_recall(unit_vectors):
    vectors, queries = np.split(unit_vectors(4050, 24), [4000])
    index = LshIndex.build(vectors, LshParameters(target_k=10))
    found, truth = index.search(queries, 150), FlatIndex(vectors).search(queries, 150)
    assert found.counts.tolist() == [150] * 50
    assert _recall(found.rows, truth.rows) >= 0.95


def test_threads_do_not_change_results(unit_vectors):
    vectors, queries = unit_vectors(1000), unit_vectors(200, seed=1)
    one = LshIndex.build(vectors, _fixed(threads=1))
    many = one.retuned(threads=3)
    np.testing.assert_array_equal(many.search(queries, 7).rows, one.search(queries, 7).rows)
    alone = [one.search(queries[i : i + 1], 7).scores[0] for i in range(0, 200, 9)]
    np.testing.assert_array_equal(np.array(alone), many.search(queries, 7).scores[::9])


def test_retuned_shares_rows_and_appends(unit_vectors):
    vectors = unit_vectors(300)
    index = LshIndex.build(vectors[:200], _fixed())
    wide = index.retuned(probes=40, rerank=50)
    assert (wide.parameters()["probes"], index.parameters()["probes"]) == (40, 12)
    wide.append(vectors[200:])
    assert index.num_rows == 300
    assert index.resident_bytes() == wide.resident_bytes()
    for values, message in (({"tables": 3}, "'tables' is no search parameter"), ({"probes": 0}, "probes is 0")):
        with pytest.raises(InvalidIndexConfigError, match=message):
            index.retuned(**values)


def test_resident_bytes_are_those_of_tables_and_quantised_rows(unit_vectors):
    # Hyperplanes: 4 tables x (65 offsets + 1,000 rows) x 4 bytes, 1,000 x (64 + 4) bytes, 4 x 6 x 16 planes x 4 bytes.
    index = LshIndex.build(unit_vectors(1000), _fixed("hyperplane"))
    assert index.resident_bytes() == 4 * 1065 * 4 + 1000 * 68 + 4 * 6 * 16 * 4


def test_empty_index_takes_rows_by_the_rule_for_its_capacity(unit_vectors):
    vectors, queries = np.split(unit_vectors(2050, 24), [2000])
    index = LshIndex.empty(24, capacity=2000)
    assert index.search(queries, 3).rows.shape == (50, 0)
    assert index.parameters()["tables"] > 0
    for start in range(0, 2000, 100):
        index.append(vectors[start : start + 100])
    assert _recall(index.search(queries, 10).rows, FlatIndex(vectors).search(queries, 10).rows) >= 0.9
    with pytest.raises(InvalidVectorError, match="is zero"):
        index.append(np.zeros((1, 24)))


def test_parameters_written_before_families_are_read(unit_vectors, tmp_path):
    vectors = unit_vectors(300)
    index = LshIndex.load(tmp_path, vectors, LshParameters(bits=4, tables=3, probes=5, seed=2))
    assert (
        index.parameters()
        == LshParameters(
            family="hyperplane", bits=4, functions=4, tables=3, probes=15, min_hits=1, rerank=133, seed=2
        ).as_dict()
    )
    assert index.search(vectors, 1).rows[:, 0].tolist() == list(range(300))


def test_vectors_of_other_lengths_are_ranked_by_inner_product():
    generator = np.random.default_rng(0)
    vectors = generator.standard_normal((400, 8)).astype(np.float32)
    index = LshIndex.build(vectors, _fixed(probes=4 << 6, rerank=60))
    found, truth = index.search(vectors[:30], 10), FlatIndex(vectors).search(vectors[:30], 10)
    np.testing.assert_array_equal(found.rows, truth.rows)
