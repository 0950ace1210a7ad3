"""Parquet files written from batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from recall.errors import RecallError
from recall.live.parquet_stream import write_batches

SCHEMA = pl.Schema({"n": pl.String()})


def _frame(*values: str) -> pl.DataFrame:
    return pl.DataFrame({"n": list(values)})


def test_batches_follow_one_another_and_a_type_is_chosen_at_the_end(tmp_path: Path) -> None:
    frames = iter([_frame("3", "1"), _frame(), _frame("2")])
    write_batches(tmp_path / "f.parquet", frames, SCHEMA, finish=lambda rows: rows.cast(pl.Int64()))
    assert pl.read_parquet(tmp_path / "f.parquet").to_dict(as_series=False) == {"n": [3, 1, 2]}
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]


def test_no_batch_gives_a_file_without_rows(tmp_path: Path) -> None:
    write_batches(tmp_path / "f.parquet", [], SCHEMA)
    assert pl.read_parquet(tmp_path / "f.parquet").schema == SCHEMA


def test_failure_in_a_batch_keeps_the_former_file_and_nothing_else(tmp_path: Path) -> None:
    def batches() -> Iterator[pl.DataFrame]:
        yield _frame("new")
        raise KeyboardInterrupt

    write_batches(tmp_path / "f.parquet", [_frame("old")], SCHEMA)
    with pytest.raises(KeyboardInterrupt):
        write_batches(tmp_path / "f.parquet", batches(), SCHEMA)
    assert pl.read_parquet(tmp_path / "f.parquet")["n"].to_list() == ["old"]
    assert [path.name for path in tmp_path.iterdir()] == ["f.parquet"]


def test_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecallError, match="name a writable folder"):
        write_batches(tmp_path / "none" / "f.parquet", [], SCHEMA)
