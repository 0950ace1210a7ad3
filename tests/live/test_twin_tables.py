"""The part `twins/` of a snapshot: what is written is read, and what is damaged is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from recall.live.twin_tables import BANDING, TwinTables
from recall.model.hashing import hash_values
from recall.model.signatures import Banding
from recall.model.token_sets import TokenSets
from recall.schema import FeatureSpec

SAMPLE = Path(__file__).parents[1] / "samples" / "twins-v1"
SPECS = (FeatureSpec(name="tags", kind="set", domain="tags"),)
ROWS = ["abcd", "", "abce", "wxyz", "abcd"]


def _tokens(letters: str) -> np.ndarray:
    return np.sort(hash_values("tags", list(letters)))


@pytest.fixture
def tables() -> TwinTables:
    return TwinTables.build(SPECS, TokenSets.of([_tokens(letters) for letters in ROWS]))


@pytest.fixture
def folder(tmp_path: Path, tables: TwinTables) -> Path:
    tables.save(tmp_path)
    return tmp_path


def test_keys_ascend_within_a_band_and_lead_to_their_rows(tables: TwinTables) -> None:
    assert tables.keys.shape == tables.rows.shape == (BANDING.num_bands, 4)
    assert (np.diff(tables.keys.astype(np.int64), axis=1) >= 0).all()
    keys = BANDING.keys(tables.sets.take(np.array([0, 2, 3, 4])), tables.permutations)
    for band in range(BANDING.num_bands):
        wanted = sorted(zip(keys[:, band].tolist(), [0, 2, 3, 4], strict=True))
        assert list(zip(tables.keys[band].tolist(), tables.rows[band].tolist(), strict=True)) == wanted


def test_equal_sets_are_candidates_and_disjoint_ones_are_not(tables: TwinTables) -> None:
    assert set(tables.candidates(_tokens("abcd")).tolist()) - {2} == {0, 4}
    assert tables.candidates(_tokens("wxyz")).tolist() == [3]
    assert tables.candidates(_tokens("q")).tolist() == []


def test_what_is_saved_is_loaded_without_being_read_into_memory(folder: Path, tables: TwinTables) -> None:
    loaded = TwinTables.load(folder, num_rows=5)
    assert (loaded.specs, loaded.banding) == (SPECS, BANDING)
    assert [loaded.sets.row(row).tolist() for row in range(5)] == [tables.sets.row(row).tolist() for row in range(5)]
    for letters in ROWS[2:]:
        np.testing.assert_array_equal(loaded.candidates(_tokens(letters)), tables.candidates(_tokens(letters)))
    for array in (loaded.sets.tokens, loaded.keys, loaded.rows):
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable


def test_other_banding_than_that_of_today_is_read_as_it_was_written(tmp_path: Path) -> None:
    banding = Banding(num_permutations=8, rows_per_band=2, seed=9)
    TwinTables.build(SPECS, TokenSets.of([_tokens("abcd")]), banding).save(tmp_path)
    loaded = TwinTables.load(tmp_path, num_rows=1)
    assert loaded.banding == banding
    assert loaded.candidates(_tokens("abcd")).tolist() == [0]


def test_no_items_are_saved_and_loaded(tmp_path: Path) -> None:
    TwinTables.build((), TokenSets.of([])).save(tmp_path)
    loaded = TwinTables.load(tmp_path, num_rows=0)
    assert (loaded.num_rows, loaded.specs) == (0, ())
    assert loaded.candidates(_tokens("a")).tolist() == []


def test_another_number_of_items_is_refused(folder: Path) -> None:
    with pytest.raises(SnapshotDamagedError, match="6 offsets for 4 items"):
        TwinTables.load(folder, num_rows=4)


@pytest.mark.parametrize(
    "name", ["tokens.npy", "offsets.npy", "permutations.npy", "keys.npy", "rows.npy", "twins.json"]
)
def test_missing_and_short_files_are_refused_by_name(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(SnapshotDamagedError, match=name):
        TwinTables.load(folder, num_rows=5)
    (folder / name).unlink()
    with pytest.raises(SnapshotDamagedError, match=f"{name} is missing"):
        TwinTables.load(folder, num_rows=5)


@pytest.mark.parametrize(
    ("name", "array", "problem"),
    [
        ("rows.npy", np.full((BANDING.num_bands, 4), 5, dtype=np.int32), "leads to rows from 5 to 5; want .* below 5"),
        ("rows.npy", np.full((BANDING.num_bands, 4), -1, dtype=np.int32), "leads to rows from -1"),
        ("keys.npy", np.zeros((BANDING.num_bands, 3), dtype=np.uint32), r"holds keys \[32, 3\]"),
        ("permutations.npy", np.ones((2, 95), dtype=np.uint32), r"holds permutations \[2, 95\]; want \[2, 96\]"),
        ("offsets.npy", np.array([0, 4, 4, 3, 12, 16]), "do not ascend"),
        ("offsets.npy", np.array([0, 4, 4, 8, 12, 17]), "do not ascend from 0 to 16"),
    ],
)
def test_arrays_that_do_not_fit_each_other_are_refused(
    folder: Path, name: str, array: np.ndarray, problem: str
) -> None:
    np.save(folder / name, array)
    with pytest.raises(SnapshotDamagedError, match=problem):
        TwinTables.load(folder, num_rows=5)


def test_facts_of_another_version_or_without_sense_are_refused(folder: Path) -> None:
    facts = json.loads((folder / "twins.json").read_text())
    (folder / "twins.json").write_text(json.dumps({**facts, "format_version": 2}))
    with pytest.raises(SnapshotMismatchError, match="format version 2, this program reads 1"):
        TwinTables.load(folder, num_rows=5)
    (folder / "twins.json").write_text(json.dumps({**facts, "rows_per_band": 0}))
    with pytest.raises(SnapshotDamagedError, match="rows_per_band"):
        TwinTables.load(folder, num_rows=5)


def test_sample_of_version_1_loads_and_finds_the_twins_that_it_found() -> None:
    """Rows: "A deep well" with the tag water; nothing; the same and two more; another tag."""
    tables = TwinTables.load(SAMPLE, num_rows=4)
    assert [spec.name for spec in tables.specs] == ["title", "tags", "cites"]
    rows = [{"title": "a deep well", "tags": ("Water",)}, {"tags": ("fire",)}]
    asked = TokenSets.of_features(tables.specs, rows)
    np.testing.assert_array_equal(tables.sets.row(0), asked.row(0))
    assert [tables.candidates(asked.row(row)).tolist() for row in range(2)] == [[0, 2], [3]]
    assert np.diff(tables.sets.offsets).tolist() == [4, 0, 6, 1]
