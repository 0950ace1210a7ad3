"""Data folders: what is read as what, and every refusal with its place and cure."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recall.errors import DataError
from recall.schema import FeatureSpec
from recall.tables import DataFolder

Make: Any = Callable[..., Path]
ITEMS: Mapping[str, object] = {"item_id": ["a", "b", "c"]}
PAIRS: Mapping[str, object] = {"user_id": ["u", "u", "v"], "item_id": ["a", "b", "a"]}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Returns what writes a data folder from tables, given as columns or frames."""

    def write(interactions: Any = PAIRS, items: Any = ITEMS, users: Any = None, *, toml: str | None = None) -> Path:
        for name, table in (("interactions", interactions), ("items", items), ("users", users)):
            if table is not None:
                pl.DataFrame(table).write_parquet(tmp_path / f"{name}.parquet")
        if toml is not None:
            (tmp_path / "dataset.toml").write_text(toml, encoding="utf-8")
        return tmp_path

    return write


def _refused(folder: Path, message: str, *, reads: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        getattr(DataFolder.open(folder), reads)()
    assert str(folder) in str(caught.value)


# Kinds


def test_kinds_come_from_column_types(make: Make) -> None:
    items = pl.DataFrame(
        {
            "item_id": [1, 2],
            "brand": ["x", None],
            "grade": pl.Series(["a", "b"], dtype=pl.Categorical),
            "size": pl.Series(["s", "m"], dtype=pl.Enum(["s", "m"])),
            "sold": [True, False],
            "tags": [["t"], []],
            "related": [[1, 2], [3]],
            "stock": [3, None],
            "price": [1.5, 2.0],
            "image": [[0.5, 1.0], [2.0, 3.0]],
            "grid": pl.Series([[1.0, 2.0], [3.0, 4.0]], dtype=pl.Array(pl.Float32, 2)),
        }
    )
    folder = DataFolder.open(make({"user_id": ["u"], "item_id": [1]}, items, {"user_id": ["u"], "age": [3]}))
    kinds = {spec.name: spec.kind for spec in folder.schema.item_features}
    assert kinds == {
        **dict.fromkeys(("brand", "grade", "size", "sold"), "category"),
        **dict.fromkeys(("tags", "related"), "set"),
        **dict.fromkeys(("stock", "price"), "number"),
        **dict.fromkeys(("image", "grid"), "vector"),
    }
    assert [spec.name for spec in folder.schema.item_attributes] == [
        name for name, kind in kinds.items() if kind != "vector"
    ]
    assert folder.schema.user_features == (FeatureSpec(name="age", kind="number", domain="age"),)
    ids, features, _ = folder.items()
    assert ids == ["1", "2"]
    image, grid = (features[0].get(name) for name in ("image", "grid"))
    assert isinstance(image, np.ndarray)
    assert isinstance(grid, np.ndarray)
    assert (image.dtype, image.tolist(), grid.tolist()) == (np.float32, [0.5, 1.0], [1.0, 2.0])
    plain = {name: value for name, value in features[0].items() if name not in ("image", "grid")}
    assert plain == {
        "brand": "x", "grade": "a", "size": "s", "sold": "true", "tags": ("t",), "related": ("1", "2"),
        "stock": 3.0, "price": 1.5,
    }  # fmt: skip
    assert set(features[1]) == set(kinds) - {"brand", "tags", "stock"}


def test_text_is_text_only_when_declared_and_declaring_lists_all(make: Make) -> None:
    items = {"item_id": ["a"], "title": ["Hello there"], "brand": ["x"], "code": [7]}
    toml = '[item_features]\ntitle = "text"\ncode = "category"\n[item_attributes]\nbrand = "category"\n'
    folder = DataFolder.open(make(PAIRS, items, toml=toml))
    assert [(s.name, s.kind) for s in folder.schema.item_features] == [("title", "text"), ("code", "category")]
    assert [s.name for s in folder.schema.item_attributes] == ["brand"]
    assert folder.items()[1:] == ([{"title": "Hello there", "code": "7"}], [{"brand": "x"}])


def test_attributes_by_default_are_filterable_columns_with_declared_kinds(make: Make) -> None:
    items = {"item_id": ["a"], "title": ["x y"], "brand": ["x"], "price": [1.0], "image": [[1.0]]}
    folder = DataFolder.open(make(PAIRS, items, toml='[item_features]\ntitle = "text"\nprice = "number"\n'))
    assert [(s.name, s.kind) for s in folder.schema.item_attributes] == [("brand", "category"), ("price", "number")]


def test_domains_default_to_the_column_and_may_be_shared(make: Make) -> None:
    items = {"item_id": ["a"], "related": [["a"]], "brand": ["x"]}
    toml = '[domains]\n"items.related" = "item_id"\n"users.likes" = "brand"\n'
    folder = DataFolder.open(make(PAIRS, items, {"user_id": ["u"], "likes": ["x"]}, toml=toml))
    assert {s.name: s.domain for s in folder.schema.item_features} == {"related": "item_id", "brand": "brand"}
    assert folder.schema.user_features[0].domain == "brand"


def test_folder_without_toml_and_users_has_defaults(make: Make) -> None:
    folder = DataFolder.open(make())
    assert folder.schema.name == folder.path.name
    assert folder.users() == ([], [])
    assert folder.schema.item_features == folder.schema.user_features == ()


def test_missing_values_are_absent_keys(make: Make) -> None:
    items = {
        "item_id": ["a", "b", "c"],
        "price": [float("nan"), None, 0.0],
        "brand": ["", None, "x"],
        "tags": [[], None, ["t"]],
        "image": [[], None, [1.0]],
    }
    assert DataFolder.open(make(PAIRS, items)).items()[1][:2] == [{}, {}]


def test_columns_that_are_missing_everywhere_are_allowed(make: Make) -> None:
    items = pl.DataFrame(
        {"item_id": ["a"], "brand": [None], "price": [None], "tags": [None]},
        schema_overrides={"brand": pl.String, "price": pl.Float64, "tags": pl.List(pl.String)},
    )
    assert DataFolder.open(make({"user_id": ["u"], "item_id": ["a"]}, items)).items()[1] == [{}]


def test_integer_ids_are_decimal_strings_and_meet_string_ids(make: Make) -> None:
    pairs = {"user_id": [7, 8], "item_id": [1, 20]}
    folder = DataFolder.open(make(pairs, {"item_id": ["1", "20"]}, {"user_id": ["8"], "age": [3.0]}))
    table = folder.interactions()
    assert (table["user_id"].to_list(), table["item_id"].to_list()) == (["7", "8"], ["1", "20"])
    assert folder.users() == (["8"], [{"age": 3.0}])


def test_large_unsigned_ids_keep_all_digits(make: Make) -> None:
    items = pl.DataFrame({"item_id": [2**64 - 1]}, schema={"item_id": pl.UInt64})
    assert DataFolder.open(make({"user_id": ["u"], "item_id": ["x"]}, items)).items()[0] == [str(2**64 - 1)]


# Interactions


def test_interactions_keep_file_order_types_and_known_columns(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    split = ["train", "test", "validation"]
    pairs = {**PAIRS, "timestamp": [3, 1, 2], "weight": [1, 2, 3], "split": split, "note": [1, 2, 3]}
    folder = DataFolder.open(make(pairs))
    with caplog.at_level(logging.WARNING):
        table = folder.interactions()
    assert table.schema == {
        "user_id": pl.String, "item_id": pl.String, "timestamp": pl.Int64, "weight": pl.Float64, "split": pl.String,
    }  # fmt: skip
    assert table["timestamp"].to_list() == [3, 1, 2]
    assert "ignoring columns note" in caplog.text


def test_rows_below_min_weight_are_no_positives(make: Make) -> None:
    toml = "[interactions]\nmin_weight = 4.0\n"
    folder = DataFolder.open(make({**PAIRS, "weight": [4.0, 3.9, 5.0]}, toml=toml))
    assert folder.interactions()["item_id"].to_list() == ["a", "a"]
    assert folder.interactions()["user_id"].to_list() == ["u", "v"]


def test_min_weight_that_no_row_has_is_named(make: Make) -> None:
    folder = make({**PAIRS, "weight": [4.0, 3.9, 5.0]}, toml="[interactions]\nmin_weight = 9.0\n")
    problem = r"min_weight = 9\.0 leaves none of 3 rows, whose greatest weight is 5\.0; lower it in dataset\.toml"
    _refused(folder, problem, reads="interactions")


def test_without_min_weight_every_row_is_a_positive(make: Make) -> None:
    assert len(DataFolder.open(make({**PAIRS, "weight": [-4.0, 0.0, 5.0]})).interactions()) == 3


def test_min_weight_needs_the_column(make: Make) -> None:
    _refused(
        make(toml="[interactions]\nmin_weight = 4.0\n"), "no column 'weight'.*min_weight = 4.0", reads="interactions"
    )


@pytest.mark.parametrize("weight", [None, float("nan"), float("inf")])
def test_weight_that_is_no_number_is_refused(weight: float | None, make: Make) -> None:
    _refused(make({**PAIRS, "weight": [4.0, weight, 5.0]}), "row 1: weight is .*; fill it", reads="interactions")


def test_interactions_of_unknown_items_are_ignored_with_a_notice(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    folder = DataFolder.open(make({"user_id": ["u", "u", "v", "v"], "item_id": ["a", "zz", "b", "yy"]}))
    with caplog.at_level(logging.WARNING):
        table = folder.interactions()
    assert table["item_id"].to_list() == ["a", "b"]
    assert "ignoring 2 rows" in caplog.text
    assert "zz" in caplog.text


def test_pair_may_return_at_another_time_even_in_another_part(make: Make) -> None:
    pairs = {"user_id": ["u", "u"], "item_id": ["a", "a"], "timestamp": [1, 2], "split": ["train", "test"]}
    assert len(DataFolder.open(make(pairs)).interactions()) == 2


def test_same_pair_of_two_users_or_items_is_no_duplicate(make: Make) -> None:
    pairs = {"user_id": ["u", "v", "u", "ua"], "item_id": ["a", "a", "b", "a"]}
    assert len(DataFolder.open(make(pairs, {"item_id": ["a", "b", "aa"]})).interactions()) == 4


def test_table_read_in_pieces_is_the_table(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = {"user_id": [*"uvuwvx"], "item_id": [*"abcaca"], "timestamp": [*range(6)], "weight": [1.0] * 6,
             "split": ["train", "test", "train", "validation", "train", "test"]}  # fmt: skip
    folder = DataFolder.open(make(pairs))
    whole = folder.interactions()
    monkeypatch.setattr("recall.interactions._PIECE", 2)
    assert folder.interactions().equals(whole)
    assert whole.equals(pl.DataFrame(pairs))
    coded = folder.coded_interactions(keep_weights=False)
    assert coded.weights is None
    assert coded.user_ids.to_list() == ["u", "v", "w", "x"]
    assert coded.items.tolist() == [0, 1, 2, 0, 2, 0]


def test_empty_table_has_no_interactions(make: Make) -> None:
    table = pl.DataFrame(PAIRS).with_columns(timestamp=1).clear()
    assert DataFolder.open(make(table)).interactions().is_empty()


# Refusals


@pytest.mark.parametrize("piece", [2, 1 << 20])
@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ({**PAIRS, "user_id": ["u", None, "v"]}, "row 1: user_id is null or empty; give every row an id"),
        ({**PAIRS, "item_id": ["a", "b", None]}, "row 2: item_id is null or empty"),
        ({**PAIRS, "item_id": ["", "b", "a"]}, "row 0: item_id is null or empty"),
        ({**PAIRS, "user_id": ["u", "é" * 256 + "x", "v"]}, "user_id 'é.*'... has 513 bytes of UTF-8.*at most 512"),
        ({**PAIRS, "user_id": [1.0, 2.0, 3.0]}, "'user_id' is Float64; ids are strings or integers"),
        ({"user_id": ["u"]}, "no column 'item_id'; its columns are"),
        ({"item_id": ["a"]}, "no column 'user_id'"),
        ({"user_id": ["u", "v", "u"], "item_id": ["a", "a", "a"]}, "row 2: user_id u, item_id a stands there twice"),
        (
            {"user_id": ["u"] * 3, "item_id": ["a"] * 3, "timestamp": [1, 2, 1]},
            "row 2: user_id u, item_id a, timestamp 1 stands there twice; keep one row",
        ),
        (
            {"user_id": ["u", "u"], "item_id": ["a", "a"], "split": ["train", "test"]},
            "row 1: user_id u, item_id a is in two parts of the split; keep it in one",
        ),
        (
            {"user_id": ["u", "u"], "item_id": ["a", "a"], "split": ["train", "test"], "timestamp": [5, 5]},
            "row 1: user_id u, item_id a, timestamp 5 is in two parts of the split",
        ),
        ({**PAIRS, "split": ["train", "dev", "test"]}, "row 1: split is 'dev'; it must be train, validation or test"),
        ({**PAIRS, "split": ["train", None, "test"]}, "row 1: split is None"),
        ({**PAIRS, "split": [0, 1, 2]}, "'split' is Int64; it holds train, validation or test"),
        ({**PAIRS, "timestamp": [1.0, 2.0, 3.0]}, "'timestamp' is Float64; timestamps are integers, in seconds"),
        ({**PAIRS, "timestamp": [1, None, 3]}, "row 1: timestamp is null; fill it or drop the column"),
        ({**PAIRS, "timestamp": pl.Series([1, 2, 2**63], dtype=pl.UInt64)}, f"row 2: timestamp is {2**63}, beyond"),
        ({**PAIRS, "weight": ["1", "2", "3"]}, "'weight' is String; weights are numbers"),
    ],
)  # fmt: skip
def test_interactions_that_break_the_contract_are_refused(
    pairs: Any, message: str, piece: int, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recall.interactions._PIECE", piece)
    _refused(make(pairs), message, reads="interactions")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ({"item_id": ["a", "b", "a"]}, "row 2: item_id 'a' stands there twice; keep one row an id"),
        ({"item_id": [1, None]}, "row 1: item_id is null or empty"),
        ({"item_id": ["é" * 256, "x" * 513]}, "row 1: item_id 'x.*'... has 513 bytes of UTF-8.*an id of at most 512"),
        ({"title": ["a"]}, "no column 'item_id'"),
        ({"item_id": ["a", "b"], "price": [1.0, float("inf")]}, "row 1, column 'price': inf is not finite"),
        ({"item_id": ["a", "b"], "image": [[1.0, 2.0], [1.0]]}, r"row 1, column 'image': it has shape \[1\]; send 2"),
        ({"item_id": ["a"], "image": [[1.0, None]]}, "row 0, column 'image'"),
        ({"item_id": ["a", "b"], "tags": [["x"], ["y", None]]}, "row 1, column 'tags': element 1 is None"),
    ],
)
def test_items_that_break_the_contract_are_refused(items: Any, message: str, make: Make) -> None:
    _refused(make(PAIRS, items), message, reads="items")


def test_repeated_user_is_refused(make: Make) -> None:
    _refused(make(users={"user_id": ["u", "u"], "age": [1, 2]}), "row 1: user_id 'u' stands there twice", reads="users")


@pytest.mark.parametrize("name", ["interactions", "items"])
def test_absent_table_is_named(name: str, make: Make) -> None:
    folder = make(**{name: None})
    with pytest.raises(DataError, match=f"{name}.parquet does not exist; a data folder needs"):
        DataFolder.open(folder)


def test_file_that_is_no_parquet_is_refused(make: Make) -> None:
    folder = make()
    (folder / "items.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match=r"items.parquet cannot be read as Parquet.*; write it again"):
        DataFolder.open(folder)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[item_features]\ntitle = "text"\n', "declares items.title, which items.parquet lacks; drop or add it"),
        ('[user_features]\nage = "number"\n', "declares users.age, which users.parquet lacks"),
        ('[item_attributes]\nprice = "number"\n', "declares items.price, which items.parquet lacks"),
        ('[item_features]\nbrand = "number"\n', "items.brand is String, which cannot be read as number; cast it"),
        ('[item_features]\nbrand = "set"\n', "items.brand is String, which cannot be read as set"),
        ('[item_features]\nbrand = "vector"\n', "items.brand is String, which cannot be read as vector"),
        ('[item_features]\nstock = "text"\n', "items.stock is Int64, which cannot be read as text"),
        ('[item_features]\nstock = "set"\n', "items.stock is Int64, which cannot be read as set"),
        ('[item_features]\ntags = "category"\n', r"items.tags is List\(String\), which cannot be read as category"),
        ('[item_features]\ntags = "vector"\n', r"items.tags is List\(String\), which cannot be read as vector"),
        ('[domains]\n"items.relatd" = "item_id"\n', "'items.relatd' a domain, which is no column"),
        ('[domains]\nbrand = "x"\n', "'brand' a domain, which is no column"),
        ('nme = "x"\n', "unknown key 'nme'; remove it or correct its spelling"),
        ("[split]\nratio = 0.1\n", "unknown key 'split.ratio'"),
        ('[split]\nrule = "weekly"\n', "split.rule = 'weekly': Input should be"),
        ("[split]\ntest = 1.0\n", "split.test = 1.0"),
        ("[interactions]\nmin_rating = 4\n", "unknown key 'interactions.min_rating'"),
        ('[item_features]\nbrand = "image"\n', "item_features.brand = 'image'"),
        ('[item_attributes]\nbrand = "text"\n', "item_attributes.brand = 'text'"),
        ("name = \n", "is not valid TOML"),
    ],
)
def test_toml_that_does_not_fit_is_refused(toml: str, message: str, make: Make) -> None:
    items = {"item_id": ["a"], "brand": ["x"], "stock": [1], "tags": [["x"]]}
    with pytest.raises(DataError, match=message):
        DataFolder.open(make(PAIRS, items, toml=toml))


def test_toml_in_another_encoding_is_refused(make: Make) -> None:
    folder = make()
    (folder / "dataset.toml").write_bytes('name = "caf\u00e9"\n'.encode("latin-1"))
    with pytest.raises(DataError, match="is not valid TOML"):
        DataFolder.open(folder)


def test_column_of_a_type_that_is_no_kind_is_refused_unless_left_out(make: Make) -> None:
    items = {"item_id": ["a"], "day": [date(2020, 1, 1)], "brand": ["x"]}
    with pytest.raises(DataError, match="'day' is Date, which is no feature kind; cast it or list the features"):
        DataFolder.open(make(PAIRS, items))
    both = '[item_features]\nbrand = "category"\n[item_attributes]\nbrand = "category"\n'
    assert DataFolder.open(make(PAIRS, items, toml=both)).items()[1] == [{"brand": "x"}]


def test_column_that_is_neither_feature_nor_attribute_need_not_have_a_kind(make: Make) -> None:
    items = {"item_id": ["a"], "day": [date(2020, 1, 1)], "brand": ["x"]}
    folder = DataFolder.open(make(PAIRS, items, toml='[item_features]\nbrand = "category"\n'))
    assert [s.name for s in folder.schema.item_attributes] == ["brand"]


def test_vector_column_without_any_value_is_refused(make: Make) -> None:
    items = pl.DataFrame({"item_id": ["a"], "image": [[]]}, schema_overrides={"image": pl.List(pl.Float32)})
    with pytest.raises(DataError, match="every value of vector column 'image' is empty; drop the column"):
        DataFolder.open(make(PAIRS, items))
