"""Paired comparison against differences known by hand, a bootstrap written out, and its own symmetry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recall.errors import DataError
from training.compare import Comparison, compare_files
from training.evaluate import EvaluationRequest, evaluate

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes one file of values by user."""

    def call(
        name: str, values: Mapping[str, float], *, origin: Mapping[str, str] | None = None, **facts: object
    ) -> Path:
        figure = {"channel": "served", "candidates": "all", "slice": "all", "metric": "recall", "k": 20, **facts}
        table = pl.DataFrame({**figure, "user_id": list(values), "value": list(values.values())})
        table.write_parquet(tmp_path / f"{name}.parquet", metadata=dict(origin or {}))
        return tmp_path / f"{name}.parquet"

    return call


def _joined(*files: Path) -> Path:
    pl.concat([pl.read_parquet(file) for file in files]).write_parquet(files[0])
    return files[0]


def _random(seed: int, users: int = 60) -> dict[str, float]:
    return {f"u{n:03}": float(value) for n, value in enumerate(np.random.default_rng(seed).random(users))}


def test_means_shares_and_users_by_hand(write: Write) -> None:
    a = write("a", {"u": 0.0, "v": 0.5, "w": 1.0, "x": 0.25, "only-a": 1.0})
    b = write("b", {"only-b": 0.0, "and-b": 0.0, "x": 0.25, "w": 0.5, "v": 1.0, "u": 1.0})
    found = compare_files(a, b)
    (row,) = found.rows
    assert (row.channel_a, row.channel_b, row.candidates, row.slice) == ("served", "served", "all", "all")
    assert (row.metric, row.k, row.users, row.only_a, row.only_b) == ("recall", 20, 4, 1, 2)
    assert row.mean_a == pytest.approx((0 + 0.5 + 1 + 0.25) / 4)
    assert row.mean_b == pytest.approx((1 + 1 + 0.5 + 0.25) / 4)
    assert row.difference == pytest.approx(row.mean_b - row.mean_a)
    assert (row.better, row.worse, row.equal) == (0.5, 0.25, 0.25)
    (notice,) = found.notices
    assert notice.startswith(f"served, all/all: 1 users only in {a}, 2 only in {b}; left out")


def test_interval_is_that_of_a_bootstrap_written_out(write: Write) -> None:
    a, b = _random(1), _random(2)
    (row,) = compare_files(write("a", a), write("b", b)).rows
    difference = np.array(list(b.values())) - np.array(list(a.values()))
    rng = np.random.default_rng(7)
    means = [rng.choice(difference, len(difference)).mean() for _ in range(1000)]
    low, high = np.quantile(means, [0.025, 0.975])
    # Of 1,000 draws the end of an interval is known to about a twentieth of its width.
    assert (row.low, row.high) == pytest.approx((low, high), abs=0.1 * (high - low))


def test_users_are_paired_so_what_is_hard_for_both_cancels(write: Write) -> None:
    a = _random(3)
    (row,) = compare_files(write("a", a), write("b", {user: value + 0.01 for user, value in a.items()})).rows
    assert (row.low, row.difference, row.high) == pytest.approx((0.01, 0.01, 0.01))
    assert row.better == 1.0


def test_swapping_the_sides_turns_every_sign(write: Write) -> None:
    a, b = write("a", _random(4)), write("b", _random(5))
    (there,), (back,) = compare_files(a, b).rows, compare_files(b, a).rows
    assert (back.difference, back.low, back.high) == pytest.approx((-there.difference, -there.high, -there.low))
    assert (back.better, back.worse) == (there.worse, there.better)


def test_order_of_users_changes_nothing(write: Write) -> None:
    a, b = _random(4), _random(5)
    forth = compare_files(write("a", a), write("b", b)).rows
    turned = compare_files(write("c", dict(reversed(a.items()))), write("d", b)).rows
    assert forth == turned


def test_rounding_is_no_difference(write: Write) -> None:
    (row,) = compare_files(write("a", {"u": 0.1 + 0.2, "v": 0.5}), write("b", {"u": 0.3, "v": 0.5})).rows
    assert (row.better, row.worse, row.equal) == (0.0, 0.0, 1.0)


def test_figures_of_one_side_are_left_out_with_a_notice(write: Write) -> None:
    values = {"u": 0.5, "v": 1.0}
    a = _joined(write("a", values), write("a2", values, k=5), write("a3", values, channel="lsh"))
    b = _joined(write("b", values), write("b2", values, metric="ndcg"))
    found = compare_files(a, b)
    assert [(row.channel_a, row.metric, row.k) for row in found.rows] == [("served", "recall", 20)]
    assert found.notices == (
        f"only {a}, channel served, has recall@5 of all/all; left out",
        f"only {b}, channel served, has ndcg@20 of all/all; left out",
        f"only {a} has lsh; left out",
    )


def test_slice_without_a_shared_user_is_left_out_with_a_notice(write: Write) -> None:
    a = _joined(write("a", {"u": 0.5}), write("a2", {"u": 0.5}, slice="cold_users"))
    b = _joined(write("b", {"u": 1.0}), write("b2", {"v": 0.5}, slice="cold_users"))
    found = compare_files(a, b)
    assert [row.slice for row in found.rows] == ["all"]
    assert found.notices[0].startswith(f"served, all/cold_users: 1 users only in {a}, 1 only in {b}; left out")


def test_two_channels_of_one_file_and_of_two(write: Write) -> None:
    a = _joined(write("a", {"u": 0.5, "v": 0.0}), write("a2", {"u": 1.0, "v": 1.0}, channel="content"))
    (row,) = compare_files(a, channels=("served", "content")).rows
    assert (row.channel_a, row.channel_b, row.difference) == ("served", "content", 0.75)
    b = write("b", {"u": 0.0, "v": 0.0})
    (row,) = compare_files(a, b, channels=("content", "served")).rows
    assert (row.channel_a, row.channel_b, row.difference) == ("content", "served", -1.0)


def test_figures_of_other_users_get_their_own_draws(write: Write) -> None:
    few = {"u": 0.0, "v": 1.0}
    a = _joined(write("a", _random(6)), write("a2", few, slice="cold_users"))
    b = _joined(write("b", _random(7)), write("b2", {"u": 1.0, "v": 1.0}, slice="cold_users"))
    every, cold = compare_files(a, b).rows
    assert (every.users, cold.users, cold.low, cold.high) == (60, 2, 0.0, 1.0)


def test_evaluation_written_twice_is_the_same(checkerboard: Path, tmp_path: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, ks=(5, 20), channels=("content", "random")))
    a, b = tmp_path / "a.parquet", tmp_path / "b.parquet"
    report.write_per_user(a)
    report.write_per_user(b)
    found = compare_files(a, b)
    assert found.notices == ()
    assert [(r.channel_a, r.slice, r.metric, r.k, r.users) for r in found.rows] == [
        (r.channel, r.slice, r.metric, r.k, r.users) for r in report.rows
    ]
    assert [r.mean_a for r in found.rows] == pytest.approx([r.value for r in report.rows])
    assert {(r.low, r.difference, r.high, r.equal) for r in found.rows} == {(0.0, 0.0, 0.0, 1.0)}


def test_content_is_reliably_better_than_chance(checkerboard: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    evaluate(EvaluationRequest(data=checkerboard, ks=(20,), channels=("random", "content"))).write_per_user(file)
    found = compare_files(file, channels=("random", "content"))
    assert all(row.low > 0 for row in found.rows if (row.slice, row.metric) == ("all", "recall"))


def test_json_has_the_fixed_form(write: Write) -> None:
    value = Comparison.to_json(compare_files(write("a", {"u": 0.0}), write("b", {"u": 1.0})))
    assert list(value) == ["a", "b", "rows", "notices"]
    assert isinstance(value["rows"], list)
    assert list(value["rows"][0]) == [
        "channel_a", "channel_b", "candidates", "slice", "metric", "k", "mean_a", "mean_b", "difference", "low", "high",
        "better", "worse", "equal", "users", "only_a", "only_b",
    ]  # fmt: skip


def test_validation_is_not_compared_with_test(write: Write) -> None:
    a = write("a", {"u": 0.0}, origin={"split": "test", "data": "shop"})
    b = write("b", {"u": 0.0}, origin={"split": "validation", "data": "shop"})
    with pytest.raises(DataError, match=r"a\.parquet is of the test part and .*b\.parquet of the validation part"):
        compare_files(a, b)


def test_another_name_of_the_data_is_a_notice(write: Write) -> None:
    a = write("a", {"u": 0.0}, origin={"split": "test", "data": "shop"})
    b = write("b", {"u": 0.0}, origin={"split": "test", "data": "copy"})
    assert "'shop'" in compare_files(a, b).notices[0]


def test_histories_of_another_length_are_a_notice(write: Write) -> None:
    a, b = write("a", {"u": 0.0}, origin={"history": "1"}), write("b", {"u": 0.0})
    (notice,) = compare_files(a, b).notices
    assert notice == f"{a} keeps 1 items of each history and {b} all"


@pytest.mark.parametrize("other", [{"channel": "lsh"}, {"candidates": "cold"}, {"k": 5}, {"metric": "mrr"}])
def test_nothing_in_common_is_refused(other: dict[str, object], write: Write) -> None:
    with pytest.raises(DataError, match=r"have no figure of a user in common; evaluate the same"):
        compare_files(write("a", {"u": 0.0}), write("b", {"u": 0.0}, **other))


def test_no_user_in_common_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"a\.parquet .* and .*b\.parquet .* have no figure of a user in common"):
        compare_files(write("a", {"u": 0.0}), write("b", {"v": 0.0}))


def test_absent_channel_is_named_with_those_there(write: Write) -> None:
    with pytest.raises(DataError, match=r"has no channel 'content'; it has served"):
        compare_files(write("a", {"u": 0.0}), channels=("served", "content"))
