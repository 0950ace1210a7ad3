"""Columns of attributes: what is taken, growing and frozen forms of the same rows, and their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index import bitmap
from index.attribute_columns import InvertedLabels, Numbers, PairedLabels
from index.attribute_files import load_attributes, save_attributes
from index.attribute_growth import GrowingAttributes
from index.attributes import AttributeMap, Attributes, ColumnSpec, check_attributes
from index.errors import InvalidIndexConfigError, InvalidQueryError, SnapshotDamagedError, SnapshotMismatchError

SPECS = (
    ColumnSpec(name="color", kind="category"),
    ColumnSpec(name="tags", kind="set"),
    ColumnSpec(name="size", kind="number"),
)
ROWS: list[AttributeMap] = [
    {"color": "red", "tags": ("new", "é"), "size": 1},
    {"tags": ["new", "new"], "size": 2.5},
    {"color": "blue", "tags": ()},
    {},
    {"color": "red", "tags": frozenset(["old"]), "size": 2**53},
]


VALUES = {
    "color": ["red", None, "blue", None, "red"],
    "tags": [("new", "é"), ("new",), None, None, ("old",)],
    "size": [1.0, 2.5, None, None, 2.0**53],
}


@pytest.fixture
def grown() -> GrowingAttributes:
    columns = GrowingAttributes(SPECS)
    columns.append(ROWS[:2])
    columns.append(ROWS[2:])
    return columns


def rows_of(attributes: Attributes, name: str, values: tuple[str | float, ...]) -> list[int]:
    column = attributes.by_name()[name]
    return bitmap.to_rows(column.any_of(values), attributes.num_rows).tolist()


def check_rows(attributes: Attributes) -> None:
    assert rows_of(attributes, "color", ("red",)) == [0, 4]
    assert rows_of(attributes, "color", ("blue", "red", "none")) == [0, 2, 4]
    assert rows_of(attributes, "color", ()) == []
    assert rows_of(attributes, "color", ("re", "redd", "", "zzz")) == []
    assert rows_of(attributes, "tags", ("new",)) == [0, 1]
    assert rows_of(attributes, "tags", ("old", "é")) == [0, 4]
    assert rows_of(attributes, "size", (2.5, 2**53, 7)) == [1, 4]
    present = {name: bitmap.to_rows(column.present(), 5).tolist() for name, column in attributes.by_name().items()}
    assert present == {"color": [0, 2, 4], "tags": [0, 1, 4], "size": [0, 1, 4]}
    for rows in ([0, 1, 2, 3, 4], [4, 0, 4], []):
        found = {name: attributes.values_at(name, np.array(rows, dtype=np.int64)) for name in VALUES}
        assert found == {name: [values[row] for row in rows] for name, values in VALUES.items()}


def test_growing_and_frozen_columns_answer_alike(grown: GrowingAttributes) -> None:
    check_rows(grown.until(5))
    check_rows(grown.frozen())
    assert [type(column) for column in grown.until(5).columns] == [PairedLabels, PairedLabels, Numbers]
    assert [type(column) for column in grown.frozen().columns] == [InvertedLabels, InvertedLabels, Numbers]


def test_rows_within_bounds_include_both_ends_and_no_missing_number(grown: GrowingAttributes) -> None:
    column = grown.frozen().columns[2]
    assert isinstance(column, Numbers)
    assert bitmap.to_rows(column.within(1, 2.5), 5).tolist() == [0, 1]
    assert bitmap.to_rows(column.within(-np.inf, np.inf), 5).tolist() == [0, 1, 4]


def test_reader_of_fewer_rows_does_not_see_later_ones(grown: GrowingAttributes) -> None:
    before = grown.until(2)
    grown.append([{"color": "red", "tags": ("new",), "size": 1}] * 500)
    for attributes in (before, grown.until(2)):
        assert rows_of(attributes, "color", ("red",)) == [0]
        assert rows_of(attributes, "tags", ("new",)) == [0, 1]
        assert rows_of(attributes, "size", (1,)) == [0]
    assert len(rows_of(grown.until(505), "color", ("red",))) == 502
    assert grown.until(505).values_at("color", np.array([504, 1])) == ["red", None]


def test_frozen_takes_rows_in_another_order_and_leaves_out_others(grown: GrowingAttributes) -> None:
    some = grown.frozen(np.array([4, 1, 0]))
    assert rows_of(some, "color", ("red",)) == [0, 2]
    assert rows_of(some, "tags", ("new",)) == [1, 2]
    assert rows_of(some, "tags", ("old",)) == [0]
    assert rows_of(some, "size", (1,)) == [2]
    assert some.values_at("tags", np.arange(3)) == [("old",), ("new",), ("new", "é")]
    labels = some.columns[0]
    assert isinstance(labels, InvertedLabels)
    assert labels.label_bytes.tobytes() == b"red"  # nothing is kept of a label that no row has


def test_taken_rows_go_on_growing(grown: GrowingAttributes) -> None:
    taken = grown.taken(np.array([1, 4]))
    taken.append([{"color": "blue", "tags": ("old",), "size": 2.5}, {}])
    assert taken.num_rows == 4
    assert rows_of(taken.until(4), "color", ("red", "blue")) == [1, 2]
    assert rows_of(taken.until(4), "tags", ("old",)) == [1, 2]
    assert rows_of(taken.until(4), "size", (2.5,)) == [0, 2]
    assert taken.until(4).values_at("color", np.arange(4)) == [None, "red", "blue", None]
    assert rows_of(grown.taken(np.empty(0, dtype=np.int64)).until(0), "tags", ("old",)) == []


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (
            {"colour": "red"},
            "item 'b' has the attribute 'colour'; known columns are color (category), tags (set), size",
        ),
        ({"color": 3}, "attribute 'color' of item 'b' is 3; want a string"),
        ({"color": ("red",)}, "is ('red',); want a string"),
        ({"tags": "new"}, "attribute 'tags' of item 'b' is 'new'; want a collection of strings"),
        ({"tags": ("new", 1)}, "want a collection of strings"),
        ({"size": "2"}, "attribute 'size' of item 'b' is '2'; want an int or float"),
        ({"size": float("nan")}, "is nan; want a finite number, or leave it out"),
        ({"size": 2**60 + 1}, "which float64 cannot hold"),
    ],
)
def test_value_of_another_kind_is_refused_by_item_and_column(row: AttributeMap, text: str) -> None:
    with pytest.raises(InvalidQueryError) as refused:
        check_attributes(SPECS, ["a", "b"], [{"color": "red"}, row])
    assert text in str(refused.value)


def test_one_mapping_an_item_is_wanted_and_each_column_once() -> None:
    with pytest.raises(InvalidQueryError, match="1 attributes for 2 item_ids; want one mapping each"):
        check_attributes(SPECS, ["a", "b"], [{}])
    with pytest.raises(InvalidIndexConfigError, match="attribute 'color' comes twice"):
        GrowingAttributes([SPECS[0], SPECS[0]])
    with pytest.raises(InvalidIndexConfigError, match="of kind 'text'; want a name and one of category, set, number"):
        ColumnSpec(name="title", kind="text")


def test_saved_columns_are_read_as_they_were(grown: GrowingAttributes, tmp_path: Path) -> None:
    save_attributes(tmp_path, grown.frozen())
    loaded = load_attributes(tmp_path, 5)
    assert loaded is not None
    assert loaded.specs == SPECS
    check_rows(loaded)


def test_values_of_an_unknown_column_are_refused(grown: GrowingAttributes) -> None:
    with pytest.raises(InvalidQueryError, match="'colour' is no column; known columns are color"):
        grown.frozen().values_at("colour", np.arange(2))


@pytest.mark.parametrize("specs", [SPECS, ()])
def test_columns_without_rows_are_saved_and_read(specs: tuple[ColumnSpec, ...], tmp_path: Path) -> None:
    save_attributes(tmp_path, GrowingAttributes(specs).frozen())
    loaded = load_attributes(tmp_path, 0)
    assert loaded is not None
    assert (loaded.specs, loaded.num_rows) == (specs, 0)


def test_folder_without_columns_has_no_attributes(tmp_path: Path) -> None:
    assert load_attributes(tmp_path, 5) is None


def test_damaged_files_are_named(grown: GrowingAttributes, tmp_path: Path) -> None:
    save_attributes(tmp_path, grown.frozen())
    with pytest.raises(SnapshotDamagedError, match=r"attribute_0_starts\.npy and its sister files hold no labels of 4"):
        load_attributes(tmp_path, 4)
    (tmp_path / "attribute_1_rows.npy").unlink()
    with pytest.raises(SnapshotDamagedError, match=r"attribute_1_rows\.npy is missing"):
        load_attributes(tmp_path, 5)
    (tmp_path / "attributes.json").write_text('{"format_version": 1, "columns": [{"name": "a", "kind": "text"}]}')
    with pytest.raises(SnapshotDamagedError, match=r"attributes\.json states no usable columns"):
        load_attributes(tmp_path, 5)
    (tmp_path / "attributes.json").write_text('{"format_version": 2}')
    with pytest.raises(SnapshotMismatchError, match="has format version 2, this program reads 1; rebuild"):
        load_attributes(tmp_path, 5)
