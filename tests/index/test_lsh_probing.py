from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.linalg import hadamard

from index.lsh_families import Shape, draw
from index.lsh_probing import Perturbations, probed_slots


def _hand(costs: list[list[float]], functions: list[list[int]]) -> Perturbations:
    """Perturbation j of table t adds 2^j to its key; all keys are 0."""
    tables, most = len(costs), max(len(line) for line in costs)
    made = Perturbations.blank(1, tables, most)
    made.keys[:] = 0
    for table, (line, changed) in enumerate(zip(costs, functions, strict=True)):
        made.sizes[0, table] = len(line)
        made.costs[0, table, : len(line)] = line
        made.functions[0, table, : len(line)] = changed
        made.deltas[0, table, : len(line)] = [1 << j for j in range(len(line))]
    return made


def test_sets_of_one_table_come_in_order_of_their_sum():
    # Costs 1, 3, 4: sets {0} 1, {1} 3, {2} 4, {0, 1} 4, {0, 2} 5, {1, 2} 7, all 8.
    slots, counts = probed_slots(_hand([[1, 3, 4]], [[0, 1, 2]]), 8, factor=1, bits=3)
    assert counts.tolist() == [8]
    flips = slots[0].tolist()
    assert flips[:3] == [0b000, 0b001, 0b010]
    assert sorted(flips[3:5]) == [0b011, 0b100]
    assert flips[5:] == [0b101, 0b110, 0b111]


def test_one_heap_takes_the_likeliest_of_all_tables():
    # Table 1 has the two cheapest changes, and their sum is still cheaper than any change of table 0.
    slots, _ = probed_slots(_hand([[2.0, 9.0], [0.5, 1.0]], [[0, 1], [0, 1]]), 7, factor=1, bits=2)
    assert [(slot >> 2, slot & 3) for slot in slots[0].tolist()] == [
        (0, 0),
        (1, 0),
        (1, 1),
        (1, 2),
        (1, 3),
        (0, 1),
        (0, 2),
    ]


def test_a_function_is_changed_once():
    # Perturbations 0 and 1 change the same function, so no set has both.
    slots, counts = probed_slots(_hand([[1, 2, 4]], [[0, 0, 1]]), 8, factor=1, bits=3)
    assert counts.tolist() == [6]
    assert slots[0, :6].tolist() == [0b000, 0b001, 0b010, 0b100, 0b101, 0b110]


def test_own_buckets_are_tried_even_when_fewer_are_asked_for():
    slots, counts = probed_slots(_hand([[1.0]] * 3, [[0]] * 3), 1, factor=1, bits=1)
    assert counts.tolist() == [3]
    assert slots.tolist() == [[0, 2, 4]]


@pytest.mark.parametrize(("family", "bits"), [("hyperplane", 5), ("cross_polytope", 8), ("p_stable", 10)])
def test_probes_are_the_cheapest_sets_by_brute_force(unit_vectors, family, bits):
    queries = unit_vectors(4, 16)
    drawn = draw(family, Shape(dim=16, bits=bits, functions=3, width=0.6, tables=3, seed=1))
    made = drawn.perturbations(queries, 40)
    slots, counts = probed_slots(made, 40, factor=drawn.factor, bits=bits)
    np.testing.assert_array_equal(slots[:, :3] & ((1 << bits) - 1), drawn.buckets(queries))
    for query in range(4):
        expected = sorted(cost for costs in _sets(made, query, drawn.factor, bits).values() for cost in costs)
        # Costs of the sets found, from their keys: every key is reached by one set alone.
        found = _costs_of(made, query, slots[query, 3 : counts[query]], drawn.factor, bits)
        np.testing.assert_allclose(found, expected[: len(found)], rtol=1e-5)
        assert len(found) == 37


def _sets(made: Perturbations, query: int, factor: int, bits: int) -> dict[int, list[float]]:
    """Returns the costs of all sets that change no function twice, by the bucket they lead to."""
    by_slot: dict[int, list[float]] = {}
    for table in range(made.keys.shape[1]):
        costs, deltas, functions = (
            part[query, table, : made.sizes[query, table]].tolist()
            for part in (made.costs, made.deltas, made.functions)
        )
        for size in range(1, len(set(functions)) + 1):
            for members in combinations(range(len(costs)), size):
                if len({functions[j] for j in members}) == size:
                    key = (int(made.keys[query, table]) + sum(deltas[j] for j in members)) % 2**32
                    bucket = key if factor == 1 else (key * factor % 2**32) >> (32 - bits)
                    by_slot.setdefault(table << bits | bucket, []).append(sum(costs[j] for j in members))
    return by_slot


def _costs_of(made: Perturbations, query: int, slots: np.ndarray, factor: int, bits: int) -> list[float]:
    by_slot = {slot: sorted(costs, reverse=True) for slot, costs in _sets(made, query, factor, bits).items()}
    return [by_slot[slot].pop() for slot in slots.tolist()]


def test_hyperplane_costs_are_squared_distances_to_the_planes_crossed():
    drawn = draw("hyperplane", Shape(dim=2, bits=4, functions=4, width=0.0, tables=1, seed=3))
    query = np.array([[0.6, 0.8]], dtype=np.float32)
    made = drawn.perturbations(query, 2)
    planes = np.random.default_rng(3).standard_normal((1, 4, 2), dtype=np.float32)[0]
    np.testing.assert_allclose(made.costs[0, 0], np.sort((planes @ query[0]) ** 2), rtol=1e-5)
    order = np.argsort((planes @ query[0]) ** 2)
    np.testing.assert_array_equal(made.functions[0, 0], order)


def test_cross_polytope_changes_lead_to_the_next_largest_coordinates(unit_vectors):
    # One function of 16 coordinates: probes in order are the coordinates by magnitude, each with its sign.
    query = unit_vectors(1, 16)
    drawn = draw("cross_polytope", Shape(dim=16, bits=5, functions=1, width=0.0, tables=1, seed=0))
    vector = query[0].astype(np.float64)
    for turn in drawn._signs[0].reshape(4, 16, 16)[:3, :, 0]:
        vector = hadamard(16) @ (vector * turn)
    slots, counts = probed_slots(drawn.perturbations(query, 16), 16, factor=1, bits=5)
    order = np.argsort(-np.abs(vector))
    assert slots[0, : counts[0]].tolist() == [2 * d + int(vector[d] < 0) for d in order]
