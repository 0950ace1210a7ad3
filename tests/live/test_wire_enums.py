from __future__ import annotations

import pytest

from recall.live import wire_enums
from recall.live.explanation import MissingReason
from recall.live.query import AnsweredFrom, Channel, SimilarBy
from recall.v1 import recall_pb2 as pb


@pytest.mark.parametrize(
    ("table", "values", "wire"),
    [
        (wire_enums.ANSWERED_FROM, AnsweredFrom, pb.AnsweredFrom),
        (wire_enums.CHANNELS, Channel, pb.Channel),
        (wire_enums.SIMILAR_BY, SimilarBy, pb.SimilarBy),
        (wire_enums.MISSING_REASONS, MissingReason, pb.MissingReason),
    ],
)
def test_every_value_has_the_number_of_its_own_name(table, values, wire) -> None:  # type: ignore[no-untyped-def]
    names = {number: name for name, number in wire.items() if not name.endswith("_UNSPECIFIED")}
    assert set(table) == set(values)
    assert wire_enums.by_number(table).keys() == names.keys()
    assert all(names[number].endswith(f"_{value.name}") for value, number in table.items())


def test_every_part_of_an_index_has_a_number() -> None:
    assert set(wire_enums.PARTS.values()) == set(pb.IndexPart.values())
