"""The bytes of each row that docs/index.md states."""

from __future__ import annotations

import pytest

from index.kinds import build_kind

DIM, PADDED, NUM_ROWS = 32, 64, 1500


@pytest.mark.parametrize(
    ("kind", "parameters", "row_bytes", "room"),
    [
        ("flat", {}, 4 * DIM, 0),
        ("hnsw", {"m": 16, "ef_construction": 20, "codes": "int8"}, 4 * DIM + PADDED + 8 * 16, 16),
        ("ivf_flat", {"lists": 2}, 4 * DIM + 8, 1),
        ("scalar", {"lists": 2}, PADDED + 4, 1),
        ("ivf_pq", {"lists": 2}, DIM / 4 + 8, DIM / 4 + 2),
        ("lsh", {"tables": 4, "bits": 4}, 4 * 4 + PADDED + 4, 8),
        ("kd_tree", {}, 8 * (DIM + 2), 16),
    ],
)
def test_resident_bytes_of_a_row_are_those_of_the_table(unit_vectors, kind, parameters, row_bytes, room):
    """The room is for centroids, upper layers, functions and nodes."""
    index = build_kind(kind, unit_vectors(NUM_ROWS, DIM), parameters)
    assert row_bytes <= index.resident_bytes() / NUM_ROWS <= row_bytes + room
