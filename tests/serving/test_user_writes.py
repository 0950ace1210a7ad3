"""Users, events, pages and request ids over a real channel."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from recall.live.service import RecallSystem
from recall.serving.server import RecallServer
from recall.v1 import recall_pb2 as pb
from recall.v1 import recall_pb2_grpc

Stub = recall_pb2_grpc.RecallServiceStub
Restart = Callable[[], Stub]


def item(item_id: str, topic: str = "a") -> pb.Item:
    return pb.Item(item_id=item_id, features={"topic": pb.FeatureValue(string_value=topic)})


def country(code: str) -> dict[str, pb.FeatureValue]:
    return {"country": pb.FeatureValue(string_value=code)}


def event(user_id: str, item_id: str, timestamp: int = 7) -> pb.Interaction:
    return pb.Interaction(user_id=user_id, item_id=item_id, timestamp=timestamp)


def refused(call: Callable[..., Message], request: Message) -> grpc.RpcError:
    with pytest.raises(grpc.RpcError) as error:
        call(request, timeout=30.0)
    return error.value


@pytest.fixture
def restart(open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer]) -> Iterator[Restart]:
    """Returns what stops the server that runs, if any, and starts one on the same catalogue."""
    opened: list[tuple[RecallSystem, RecallServer, grpc.Channel]] = []

    def close() -> None:
        for system, server, channel in opened:
            channel.close()
            server.stop()
            system.close()
        opened.clear()

    def start() -> Stub:
        close()
        system, server = open_system(), start_server()
        server.attach(system)
        channel = grpc.insecure_channel(server.address)
        opened.append((system, server, channel))
        return Stub(channel)

    yield start
    close()


WRITES = [
    ("UpsertItems", pb.UpsertItemsRequest(items=[item("x"), pb.Item(item_id="y")], request_id="r")),
    ("DeleteItems", pb.DeleteItemsRequest(item_ids=["a0", "gone"], request_id="r")),
    ("UpsertUsers", pb.UpsertUsersRequest(users=[pb.User(user_id="u", features=country("de"))], request_id="r")),
    ("DeleteUsers", pb.DeleteUsersRequest(user_ids=["u1", "gone"], request_id="r")),
    ("RecordInteractions", pb.RecordInteractionsRequest(interactions=[event("u", "a0")], request_id="r")),
]


@pytest.mark.parametrize(("method", "request_"), WRITES, ids=[method for method, _ in WRITES])
def test_a_repeat_gets_the_same_reply_and_writes_nothing_also_after_a_restart(
    restart: Restart, method: str, request_: Message
) -> None:
    calls = restart()
    first = getattr(calls, method)(request_, timeout=30)
    assert first.sequence > 8
    assert getattr(calls, method)(request_, timeout=30) == first
    calls.UpsertItems(pb.UpsertItemsRequest(items=[item("later")]), timeout=30)
    calls = restart()
    assert getattr(calls, method)(request_, timeout=30) == first
    assert calls.GetStatus(pb.GetStatusRequest(), timeout=30).sequence == first.sequence + 1


@pytest.mark.parametrize(("method", "request_"), WRITES, ids=[method for method, _ in WRITES])
def test_a_request_id_of_another_content_is_refused(stub: Stub, method: str, request_: Message) -> None:
    stub.DeleteItems(pb.DeleteItemsRequest(item_ids=["b0"], request_id="r"), timeout=30)
    error = refused(getattr(stub, method), request_)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "'r' named another request before" in error.details()
    assert stub.GetStatus(pb.GetStatusRequest(), timeout=30).sequence == 9


def test_a_refused_request_leaves_its_id_free(stub: Stub) -> None:
    bad = pb.UpsertItemsRequest(items=[pb.Item()], request_id="r")
    assert refused(stub.UpsertItems, bad).code() is grpc.StatusCode.INVALID_ARGUMENT
    assert stub.UpsertItems(pb.UpsertItemsRequest(items=[item("x")], request_id="r"), timeout=30).sequence == 9


def test_a_recorded_event_shapes_the_next_recall_of_its_user(stub: Stub) -> None:
    events = [event("new", "b0"), event("new", "b1"), event("new", "b0")]
    reply = stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=events), timeout=30)
    assert (reply.num_recorded, reply.sequence, reply.model_id) == (2, 9, "b" * 64)
    found = stub.Recall(pb.RecallRequest(user_id="new", limit=2, min_sequence=9), timeout=30)
    assert (list(found.item_ids), found.answered_from) == (["b2", "b3"], pb.ANSWERED_FROM_HISTORY)
    assert found.sequence == 9
    again = stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=events[:1]), timeout=30)
    assert (again.num_recorded, again.sequence) == (0, 9)


def test_an_upserted_user_is_answered_from_the_features(stub: Stub) -> None:
    user = pb.User(user_id="new", features=country("de") | {"hat": pb.FeatureValue(string_value="red")})
    checked = stub.UpsertUsers(pb.UpsertUsersRequest(users=[user], validate_only=True), timeout=30)
    assert checked.sequence == 8
    question = pb.RecallRequest(user_id="new", limit=1)
    assert stub.Recall(question, timeout=30).answered_from == pb.ANSWERED_FROM_POPULARITY
    reply = stub.UpsertUsers(pb.UpsertUsersRequest(users=[user]), timeout=30)
    assert (reply.sequence, list(reply.warnings)) == (9, list(checked.warnings))
    assert [(w.user_id, w.item_id, w.code) for w in reply.warnings] == [("new", "", "UNKNOWN_FEATURE")]
    assert stub.Recall(question, timeout=30).answered_from == pb.ANSWERED_FROM_FEATURES


def test_a_deleted_user_is_unknown(stub: Stub) -> None:
    reply = stub.DeleteUsers(pb.DeleteUsersRequest(user_ids=["u1", "nobody"]), timeout=30)
    assert (reply.num_deleted, reply.sequence) == (1, 9)
    found = stub.Recall(pb.RecallRequest(user_id="u1", limit=3), timeout=30)
    assert (found.answered_from, list(found.item_ids)) == (pb.ANSWERED_FROM_POPULARITY, ["a0", "a1", "a2"])
    assert stub.DeleteUsers(pb.DeleteUsersRequest(user_ids=["u1"]), timeout=30).num_deleted == 0


def test_another_server_follows_writes_of_users(
    stub: Stub, open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer]
) -> None:
    other, server = open_system(), start_server()
    server.attach(other)
    try:
        with grpc.insecure_channel(server.address) as channel:
            events = pb.RecordInteractionsRequest(interactions=[event("new", "b0")], request_id="r")
            written = stub.RecordInteractions(events, timeout=30)
            question = pb.RecallRequest(user_id="new", limit=1, min_sequence=written.sequence)
            found = Stub(channel).Recall(question, timeout=30)
            assert (list(found.item_ids), found.sequence) == (["b1"], written.sequence)
            assert Stub(channel).RecordInteractions(events, timeout=30) == written
    finally:
        other.close()


def files_of(catalog: Path) -> bytes:
    return b"".join(path.read_bytes() for path in catalog.parent.glob(f"{catalog.name}*"))


def test_an_erased_user_is_in_no_byte_of_the_file(
    open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer], tmp_path: Path
) -> None:
    """Ten users among forty: of each the id, two features, two events, an id and a repeat of requests."""
    names = [f"person-{n:03}" for n in range(40)]
    erased, kept = names[::4], [name for name in names if name not in names[::4]]
    catalog, server, system = tmp_path / "catalog.sqlite", start_server(), open_system(erasure_seconds=0)
    server.attach(system)
    try:
        with grpc.insecure_channel(server.address) as channel:
            stub = Stub(channel)
            for name in names:
                features = country(f"land-of-{name}") | {"mail": pb.FeatureValue(string_value=f"{name}@example")}
                user = pb.User(user_id=name, features=features)
                stub.UpsertUsers(pb.UpsertUsersRequest(users=[user], request_id=f"id-of-{name}"), timeout=30)
                events = [event(name, f"bought-by-{name}"), event(name, "a0")]
                stub.RecordInteractions(pb.RecordInteractionsRequest(interactions=events), timeout=30)
            assert all(name.encode() in files_of(catalog) for name in names)
            request = pb.DeleteUsersRequest(user_ids=erased, request_id="erasure-of-person-000")
            stub.DeleteUsers(request, timeout=30)
            deadline = time.perf_counter() + 20
            while any(name.encode() in files_of(catalog) for name in erased):  # the server cleans the file by itself
                assert time.perf_counter() < deadline, "the file still names an erased user"
                time.sleep(0.02)
            assert all(name.encode() in files_of(catalog) for name in kept)
    finally:
        system.close()


def test_pages_hold_every_item_once_in_the_order_of_ids(stub: Stub) -> None:
    stub.UpsertItems(pb.UpsertItemsRequest(items=[item("\U0001f3ac"), item("\uffee"), item("A")]), timeout=30)
    request, seen = pb.ListItemsRequest(page_size=4, min_sequence=11), []
    while True:
        reply = stub.ListItems(request, timeout=30)
        assert len(reply.items) == len(reply.item_sequences) == len(reply.retrievable)
        assert (reply.sequence, reply.model_id, all(reply.retrievable)) == (11, "b" * 64, True)
        seen += [(stored.item_id, number) for stored, number in zip(reply.items, reply.item_sequences, strict=True)]
        if not reply.next_page_token:
            break
        request.page_token = reply.next_page_token
    wanted = ["A", "a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3", "\uffee", "\U0001f3ac"]
    assert seen == list(zip(wanted, [11, 1, 2, 3, 4, 5, 6, 7, 8, 10, 9], strict=True))


def test_a_page_has_at_most_a_hundred_items_by_default_and_less_of_large_ones(stub: Stub) -> None:
    large = {"text": pb.FeatureValue(string_value="x" * 1_500_000)}
    for name in ("l1", "l2", "l3"):
        stub.UpsertItems(pb.UpsertItemsRequest(items=[pb.Item(item_id=name, features=large)]), timeout=30)
    first = stub.ListItems(pb.ListItemsRequest(page_size=1_000), timeout=30)
    assert [stored.item_id for stored in first.items][-2:] == ["l1", "l2"]
    rest = stub.ListItems(pb.ListItemsRequest(page_token=first.next_page_token), timeout=30)
    assert ([stored.item_id for stored in rest.items], rest.next_page_token) == (["l3"], "")
    stub.UpsertItems(pb.UpsertItemsRequest(items=[item(f"n{n:03}") for n in range(101)]), timeout=30)
    stub.DeleteItems(pb.DeleteItemsRequest(item_ids=["l1", "l2", "l3", "n000"]), timeout=30)
    assert len(stub.ListItems(pb.ListItemsRequest(), timeout=30).items) == 100


def test_a_page_of_many_items_is_short_enough_for_any_client(stub: Stub) -> None:
    text = {"text": pb.FeatureValue(string_value="x" * 4_100)}
    items = [pb.Item(item_id=f"{place:03}" + "i" * 500, features=text) for place in range(1_000)]
    stub.UpsertItems(pb.UpsertItemsRequest(items=items[:500]), timeout=30)
    stub.UpsertItems(pb.UpsertItemsRequest(items=items[500:]), timeout=30)
    assert stub.ListItems(pb.ListItemsRequest(page_size=1_000), timeout=30).ByteSize() < 4 * 2**20


def test_an_update_mask_changes_named_fields_of_stored_items(stub: Stub) -> None:
    values = {"topic": pb.FeatureValue(string_value="b"), "price": pb.FeatureValue(number_value=3.0)}
    request = pb.UpsertItemsRequest(items=[pb.Item(item_id="a0", features=values)])
    request.update_mask.paths.append("features.price")
    stub.UpsertItems(request, timeout=30)
    stored = stub.GetItem(pb.GetItemRequest(item_id="a0"), timeout=30).item.features
    assert (stored["topic"].string_value, stored["price"].number_value) == ("a", 3.0)
    request.items[0].item_id = "never"
    assert refused(stub.UpsertItems, request).code() is grpc.StatusCode.NOT_FOUND


def test_an_item_is_returned_inside_its_window_alone(stub: Stub) -> None:
    now, question = int(time.time()), pb.SimilarItemsRequest(item_id="a0", limit=9)
    request = pb.UpsertItemsRequest(items=[item("new")])
    request.items[0].available_from = now + 3_600
    stub.UpsertItems(request, timeout=30)
    assert "new" not in stub.SimilarItems(question, timeout=30).item_ids
    stored = stub.GetItem(pb.GetItemRequest(item_id="new"), timeout=30)
    assert (stored.item.available_from, stored.retrievable) == (now + 3_600, True)
    assert not stored.item.HasField("available_until")
    request.update_mask.paths.append("available_from")
    request.items[0].available_from = now - 3_600
    stub.UpsertItems(request, timeout=30)
    assert "new" in stub.SimilarItems(question, timeout=30).item_ids
    assert "new" in stub.Recall(pb.RecallRequest(user_id="u1", limit=9), timeout=30).item_ids
    request.update_mask.paths.append("available_until")
    request.items[0].available_until = now - 1
    stub.UpsertItems(request, timeout=30)
    assert "new" not in stub.Recall(pb.RecallRequest(user_id="u1", limit=9), timeout=30).item_ids
