"""Every split rule on tables whose parts can be read off, and the draws' independence from row order."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recall.dataset_config import SplitConfig
from recall.errors import DataError
from recall.interactions import Interactions
from recall.model.hashing import hash_values
from training.split import assign_split, carve_validation

KEYS = ["user_id", "item_id"]


def _grid(num_users: int, num_items: int, *, timestamps: bool = False) -> pl.DataFrame:
    rows = [(f"u{u}", f"i{i}", u * num_items + i) for u in range(num_users) for i in range(num_items)]
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return table if timestamps else table.drop("timestamp")


def _shares(split: pl.DataFrame) -> dict[str, float]:
    return {part: (split["split"] == part).mean() for part in ("train", "validation", "test")}


def test_random_draws_pairs_in_the_shares_asked_for() -> None:
    split = assign_split(_grid(80, 50), SplitConfig(rule="random", validation=0.1, test=0.2))
    shares = _shares(split)
    assert shares["test"] == pytest.approx(0.2, abs=0.03)
    assert shares["validation"] == pytest.approx(0.1, abs=0.02)
    assert split.group_by("item_id").agg(pl.col("split").n_unique())["split"].max() == 3


@pytest.mark.parametrize(("rule", "column"), [("cold-items", "item_id"), ("cold-users", "user_id")])
def test_cold_rules_move_whole_items_or_users(rule: str, column: str) -> None:
    split = assign_split(_grid(60, 60), SplitConfig.model_validate({"rule": rule, "test": 0.2, "validation": 0.2}))
    assert split.group_by(column).agg(pl.col("split").n_unique())["split"].unique().to_list() == [1]
    assert set(split["split"]) == {"train", "validation", "test"}
    assert _shares(split)["test"] == pytest.approx(0.2, abs=0.15)


def test_an_item_keeps_its_part_when_other_items_arrive() -> None:
    config = SplitConfig(rule="cold-items", test=0.3, validation=0.1)
    small = assign_split(_grid(2, 40), config)
    large = assign_split(_grid(2, 90), config)
    assert small.equals(large.join(small.select(KEYS), on=KEYS, how="semi"))


def test_time_cuts_at_two_moments() -> None:
    # Ten rows at times 0..9 with shares .2 and .2: moments at places 6 and 8.
    split = assign_split(_grid(1, 10, timestamps=True), SplitConfig(rule="time", validation=0.2, test=0.2))
    assert split["split"].to_list() == ["train"] * 6 + ["validation"] * 2 + ["test"] * 2


def test_time_keeps_rows_of_one_moment_together() -> None:
    table = pl.DataFrame({"user_id": list("abcde"), "item_id": list("vwxyz"), "timestamp": [1, 2, 2, 2, 3]})
    split = assign_split(table, SplitConfig(rule="time", validation=0.0, test=0.4))
    assert split["split"].to_list() == ["train", "test", "test", "test", "test"]


def test_leave_last_out_takes_the_last_two_of_users_with_three() -> None:
    table = pl.DataFrame(
        {
            "user_id": ["a", "b", "a", "a", "b", "a"],
            "item_id": ["1", "1", "2", "3", "2", "4"],
            "timestamp": [40, 1, 10, 30, 2, 20],
        }
    )
    split = assign_split(table, SplitConfig(rule="leave-last-out"))
    assert split["split"].to_list() == ["test", "train", "train", "validation", "train", "train"]


@pytest.mark.parametrize("rule", ["random", "cold-items", "cold-users", "time", "leave-last-out"])
def test_row_order_changes_no_part(rule: str) -> None:
    # Equal times within a user, so that leave-last-out has ties to break.
    table = _grid(30, 30).with_columns(pl.col("user_id").str.slice(1).cast(pl.Int64).alias("timestamp"))
    config = SplitConfig.model_validate({"rule": rule, "validation": 0.2, "test": 0.2})
    shuffled = table.sample(fraction=1.0, shuffle=True, seed=4)
    assert assign_split(table, config).sort(KEYS).equals(assign_split(shuffled, config).sort(KEYS))


def test_another_seed_draws_other_parts() -> None:
    config = SplitConfig(rule="random")
    assert not assign_split(_grid(20, 20), config, seed=1).equals(assign_split(_grid(20, 20), config, seed=2))


def test_a_split_that_is_there_stays() -> None:
    table = _grid(1, 3).with_columns(pl.Series("split", ["test", "train", "train"]))
    assert assign_split(table, SplitConfig(rule="time")).equals(table)


@pytest.mark.parametrize("rule", ["time", "leave-last-out"])
def test_rules_of_time_without_timestamps_are_refused(rule: str) -> None:
    with pytest.raises(DataError, match=f"{rule}.*needs the column 'timestamp'.*use random"):
        assign_split(_grid(2, 2), SplitConfig.model_validate({"rule": rule}))


def test_shares_that_leave_no_train_are_refused() -> None:
    with pytest.raises(DataError, match=r"split.test 0.6 \+ split.validation 0.4 leave no train"):
        assign_split(_grid(2, 2), SplitConfig(test=0.6, validation=0.4))


def test_a_part_that_comes_out_empty_is_refused() -> None:
    same_time = _grid(3, 3).with_columns(pl.lit(7).alias("timestamp"))
    with pytest.raises(DataError, match="put none of the 9 interactions in train"):
        assign_split(same_time, SplitConfig(rule="time"))


def test_carve_takes_a_tenth_of_train_only() -> None:
    split = assign_split(_grid(80, 50), SplitConfig(rule="random", validation=0.0, test=0.5), seed=3)
    carved = carve_validation(split, 3)
    assert (carved["split"] == "test").equals(split["split"] == "test")
    train_rows = (split["split"] == "train").sum()
    assert (carved["split"] == "validation").sum() / train_rows == pytest.approx(0.1, abs=0.02)


def test_carve_leaves_an_existing_validation_part_alone() -> None:
    split = assign_split(_grid(20, 20), SplitConfig(rule="random"))
    assert carve_validation(split, 0).equals(split)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.permutations(range(30)))
def test_carve_depends_on_pairs_and_seed_only(seed: int, order: list[int]) -> None:
    table = _grid(5, 6).with_columns(pl.lit("train").alias("split"))
    assert carve_validation(table, seed).sort(KEYS).equals(carve_validation(table[order], seed).sort(KEYS))


def test_draws_are_those_of_the_ids_however_many_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table = _grid(9, 7)
    monkeypatch.setattr("training.split._CHUNK", 10)
    carved = carve_validation(table.with_columns(pl.lit("train").alias("split")), 5)["split"] == "validation"
    pairs = [f"{user}\x1f{item}" for user, item in table.select(KEYS).rows()]
    assert carved.to_list() == (hash_values("carve:5", pairs) / 2.0**64 < 0.1).tolist()
    assert carved.any()
    coded = Interactions.of(table)
    assert coded.named().select(KEYS).equals(table.select(KEYS))
