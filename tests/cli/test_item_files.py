from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recall.cli.item_files import batches, read_items
from recall.errors import DataError
from recall.live.convert import item_from_message, item_to_message
from recall.live.records import ItemRecord
from recall.tables import DataFolder
from recall.v1 import recall_pb2 as pb


def test_json_lines_become_items(tmp_path: Path) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text(
        '{"item_id": "a", "features": {"title": "x", "tags": ["p", "q"], "price": 2}, "attributes": {"shop": "s"}}\n'
        '\n{"item_id": "b", "features": {"image": [0.5, 1], "note": null}, "available_until": 1800000000}\n'
    )
    first, second = read_items(file, {}, attributes={})
    assert first == ItemRecord(
        item_id="a", features={"title": "x", "tags": ("p", "q"), "price": 2.0}, attributes={"shop": "s"}
    )
    assert list(second.features) == ["image"]
    assert (first.available_from, second.available_until) == (None, 1_800_000_000)
    np.testing.assert_array_equal(second.features["image"], np.array([0.5, 1], dtype=np.float32))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "no valid JSON"),
        ("[1]", 'no object with a string "item_id"'),
        ('{"item_id": 3}', 'no object with a string "item_id"'),
        ('{"item_id": "a", "feature": {}}', "unknown key 'feature'; known keys are attributes, available_from, "),
        ('{"item_id": "a", "available_from": "now"}', "whole seconds since 1970"),
        ('{"item_id": "a", "available_until": true}', "whole seconds since 1970"),
        ('{"item_id": "a", "features": {"f": true}}', "features.f: True has no kind"),
        ('{"item_id": "a", "features": {"f": [1, "a"]}}', "features.f: .* mixes types"),
        ('{"item_id": "a", "features": 1}', "are objects"),
    ],
)
def test_bad_line_is_named(tmp_path: Path, line: str, problem: str) -> None:
    file = tmp_path / "items.jsonl"
    file.write_text(f'{{"item_id": "fine"}}\n{line}\n')
    with pytest.raises(DataError, match=rf"items\.jsonl, line 2: .*{problem}"):
        list(read_items(file, {}, attributes={}))


def test_parquet_columns_are_cast_to_their_kinds(tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    pl.DataFrame(
        {"item_id": [7, 8], "year": [1999, 2000], "price": [1, None], "tags": [["a"], []], "new": [float("nan"), 1.5]}
    ).write_parquet(file)
    items = list(read_items(file, {"year": "category", "price": "number", "tags": "set"}, attributes={}))
    assert items == [
        ItemRecord(item_id="7", features={"year": "1999", "price": 1.0, "tags": ("a",)}),
        ItemRecord(item_id="8", features={"year": "2000", "new": 1.5}),
    ]


@pytest.mark.parametrize("declared", ["", '[item_features]\ntitle = "text"\nyear = "category"\nimage = "vector"\n'])
def test_parquet_items_are_those_that_load_stores(tmp_path: Path, declared: str) -> None:
    file = tmp_path / "items.parquet"
    columns = {"item_id": ["a", "b"], "title": ["One", ""], "year": [1999, None], "tags": [["x", "y"], []]}
    pl.DataFrame({**columns, "price": [float("nan"), 2.0], "image": [[0.5, 1.0], None]}).write_parquet(file)
    pl.DataFrame({"user_id": ["u"], "item_id": ["a"]}).write_parquet(tmp_path / "interactions.parquet")
    (tmp_path / "dataset.toml").write_text(declared)
    folder = DataFolder.open(tmp_path)
    features, attributes = (
        {spec.name: spec.kind for spec in specs}
        for specs in (folder.schema.item_features, folder.schema.item_attributes)
    )
    items = list(read_items(file, features, attributes=attributes))
    # As the server checks them; empty text counts as missing there.
    checked = [item_from_message(_message(item), folder.schema, path="item")[0] for item in items]
    loaded = [ItemRecord(item_id=i, features=f, attributes=a) for i, f, a in zip(*folder.items(), strict=True)]
    assert [_plain(item) for item in checked] == [_plain(item) for item in loaded]
    assert "price" in loaded[1].attributes


def _message(item: ItemRecord) -> pb.Item:
    return item_to_message(item.item_id, item.features, attributes=item.attributes)


def _plain(item: ItemRecord) -> tuple[str, list[object], list[object]]:
    maps = (item.features, item.attributes)
    features, attributes = (
        [(k, v.tolist() if isinstance(v, np.ndarray) else v) for k, v in sorted(m.items())] for m in maps
    )
    return item.item_id, features, attributes


def test_file_that_holds_no_items_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "items.parquet"
    file.write_bytes(b"no parquet")
    with pytest.raises(DataError, match=r"items\.parquet cannot be read as items"):
        list(read_items(file, {}, attributes={}))
    pl.DataFrame({"id": [1]}).write_parquet(file)
    with pytest.raises(DataError, match="no column 'item_id'; its columns are id"):
        list(read_items(file, {}, attributes={}))
    with pytest.raises(DataError, match=r"neither \.jsonl nor \.parquet"):
        read_items(tmp_path / "items.csv", {}, attributes={})


def test_batches_hold_at_most_their_size() -> None:
    items = [ItemRecord(item_id=str(n)) for n in range(5)]
    assert [len(batch) for batch in batches(iter(items), 2)] == [2, 2, 1]
