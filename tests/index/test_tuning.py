from __future__ import annotations

import sys

import numpy as np
import pytest

from index.errors import InvalidIndexConfigError, InvalidVectorError
from index.flat import FlatIndex
from index.kinds import build_kind
from index.tune_contest import first_that
from index.tune_grid import GRIDS, geometric, least_bytes
from index.tune_sample import given_sample, made_sample, measure
from index.tuning import EXACT_ROWS, TuneOptions, tune


def recall_of(index, vectors, queries, k):
    """Share of the k best by exact search that is found, ties with the last included."""
    floors = FlatIndex(vectors).search(queries, k).scores[:, -1:]
    return float((index.search(queries, k).scores >= floors).mean())


@pytest.mark.parametrize("num_steps", [1, 2, 7, 33])
def test_first_that_holds_is_found_wherever_it_is(num_steps):
    for first in range(num_steps + 1):
        asked: list[int] = []

        def holds(step, first=first, asked=asked):
            asked.append(step)
            return step >= first

        found = first_that(holds, num_steps, unless=lambda step: False)
        assert found == (first if first < num_steps else None)
        assert len(asked) == len(set(asked)) <= 2 * num_steps.bit_length() + 1


def test_first_that_gives_up_after_a_hopeless_step():
    assert first_that(lambda step: step >= 6, 10, unless=lambda step: step == 3) is None


def test_ladders_rise_from_first_to_last_by_steps_of_a_root_of_two():
    assert geometric(1, 16, steps=1) == [1, 2, 4, 8, 16]
    assert geometric(100, 170, steps=2) == [100, 141, 170]
    assert geometric(5, 3, steps=4) == [5]


@pytest.mark.parametrize("kind", sorted(GRIDS))
def test_every_setting_of_a_ladder_can_be_searched_and_the_last_finds_most(unit_vectors, kind):
    vectors, queries = np.split(unit_vectors(616, 8), [600])
    for build in GRIDS[kind].builds(0.9, 10):
        index = build_kind(kind, vectors, build)
        assert least_bytes(kind, 600, 8, build) <= index.resident_bytes()
        ladder = GRIDS[kind].ladder(index, 10)
        recalls = [recall_of(index.retuned(**setting), vectors, queries, 10) for setting in (ladder[0], ladder[-1])]
        assert recalls[0] <= recalls[1] + 0.02
        assert recalls[1] >= 0.9  # against exact search


def test_made_sample_has_a_query_beside_each_of_many_rows(unit_vectors):
    vectors = unit_vectors(300, 8)
    sample = made_sample(FlatIndex(vectors), k=5, seed=0)
    assert len(sample.queries) == 256
    assert (FlatIndex(vectors).search(sample.queries, 1).scores < 1 - 1e-6).all()


def test_no_query_of_a_made_sample_is_a_row_where_rows_have_more_copies_than_are_wanted(unit_vectors):
    """Its nearest would be its own copies, which every index finds: recall on other queries would be over-claimed."""
    vectors = np.repeat(unit_vectors(60, 32), 50, axis=0)
    assert (made_sample(FlatIndex(vectors), k=40, seed=0).floors < 1 - 1e-3).all()


def test_measured_recall_is_the_share_of_true_neighbors_that_an_index_holds():
    """Of the four best of each query, rows 0 to 3, the index over every second row holds two."""
    vectors = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [-1, 0], [-1, 0.1], [-1, -0.1]], dtype=np.float32)
    queries = np.tile(np.array([[1, 0]], dtype=np.float32), (10, 1))
    sample = given_sample(FlatIndex(vectors), queries, k=4, seed=0)
    measured = measure(FlatIndex(vectors[::2]), sample)
    assert measured.recall == 0.5
    assert measured.sure_recall == pytest.approx(0.5 - 3 / 40)  # no spread, so the rule of three
    assert measure(FlatIndex(vectors), sample).recall == 1.0


def test_few_rows_are_searched_exactly_without_measuring(unit_vectors):
    vectors = unit_vectors(500)
    tuned = tune(vectors, target_recall=1.0)
    assert (tuned.kind, tuned.reached, tuned.parameters()) == ("flat", True, {})
    (trial,) = tuned.tried
    assert (trial.kind, trial.microseconds, trial.resident_bytes) == ("flat", None, 500 * 16 * 4)
    assert f"fewer than {EXACT_ROWS:,}" in tuned.message


def test_no_rows_at_all_are_flat():
    assert tune(np.empty((0, 4), dtype=np.float32), memory_budget_bytes=1).kind == "flat"


@pytest.mark.parametrize("kind", ["hnsw", "ivf_flat"])
def test_target_is_reached_for_queries_that_tuning_never_saw(unit_vectors, kind):
    vectors, queries = np.split(unit_vectors(2400, 16), [2000])
    tuned = tune(vectors, target_recall=0.9, k=20, options=TuneOptions(kinds=[kind]))
    assert tuned.reached
    assert recall_of(tuned.index, vectors, queries, 20) >= 0.89
    chosen = [trial for trial in tuned.tried if trial.verdict.startswith("chosen")]
    assert [trial.parameters for trial in chosen] == [tuned.parameters()]
    assert all(trial.recall is not None and trial.microseconds is not None for trial in tuned.tried)
    assert tuned.index.resident_bytes() == chosen[0].resident_bytes > 0


def test_given_queries_are_what_the_target_is_reached_for(unit_vectors):
    vectors, queries = np.split(unit_vectors(1600, 16), [1200])
    options = TuneOptions(kinds=["ivf_flat"], queries=queries)
    tuned = tune(vectors, target_recall=0.95, k=10, options=options)
    assert tuned.reached
    assert recall_of(tuned.index, vectors, queries, 10) >= 0.94


def test_budget_that_nothing_keeps_is_named_and_the_smallest_is_built(unit_vectors):
    tuned = tune(unit_vectors(400), memory_budget_bytes=1000, options=TuneOptions(kinds=["flat", "hnsw"]))
    assert (tuned.kind, tuned.reached, tuned.recall) == ("flat", False, 1.0)
    assert "a memory budget of 0.001 MB" in tuned.message
    assert "recall@100 0.98" in tuned.message
    assert "raise the memory budget" in tuned.message
    assert [trial.kind for trial in tuned.tried if trial.verdict.startswith("not built: over the budget")] == [
        "hnsw",
        "hnsw",
        "hnsw",
        "flat",
    ]


def test_budget_below_the_vectors_gives_a_kind_that_keeps_codes(unit_vectors):
    vectors = unit_vectors(1500, 64)
    budget = vectors.nbytes // 2
    options = TuneOptions(kinds=["flat", "hnsw", "scalar"])
    tuned = tune(vectors, target_recall=0.8, k=10, memory_budget_bytes=budget, options=options)
    assert tuned.reached
    assert tuned.index.resident_bytes() <= budget
    assert {"flat", "hnsw"} <= {trial.kind for trial in tuned.tried if "over the budget" in trial.verdict}


def test_target_that_nothing_reaches_gives_the_best_and_the_cure(unit_vectors):
    tuned = tune(unit_vectors(800), target_recall=1.0, k=10, options=TuneOptions(kinds=["ivf_flat"]))
    assert not tuned.reached
    assert tuned.recall == max(trial.recall for trial in tuned.tried)
    assert "lower the target" in tuned.message


def test_exact_search_is_chosen_where_all_must_be_found(unit_vectors):
    tuned = tune(unit_vectors(800), target_recall=1.0, k=10, options=TuneOptions(kinds=["flat", "ivf_flat"]))
    assert (tuned.kind, tuned.reached, tuned.recall) == ("flat", True, 1.0)


def test_kinds_without_their_library_are_passed_over(unit_vectors, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    tuned = tune(unit_vectors(300), k=10, options=TuneOptions(kinds=["hnsw", "flat"]))
    assert (tuned.kind, tuned.reached) == ("flat", True)
    assert "not tried: " in tuned.tried[0].verdict


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target_recall": 0.0}, "target_recall is 0.0"),
        ({"target_recall": 1.1}, "target_recall is 1.1"),
        ({"k": 0}, "k is 0"),
        ({"memory_budget_bytes": 0}, "memory_budget_bytes is 0"),
        ({"options": TuneOptions(kinds=["annoy"])}, r"kinds is \['annoy'\]; want some of hnsw"),
        ({"options": TuneOptions(kinds=[])}, r"kinds is \[\]"),
    ],
)
def test_goals_out_of_range_are_refused(unit_vectors, arguments, message):
    with pytest.raises(InvalidIndexConfigError, match=message):
        tune(unit_vectors(30), **arguments)


def test_queries_of_another_dimension_are_refused(unit_vectors):
    with pytest.raises(InvalidVectorError, match="want \\[n, 16\\]"):
        tune(unit_vectors(300), options=TuneOptions(kinds=["flat"], queries=unit_vectors(5, 8)))
