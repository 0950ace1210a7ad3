"""Values <-> messages and payloads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from recall.live.convert import (
    check_id,
    features_from_message,
    features_to_messages,
    from_payload,
    item_from_message,
    item_to_message,
    to_payload,
)
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from recall.v1 import recall_pb2 as pb

SPECS = (
    FeatureSpec(name="genre", kind="category", domain="genre"),
    FeatureSpec(name="tags", kind="set", domain="tags"),
    FeatureSpec(name="title", kind="text", domain="title"),
    FeatureSpec(name="price", kind="number", domain="price"),
    FeatureSpec(name="image", kind="vector", domain="image", dim=3),
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
vectors = hnp.arrays(np.float32, st.integers(1, 8), elements=st.floats(width=32, allow_nan=False, allow_infinity=False))
values = st.one_of(
    text, st.floats(allow_nan=False, allow_infinity=False), st.lists(text, max_size=4).map(tuple), vectors
)
feature_maps = st.dictionaries(text.filter(bool), values, max_size=5)


def assert_same(seen: FeatureMap, wanted: FeatureMap) -> None:
    assert seen.keys() == wanted.keys()
    for name, value in wanted.items():
        if isinstance(value, np.ndarray):
            assert seen[name].dtype == np.float32
            np.testing.assert_array_equal(seen[name], value)
        else:
            assert type(seen[name]) is type(value)
            assert seen[name] == value


def over_the_wire(features: FeatureMap) -> pb.Item:
    return pb.Item.FromString(pb.Item(features=features_to_messages(features)).SerializeToString())


@given(features=feature_maps)
def test_wire_round_trip_of_columns_no_schema_knows_keeps_every_value(features: FeatureMap) -> None:
    seen, violations, unknown = features_from_message(over_the_wire(features).features, (), path="features")

    assert_same(seen, features)
    assert violations == []
    assert unknown == sorted(features)


@given(
    genre=text.filter(bool),
    tags=st.lists(text, min_size=1, max_size=4).map(tuple),
    price=st.floats(allow_nan=False, allow_infinity=False),
    image=hnp.arrays(np.float32, 3, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)),
)
def test_wire_round_trip_of_known_columns_keeps_every_value(
    genre: str, tags: tuple[str, ...], price: float, image: np.ndarray
) -> None:
    features = {"genre": genre, "tags": tags, "title": genre, "price": price, "image": image}

    seen, violations, unknown = features_from_message(over_the_wire(features).features, SPECS, path="features")

    assert_same(seen, features)
    assert (violations, unknown) == ([], [])


@given(features=feature_maps, attributes=feature_maps)
def test_payload_round_trip_keeps_features_and_attributes_apart(features: FeatureMap, attributes: FeatureMap) -> None:
    seen_features, seen_attributes = from_payload(to_payload(features, attributes))

    assert_same(seen_features, features)
    assert_same(seen_attributes, attributes)


@given(features=feature_maps)
def test_payload_does_not_depend_on_the_order_of_names(features: FeatureMap) -> None:
    backwards = dict(reversed(features.items()))

    assert to_payload(features, {}) == to_payload(backwards, {})


def test_empty_lists_are_values_too() -> None:
    features: FeatureMap = {"image": np.empty(0, dtype=np.float32), "tags": ()}

    assert_same(from_payload(to_payload(features, {}))[0], features)


def test_vector_that_was_read_cannot_be_written_to() -> None:
    features, _ = from_payload(to_payload({"image": np.ones(3, dtype=np.float32)}, {}))

    with pytest.raises(ValueError, match="read-only"):
        features["image"][0] = 2.0


def test_features_from_message_names_every_bad_field_and_keeps_the_good_ones() -> None:
    messages = {
        "genre": pb.FeatureValue(number_value=3.0),
        "tags": pb.FeatureValue(string_value="a b"),
        "title": pb.FeatureValue(string_value="kept"),
        "price": pb.FeatureValue(number_value=float("nan")),
        "image": pb.FeatureValue(float_list=pb.FloatList(values=[1.0, 2.0])),
        "extra": pb.FeatureValue(number_value=float("inf")),
        "blob": pb.FeatureValue(float_list=pb.FloatList(values=[1.0, float("nan")])),
        "nothing": pb.FeatureValue(),
    }

    features, violations, unknown = features_from_message(messages, SPECS, path="items[3].features")

    assert features == {"title": "kept"}
    assert unknown == []
    said = {violation.field.removeprefix("items[3].features."): violation.description for violation in violations}
    assert list(said) == ["blob", "extra", "genre", "image", "nothing", "price", "tags"]
    assert "element 1 is not finite" in said["blob"]
    assert "inf is not finite" in said["extra"]
    assert "3.0 is not a string" in said["genre"]
    assert "send 3 numbers" in said["image"]
    assert "no value is set" in said["nothing"]
    assert "nan is not finite" in said["price"]
    assert "not a list of strings" in said["tags"]


def test_strings_that_look_like_numbers_are_no_vector() -> None:
    messages = {"image": pb.FeatureValue(string_list=pb.StringList(values=["1", "2", "3"]))}

    features, violations, _ = features_from_message(messages, SPECS, path="features")

    assert features == {}
    assert [violation.field for violation in violations] == ["features.image"]


def test_empty_values_of_known_columns_count_as_missing() -> None:
    messages = {
        "genre": pb.FeatureValue(string_value=""),
        "tags": pb.FeatureValue(string_list=pb.StringList()),
        "image": pb.FeatureValue(float_list=pb.FloatList()),
    }

    assert features_from_message(messages, SPECS, path="features") == ({}, [], [])


def test_item_from_message_checks_id_features_and_attributes_at_once() -> None:
    schema = DataSchema(name="shop", item_features=SPECS, item_attributes=(SPECS[3],))
    message = pb.Item(
        features={"title": pb.FeatureValue(number_value=1.0), "new": pb.FeatureValue(string_value="x")},
        attributes={"price": pb.FeatureValue(string_value="cheap"), "shelf": pb.FeatureValue(number_value=4.0)},
    )

    item, violations, unknown = item_from_message(message, schema, path="items[0]")

    fields = [violation.field for violation in violations]
    assert fields == ["items[0].item_id", "items[0].features.title", "items[0].attributes.price"]
    assert unknown == ["new", "shelf"]
    assert item.features == {"new": "x"}
    assert item.attributes == {"shelf": 4.0}


def test_item_survives_the_way_to_a_client_and_back() -> None:
    features = {"title": "naïve café", "price": 2.5}
    message = item_to_message("Ж/1", features, attributes={"price": 2.5})
    schema = DataSchema(name="shop", item_features=SPECS, item_attributes=(SPECS[3],))

    item, violations, unknown = item_from_message(message, schema, path="item")

    assert (item.item_id, item.features, item.attributes) == ("Ж/1", features, {"price": 2.5})
    assert (violations, unknown) == ([], [])


@pytest.mark.parametrize(("item_id", "num_violations"), [("", 1), ("é" * 256, 0), ("é" * 256 + "a", 1), ("\x00", 0)])
def test_check_id_counts_bytes_of_utf8(item_id: str, num_violations: int) -> None:
    assert len(check_id(item_id, path="item_id")) == num_violations


def test_value_without_a_name_is_refused_with_its_place() -> None:
    message = pb.Item(item_id="a", features={"": pb.FeatureValue(string_value="x")})
    record, violations, unknown = item_from_message(message, DataSchema(name="d"), path="items[3]")
    assert (record.features, unknown) == ({}, [])
    assert [v.field for v in violations] == ['items[3].features[""]']
    assert "give every value a name" in violations[0].description
