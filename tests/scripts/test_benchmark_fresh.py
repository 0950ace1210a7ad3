"""The benchmark of fresh parts: its slice from start to end."""

from __future__ import annotations

from benchmark_fresh import measured


def test_a_slice_names_every_size_and_both_ways_to_ask():
    rows, ratios = measured(200, (120, 150), rounds=1)
    assert [(row["fresh"], row["how"]) for row in rows] == [
        (120, "single"), (120, "batched"), (150, "single"), (150, "batched"),
    ]  # fmt: skip
    assert all(0.9 <= row["recall"] <= 1 for row in rows)
    assert list(ratios) == [f"hashed_over_scanned_{count}{how}" for count in (120, 150) for how in ("", "_batched")]
