"""Filters and attributes over a real channel: answers known by hand, and brute force over random filters."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st

from filter_oracle import SPECS, Draw, holds
from index.attributes import AttributeMap
from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
from recall.client.filters import filter_to_message
from recall.live.catalog import Catalog
from recall.live.convert import value_to_message
from recall.live.rebuild import LoadedModel, rebuild_with
from recall.live.records import ItemRecord
from recall.live.service import RecallSystem
from recall.schema import DataSchema, FeatureSpec
from recall.serving.config import ServerConfig
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

Stub = recall_pb2_grpc.RecallServiceStub

ITEMS: dict[str, AttributeMap] = {
    "h1": {"brand": "acme", "price": 5, "tags": ("live", "old")},
    "h2": {"brand": "zeta", "price": 50, "tags": ("live",)},
    "h3": {"tags": ("old",)},
    "h4": {"brand": "acme", "price": 5, "stock": 0},
}
"""Known by hand: h1 to h3 of the snapshot, h4 written since."""
FEATURES = ("tags", "price")
CHEAP = Range("price", high=10)


def drawn() -> dict[str, AttributeMap]:
    """Returns items about another topic; an empty brand, which is a missing one, is left out."""
    draw = Draw(random.Random(8), [])
    rows = {f"{letter}{number:02}": draw.attributes() for letter in "xé" for number in range(20)}
    return {item_id: {n: v for n, v in row.items() if v not in ("", ())} for item_id, row in rows.items()}


DRAWN = drawn()


def record(item_id: str, row: AttributeMap, topic: str) -> ItemRecord:
    features = {name: value for name, value in row.items() if name in FEATURES}
    attributes = {name: value for name, value in row.items() if name not in FEATURES}
    return ItemRecord(item_id=item_id, features={"topic": topic, **features}, attributes=attributes)


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory, topic_model) -> Iterator[grpc.Channel]:
    """A server of the items, half of them in the snapshot and half written since."""
    root = tmp_path_factory.mktemp("filters")
    attributes = tuple(FeatureSpec(name=spec.name, kind=spec.kind, domain=spec.name) for spec in SPECS)
    schema = DataSchema(name="tiny", item_features=topic_model.schema.item_features, item_attributes=attributes)
    records = [record(i, row, "a") for i, row in ITEMS.items()] + [record(i, row, "b") for i, row in DRAWN.items()]
    old = [item for item in records if item.item_id != "h4" and item.item_id[-1] not in "13579"]
    old += [item for item in records if item.item_id in ("h1", "h3")]
    with Catalog.create(root / "catalog.sqlite", schema) as catalog:
        catalog.put_items(old)
    (root / "manifest.json").write_text("{}")
    model = LoadedModel(model=topic_model, files=(root / "manifest.json",))
    rebuild_with(model, root / "catalog.sqlite", root / "snapshots")
    system = RecallSystem.start(root / "snapshots", root / "catalog.sqlite", load_model=lambda folder: topic_model)
    server = RecallServer(ServerConfig(port=0, threads=2))
    server.attach(system)
    system.upsert([item for item in records if item not in old])
    with grpc.insecure_channel(server.address) as connected:
        yield connected
    server.stop()
    system.close()


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> Stub:
    return Stub(channel)


@pytest.fixture
def ask(stub: Stub, topic_direction: Callable[[str], list[float]]) -> Callable[..., pb.RecallResponse]:
    """Asks for items of a topic; those of one topic have one score, so that they come in the order of their ids."""

    def recall(filter_: Condition | pb.Filter, topic: str = "a", **more: object) -> pb.RecallResponse:
        message = filter_ if isinstance(filter_, pb.Filter) else filter_to_message(filter_)
        request = pb.RecallRequest(vector=pb.FloatList(values=topic_direction(topic)), filter=message, **more)
        return stub.Recall(request, timeout=30)

    return recall


def violations(error: pytest.ExceptionInfo[grpc.RpcError]) -> dict[str, str]:
    bad_request = error_details_pb2.BadRequest()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    for detail in rpc_status.from_call(error.value).details:
        detail.Unpack(bad_request)
    return {violation.field: violation.description for violation in bad_request.field_violations}


HAND = ItemIn(tuple(ITEMS))


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (Equals("brand", "acme"), ["h1", "h4"]),
        (Equals("price", 50), ["h2"]),
        (Equals("stock", 0), ["h4"]),
        (In("brand", ("acme", "zeta", "none")), ["h1", "h2", "h4"]),
        (In("price", (5, 7)), ["h1", "h4"]),
        (CHEAP, ["h1", "h4"]),
        (Range("price", 5, 50, includes_low=False), ["h2"]),
        (Range("price", 5, 50, includes_high=False), ["h1", "h4"]),
        (AnyOf("tags", ("old", "none")), ["h1", "h3"]),
        (AllOf("tags", ("old", "live")), ["h1"]),
        (Present("brand"), ["h1", "h2", "h4"]),
        (Not(CHEAP), ["h2", "h3"]),
        (And((Present("price"), Not(CHEAP))), ["h2"]),
        (Or((Equals("brand", "zeta"), Not(Present("tags")))), ["h2", "h4"]),
        (ItemIn(("h4", "h1", "nobody")), ["h1", "h4"]),
        (ItemIn(()), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_recall_returns_what_the_filter_holds_for(ask, condition: Condition, expected: list[str]) -> None:
    for exact in (False, True):
        reply = ask(And((HAND, condition)), exact=exact)
        assert list(reply.item_ids) == expected
        assert f"{len(expected)} retrievable items that pass the filter" in reply.short_reason


def test_filter_goes_with_exclusions_candidates_and_limit(ask) -> None:
    assert list(ask(CHEAP, limit=1).item_ids) == ["h1"]
    assert list(ask(And((HAND, CHEAP)), exclude_item_ids=["h1"]).item_ids) == ["h4"]
    assert list(ask(CHEAP, candidate_item_ids=pb.ItemIds(item_ids=["h2", "h4"])).item_ids) == ["h4"]


def test_neighbours_by_vector_and_by_twins_obey_the_filter(stub: Stub) -> None:
    def similar(condition: Condition | None, **more: object) -> pb.SimilarItemsResponse:
        filter_ = None if condition is None else filter_to_message(condition)
        return stub.SimilarItems(pb.SimilarItemsRequest(filter=filter_, **more), timeout=30)

    described = pb.Item(features={"topic": pb.FeatureValue(string_value="a")})
    assert list(similar(And((HAND, CHEAP)), item=described).item_ids) == ["h1", "h4"]
    assert list(similar(And((HAND, Not(CHEAP))), item_id="h1").item_ids) == ["h2", "h3"]
    twins = {"item_id": "h1", "by": pb.SIMILAR_BY_TWINS, "limit": 2}
    unfiltered = similar(None, **twins)
    assert (list(unfiltered.item_ids), list(unfiltered.scores)) == (["h2", "h3"], [0.5, 0.5])
    reply = similar(Present("brand"), **twins)
    assert list(reply.item_ids) == ["h2"]
    assert reply.short_reason.startswith("2 items were wanted, 1 found that pass the filter: a twin is one")
    assert list(similar(Not(Present("brand")), exact=True, **twins).item_ids) == ["h3"]


def test_attributes_come_with_the_items_in_the_order_asked_for(ask, stub: Stub) -> None:
    names = ["tags", "brand", "price", "stock"]
    expected = [
        ("tags", [("live", "old"), ("live",), ("old",), None]),
        ("brand", ["acme", "zeta", None, "acme"]),
        ("price", [5.0, 50.0, None, 5.0]),
        ("stock", [None, None, None, 0.0]),
    ]
    reply = ask(HAND, attributes=names)
    assert list(reply.item_ids) == list(ITEMS)
    similar = stub.SimilarItems(
        pb.SimilarItemsRequest(
            item=pb.Item(features={"topic": pb.FeatureValue(string_value="a")}),
            filter=filter_to_message(HAND),
            attributes=names,
        ),
        timeout=30,
    )
    for columns in (reply.attributes, similar.attributes):
        assert [column.attribute for column in columns] == names
        for column, (_, values) in zip(columns, expected, strict=True):
            assert list(column.values) == [pb.FeatureValue() if v is None else value_to_message(v) for v in values]
    twins = pb.SimilarItemsRequest(item_id="h1", by=pb.SIMILAR_BY_TWINS, limit=2, attributes=["price"])
    (column,) = stub.SimilarItems(twins, timeout=30).attributes
    assert [value.WhichOneof("kind") for value in column.values] == ["number_value", None]


def test_attributes_of_no_item_are_empty_columns_and_none_are_sent_unasked(ask) -> None:
    reply = ask(ItemIn(()), attributes=["price", "brand"])
    assert [(column.attribute, len(column.values)) for column in reply.attributes] == [("price", 0), ("brand", 0)]
    assert not ask(HAND).attributes


def test_wrong_filter_and_attributes_are_refused_with_every_field(stub: Stub) -> None:
    filter_ = pb.Filter(
        and_filters=pb.FilterList(
            filters=[
                pb.Filter(range=pb.RangeCondition(attribute="prize", at_least=math.nan)),
                pb.Filter(not_filter=pb.Filter(equals=pb.EqualsCondition(attribute="price", string_value="5"))),
            ]
        )
    )
    names = ["brand", "colour", "brand", "\x1favailable_from"]
    fields = [
        "attributes[1]",
        "attributes[2]",
        "attributes[3]",
        "filter.and_filters.filters[0].range.at_least",
        "filter.and_filters.filters[0].range.attribute",
        "filter.and_filters.filters[1].not_filter.equals.string_value",
        "limit",
    ]
    for call, request in (
        (stub.Recall, pb.RecallRequest(filter=filter_, attributes=names, limit=-1)),
        (stub.SimilarItems, pb.SimilarItemsRequest(item_id="h1", filter=filter_, attributes=names, limit=-1)),
    ):
        with pytest.raises(grpc.RpcError) as error:
            call(request, timeout=30)
        found = violations(error)
        assert sorted(found) == fields
        known = "known columns are brand (category), tags (set), price (number), stock (number)"
        assert found["attributes[1]"] == f"'colour' is no attribute; {known}"
        assert found["attributes[2]"] == "'brand' stands at attributes[0] too; send each name once"
        assert found["filter.and_filters.filters[0].range.attribute"] == f"'prize' is no attribute; {known}"


def test_each_recall_of_a_batch_has_its_own_filter_and_attributes(stub: Stub, topic_direction) -> None:
    vector = pb.FloatList(values=topic_direction("a"))
    cheap = pb.RecallRequest(vector=vector, filter=filter_to_message(And((HAND, CHEAP))), attributes=["brand", "price"])
    old = pb.RecallRequest(vector=vector, filter=filter_to_message(And((HAND, AnyOf("tags", ("old",))))))
    replies = stub.BatchRecall(pb.BatchRecallRequest(requests=[cheap, old]), timeout=30).responses
    assert [list(reply.item_ids) for reply in replies] == [["h1", "h4"], ["h1", "h3"]]
    values = [[value.string_value or value.number_value for value in column.values] for column in replies[0].attributes]
    assert values == [["acme", "acme"], [5, 5]]
    assert not replies[1].attributes
    old.filter.range.CopyFrom(pb.RangeCondition(attribute="price", at_least=math.nan))
    old.attributes.append("colour")
    with pytest.raises(grpc.RpcError) as error:
        stub.BatchRecall(pb.BatchRecallRequest(requests=[cheap, old]), timeout=30)
    assert set(violations(error)) == {"requests[1].filter.range.at_least", "requests[1].attributes[0]"}


def field(number: int, content: bytes) -> bytes:
    """Returns one field of a message that holds another message or a string."""
    size, length = len(content), b""
    while size >= 128:
        length, size = length + bytes([size % 128 + 128]), size // 128
    return bytes([number * 8 + 2]) + length + bytes([size]) + content


@pytest.mark.parametrize(("depth", "path"), [(31, "filter.not_filter.not_f"), (97, "filter.not_"), (5_000, "request")])
def test_filters_too_deep_are_refused_and_the_server_lives(channel: grpc.Channel, ask, depth: int, path: str) -> None:
    """Written byte by byte, as no library lets one that cannot be read be made."""
    filter_ = field(6, b"brand")
    for _ in range(depth - 1):
        filter_ = field(10, filter_)
    recall = channel.unary_unary("/recall.v1.RecallService/Recall")
    with pytest.raises(grpc.RpcError) as error:
        recall(field(11, filter_), timeout=30)
    ((refused, text),) = violations(error).items()
    assert refused.startswith(path)
    assert "want at most 30: flatten it" in text or "its bytes cannot be read" in text
    assert list(ask(And((HAND, CHEAP))).item_ids) == ["h1", "h4"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**64))
def test_random_filters_return_what_brute_force_returns(stub: Stub, topic_direction, seed: int) -> None:
    everything = {**ITEMS, **DRAWN}
    draw = Draw(random.Random(seed), sorted(everything), least=1)
    vector = pb.FloatList(values=topic_direction("b"))
    for _ in range(8):
        condition = draw.condition(depth=4)
        request = pb.RecallRequest(vector=vector, filter=filter_to_message(condition), attributes=["brand", "stock"])
        reply = stub.Recall(request, timeout=30)
        passing = [item_id for item_id, row in everything.items() if holds(condition, item_id, row)]
        expected = sorted(passing, key=lambda item_id: (item_id in ITEMS, item_id))
        assert list(reply.item_ids) == expected, condition
        brands, stocks = ([getattr(v, v.WhichOneof("kind") or "", None) for v in c.values] for c in reply.attributes)
        assert brands == [everything[item_id].get("brand") for item_id in expected]
        assert stocks == [everything[item_id].get("stock") for item_id in expected]
