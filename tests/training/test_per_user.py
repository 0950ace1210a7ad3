"""Files of values by user: what evaluation wrote is read back, and every refusal has its place and cure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recall.errors import DataError
from training.evaluate import EvaluationRequest, evaluate
from training.per_user import PerUserTable

GOOD: dict[str, Any] = {
    "channel": ["served", "served"],
    "candidates": ["all", "all"],
    "slice": ["all", "all"],
    "metric": ["recall", "recall"],
    "k": [20, 20],
    "user_id": ["u", "v"],
    "value": [0.5, 1.0],
}


def _refused(table: pl.DataFrame, message: str, folder: Path) -> None:
    file = folder / "v.parquet"
    table.write_parquet(file)
    with pytest.raises(DataError, match=message) as error:
        PerUserTable.read(file)
    assert str(error.value).startswith(str(file))


def test_what_evaluation_wrote_is_read_back(checkerboard: Path, tmp_path: Path) -> None:
    report = evaluate(EvaluationRequest(data=checkerboard, channels=("random",), split="test"))
    report.write_per_user(tmp_path / "v.parquet")
    table = PerUserTable.read(tmp_path / "v.parquet")
    assert table.rows.to_dicts() == report.per_user.to_dicts()
    assert (table.channels, dict(table.origin)) == (("random",), {"data": "checkerboard", "split": "test"})


def test_categories_further_columns_and_narrow_numbers_are_taken(tmp_path: Path) -> None:
    table = pl.DataFrame({**GOOD, "note": ["x", "y"]})
    table = table.cast({"channel": pl.Categorical, "user_id": pl.Categorical, "k": pl.UInt8, "value": pl.Float32})
    table.write_parquet(tmp_path / "v.parquet")
    assert PerUserTable.read(tmp_path / "v.parquet").rows.to_dict(as_series=False) == GOOD


@pytest.mark.parametrize("name", GOOD)
def test_absent_column_is_refused(name: str, tmp_path: Path) -> None:
    _refused(pl.DataFrame(GOOD).drop(name), f"is no table of values by user: it lacks {name} and has ", tmp_path)


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("channel", [1, 2], "'channel' is Int64, not a string"),
        ("user_id", [1, 2], "'user_id' is Int64, not a string"),
        ("k", ["20", "20"], "'k' is String, not an integer"),
        ("k", [20.0, 20.0], "'k' is Float64, not an integer"),
        ("value", ["1", "2"], "'value' is String, not a float"),
        ("value", [[0.1], [0.2]], r"'value' is List\(Float64\), not a float"),
    ],
)
def test_column_of_another_type_is_refused(name: str, values: list[Any], wanted: str, tmp_path: Path) -> None:
    _refused(pl.DataFrame({**GOOD, name: values}), f"column {wanted}; write it with `recall evaluate", tmp_path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("user_id", ["u", None], "row 1: user_id is null"),
        ("k", [None, 20], "row 0: k is null"),
        ("value", [0.5, None], "row 1: value is None, no finite number"),
        ("value", [float("nan"), 0.5], "row 0: value is nan, no finite number"),
        ("value", [0.5, float("inf")], "row 1: value is inf, no finite number"),
    ],
)
def test_cell_without_a_value_is_refused(name: str, values: list[Any], message: str, tmp_path: Path) -> None:
    _refused(pl.DataFrame({**GOOD, name: values}), message, tmp_path)


def test_two_values_of_one_user_are_refused(tmp_path: Path) -> None:
    table = pl.DataFrame({**GOOD, "user_id": ["u", "u"]})
    _refused(
        table, r"row 1: recall@20 of user 'u' \(served, all, all\) stands there twice; keep one \(1 such", tmp_path
    )


def test_file_without_rows_is_refused(tmp_path: Path) -> None:
    _refused(pl.DataFrame(GOOD).clear(), "has no rows; write it with", tmp_path)


@pytest.mark.parametrize("content", [None, b"PAR1 nothing PAR1"])
def test_file_that_is_no_parquet_is_refused(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "v.parquet"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DataError, match=r"v\.parquet cannot be read as Parquet"):
        PerUserTable.read(file)
