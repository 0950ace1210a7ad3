"""The evaluation protocol on one small table whose users, exclusions and slices can be read off."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from recall.errors import DataError
from recall.tables import DataFolder
from training.protocol import (
    EvaluationData,
    candidate_set,
    evaluation_case,
    evaluation_data,
    history_parts,
    slices_of,
)

# w1, w2 are warm; c1 is cold in test, c2 cold in validation, c3 is never seen. ann is warm, bob cold.
ITEMS = ["w2", "c3", "c1", "w1", "c2"]
ROWS = [
    ("ann", "w2", "train", 9),
    ("ann", "w1", "train", 4),
    ("ann", "c2", "validation", 5),
    ("ann", "c1", "test", 8),
    ("bob", "w1", "test", 2),
    ("bob", "c1", "test", 1),
    ("cid", "w2", "train", 3),
]


def _table(rows: list[tuple[str, str, str, int]] = ROWS, *, timestamps: bool = False) -> pl.DataFrame:
    table = pl.DataFrame(rows, schema=["user_id", "item_id", "split", "timestamp"], orient="row")
    return table if timestamps else table.drop("timestamp")


@pytest.fixture
def data() -> EvaluationData:
    return evaluation_data(_table(), ITEMS, user_features={"bob": {"country": "NO"}})


def test_users_of_the_part_with_history_and_exclusions(data: EvaluationData) -> None:
    ann, bob = data.users
    assert (ann.user_id, ann.history, ann.exclude) == ("ann", ("w2", "w1"), {"w2", "w1", "c2"})
    assert (bob.user_id, bob.history, bob.exclude) == ("bob", (), set())
    assert (ann.features, bob.features) == ({}, {"country": "NO"})
    assert data.relevant == ({"c1"}, {"w1", "c1"})


def test_timestamps_order_the_history_and_add_validation_at_test_time() -> None:
    ann = evaluation_data(_table(timestamps=True), ITEMS, user_features={}).users[0]
    assert ann.history == ("w1", "c2", "w2")


def test_validation_sees_train_only_and_leaves_test_out() -> None:
    ann = evaluation_data(_table(timestamps=True), ITEMS, user_features={}, part="validation").users[0]
    assert ann.history == ("w1", "w2")
    assert ann.exclude == {"w1", "w2", "c1"}


@pytest.mark.parametrize(
    ("rule", "timestamps", "with_validation"),
    [
        ("time", True, True),
        ("leave-last-out", True, True),
        ("random", True, False),
        ("cold-items", True, False),
        ("cold-users", False, False),
        (None, True, True),
        (None, False, False),
    ],
)
def test_history_parts_follow_the_rule(rule: str | None, timestamps: bool, with_validation: bool) -> None:
    expected = ("train", "validation") if with_validation else ("train",)
    assert history_parts(_table(timestamps=timestamps), "test", rule=rule) == expected


@pytest.mark.parametrize(("num_items", "expected"), [(0, ()), (1, ("w2",)), (2, ("c2", "w2")), (9, ("w1", "c2", "w2"))])
def test_history_cut_to_its_last_items_leaves_out_all_of_it(num_items: int, expected: tuple[str, ...]) -> None:
    whole = evaluation_data(_table(timestamps=True), ITEMS, user_features={"bob": {"country": "NO"}})
    cut = whole.with_last_of_history(num_items)
    ann, bob = cut.users
    assert (ann.history, ann.exclude) == (expected, {"w1", "w2", "c2"})
    assert (bob.history, bob.features) == ((), {"country": "NO"})
    assert (cut.relevant, cut.warm_users) == (whole.relevant, whole.warm_users)


@pytest.mark.realdata
def test_users_of_a_split_in_time_are_known_by_what_came_before_the_test_part() -> None:
    """Of the test users 197 are new to training; 166 of these have a history in validation, and all have features."""
    path = Path(__file__).resolve().parents[2].parent / "shared" / "datasets" / "ml-1m-time"
    if not path.is_dir():
        pytest.skip(f"{path} is not here")
    folder = DataFolder.open(path)
    data = evaluation_data(
        folder.interactions(), folder.items()[0], user_features=dict(zip(*folder.users(), strict=True))
    )
    new = [user for user in data.users if user.user_id not in data.warm_users]
    assert (len(data.users), len(new)) == (1188, 197)
    assert sum(bool(user.history) for user in new) == 197 - 31
    assert all(user.features for user in new)


def test_an_item_the_user_also_has_in_another_part_is_not_relevant() -> None:
    rows = [*ROWS, ("bob", "w1", "train", 0)]
    data = evaluation_data(_table(rows, timestamps=True), ITEMS, user_features={})
    assert data.relevant[1] == {"c1"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all", ("c1", "c2", "c3", "w1", "w2")),
        ("warm", ("w1", "w2")),
        ("cold", ("c1", "c2", "c3")),
        ("cold-split", ("c1",)),
    ],
)
def test_candidates_by_name(data: EvaluationData, name: str, expected: tuple[str, ...]) -> None:
    chosen = candidate_set(data, name)
    assert chosen.item_ids == expected
    assert chosen.is_everything == (name == "all")


def test_candidates_from_a_file(data: EvaluationData, tmp_path: Path) -> None:
    file = tmp_path / "wanted.txt"
    file.write_text("w1\n\nc3\nw1\r\n", encoding="utf-8")
    assert candidate_set(data, str(file)).item_ids == ("c3", "w1")


def test_candidate_files_that_cannot_be_used_are_refused(data: EvaluationData, tmp_path: Path) -> None:
    file = tmp_path / "wanted.txt"
    with pytest.raises(DataError, match="neither one of"):
        candidate_set(data, str(file))
    file.write_text("w1\nw9\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2: item 'w9' is not in the data folder"):
        candidate_set(data, str(file))
    file.write_bytes(b"w1\n\xff")
    with pytest.raises(DataError, match="not UTF-8 text at byte 3"):
        candidate_set(data, str(file))
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="are empty for the test part"):
        candidate_set(data, str(file))


def test_no_cold_candidates_says_why_and_what_to_do() -> None:
    interactions = pl.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "a"], "split": ["train", "test"]})
    warm_only = evaluation_data(interactions, ["a"], user_features={})
    with pytest.raises(DataError, match=r"'cold-split' are empty .* train interaction; take all or warm"):
        candidate_set(warm_only, "cold-split")


def test_case_keeps_users_with_a_relevant_candidate(data: EvaluationData) -> None:
    warm = evaluation_case(data, candidate_set(data, "warm"))
    assert [user.user_id for user in warm.users] == ["bob"]
    assert warm.relevant == ({"w1"},)


def test_case_without_users_is_refused(data: EvaluationData, tmp_path: Path) -> None:
    file = tmp_path / "wanted.txt"
    file.write_text("c3\n", encoding="utf-8")
    with pytest.raises(DataError, match="no user has an item of the test part"):
        evaluation_case(data, candidate_set(data, str(file)))


def test_slices_count_relevant_items_of_their_kind_only(data: EvaluationData) -> None:
    found = slices_of(evaluation_case(data, candidate_set(data, "all")), data)
    assert {s.name: (s.rows.tolist(), s.relevant) for s in found} == {
        "all": ([0, 1], ({"c1"}, {"w1", "c1"})),
        "warm_items": ([1], ({"w1"},)),
        "cold_items": ([0, 1], ({"c1"}, {"c1"})),
        "warm_users": ([0], ({"c1"},)),
        "cold_users": ([1], ({"w1", "c1"},)),
    }


def test_slices_without_users_are_left_out(data: EvaluationData) -> None:
    found = slices_of(evaluation_case(data, candidate_set(data, "cold-split")), data)
    assert "warm_items" not in [s.name for s in found]


def test_a_part_that_is_missing_is_refused() -> None:
    without = _table().filter(pl.col("split") != "validation")
    with pytest.raises(DataError, match="no validation part"):
        evaluation_data(without, ITEMS, user_features={}, part="validation")
