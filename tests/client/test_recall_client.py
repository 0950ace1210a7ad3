from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest

from recall.client import (
    And,
    Channel,
    Equals,
    InteractionRecord,
    ItemRecord,
    MissingReason,
    Not,
    Present,
    Range,
    RecallClient,
    RecallQuery,
    SimilarBy,
    SimilarQuery,
    UserRecord,
    checked_features,
)
from recall.errors import (
    ConfigError,
    DeadlineError,
    InvalidRequestError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
)
from recall.live.query import AnsweredFrom
from recall.live.service import RecallSystem
from recall.serving.server import RecallServer


def test_upsert_recall_similar_get_delete_and_status_round_trip(client: RecallClient) -> None:
    features = checked_features({"topic": "a", "tags": ["p", "q"], "price": 2, "image": [0.5, 1, 2], "none": None})
    written = client.upsert([ItemRecord(item_id="new", features=features, attributes={"shop": "s"})])
    assert written.sequence == 9
    assert client.recall(RecallQuery(user_id="u1", limit=5), min_sequence=9).item_ids[:3] == ["a2", "a3", "new"]
    assert client.similar(SimilarQuery(item_id="a0", limit=9)).item_ids[:4] == ["a1", "a2", "a3", "new"]
    stored = client.get("new")
    assert stored.retrievable
    assert stored.item.attributes == {"shop": "s"}
    np.testing.assert_array_equal(stored.item.features["image"], features["image"])
    assert {k: v for k, v in stored.item.features.items() if k != "image"} == {
        "topic": "a",
        "tags": ("p", "q"),
        "price": 2.0,
    }
    assert client.delete(["new", "gone"]).num_deleted == 1
    status = client.status()
    assert (status.num_items, status.sequence, status.item_features["price"]) == (8, 10, "number")


def test_update_mask_window_and_pages_round_trip(client: RecallClient) -> None:
    client.upsert([ItemRecord(item_id="new", features={"topic": "a", "price": 1.0}, available_until=2**33)])
    update = ItemRecord(item_id="new", features={"price": 2.0}, available_from=5)
    assert client.upsert([update], update_mask=["features.price", "available_from"]).sequence == 10
    stored = client.get("new").item
    assert (stored.features, stored.available_from, stored.available_until) == ({"topic": "a", "price": 2.0}, 5, 2**33)
    with pytest.raises(NotFoundError, match="item 'never' is not stored"):
        client.upsert([ItemRecord(item_id="never")], update_mask=["features"])
    pages = [client.page(size=5, min_sequence=10)]
    pages.append(client.page(size=5, token=pages[0].next_token))
    ids = [[reply.item.item_id for reply in page.items] for page in pages]
    assert ids == [["a0", "a1", "a2", "a3", "b0"], ["b1", "b2", "b3", "new"]]
    assert (pages[1].next_token, pages[1].sequence, pages[1].items[3].item) == ("", 10, stored)
    assert [reply.item.item_id for reply in client.items()] == ids[0] + ids[1]
    with pytest.raises(InvalidRequestError) as error:
        client.page(size=2**31)
    assert error.value.violations


def test_users_and_events_round_trip_and_a_repeat_is_known(client: RecallClient) -> None:
    users = [UserRecord(user_id="new", features=checked_features({"country": "de", "hat": 3}))]
    reply = client.upsert_users(users, request_id="r1")
    assert [(w.user_id, w.code) for w in reply.warnings] == [("new", "UNKNOWN_FEATURE")]
    assert client.recall(RecallQuery(user_id="new", limit=1)).answered_from is AnsweredFrom.FEATURES
    events = [
        InteractionRecord(user_id="new", item_id="b0"),
        InteractionRecord(user_id="new", item_id="b1", timestamp=5),
    ]
    recorded = client.record(events, request_id="r2")
    assert (recorded.sequence, recorded.num_recorded) == (10, 2)
    assert client.record(events, request_id="r2") == recorded
    assert client.recall(RecallQuery(user_id="new", limit=2), min_sequence=10).item_ids == ["b2", "b3"]
    deleted = client.delete_users(["new", "gone"], request_id="r3")
    assert (deleted.num_deleted, client.delete_users(["new", "gone"], request_id="r3")) == (1, deleted)
    assert client.recall(RecallQuery(user_id="new", limit=1)).answered_from is AnsweredFrom.POPULARITY
    with pytest.raises(InvalidRequestError, match="'r3' named another request before"):
        client.delete(["a0"], request_id="r3")
    assert client.upsert_users(users, request_id="r1") == reply
    assert client.recall(RecallQuery(user_id="new", limit=1)).answered_from is AnsweredFrom.POPULARITY


def test_recall_sends_every_part_of_the_question(
    client: RecallClient, topic_direction: Callable[[str], np.ndarray]
) -> None:
    result = client.recall(RecallQuery(vector=topic_direction("b"), limit=2, exclude=("b0",), exact=True))
    assert (result.item_ids, result.answered_from) == (["b1", "b2"], AnsweredFrom.VECTOR)
    assert result.scores.dtype == np.float32
    result = client.recall(RecallQuery(user_id="u1", history=("b0",), limit=1))
    assert (result.item_ids, result.answered_from) == (["b1"], AnsweredFrom.HISTORY)
    result = client.recall(RecallQuery(history=("b0",), candidates=("a1", "b0"), exclude_history=False, limit=3))
    assert result.item_ids == ["b0", "a1"]
    assert result.short_reason
    result = client.recall(RecallQuery(features={"country": "nl"}, limit=1))
    assert result.answered_from is AnsweredFrom.FEATURES


def test_batch_answers_each_question_as_recall_does_and_names_every_wrong_field(client: RecallClient) -> None:
    queries = [RecallQuery(user_id="u1", limit=2), RecallQuery(history=("b0",), limit=1), RecallQuery(limit=3)]
    results = client.batch_recall(queries)
    assert [result.item_ids for result in results] == [client.recall(query).item_ids for query in queries]
    assert [result.item_ids for result in results[:2]] == [["a2", "a3"], ["b1"]]
    with pytest.raises(InvalidRequestError) as here:
        client.batch_recall([queries[0], RecallQuery(limit=2**40), RecallQuery(features={"f": True})])  # type: ignore[dict-item]  # what a test gives
    assert [v.field for v in here.value.violations] == ["requests[1].limit", "requests[2].features.f"]
    with pytest.raises(InvalidRequestError) as there:
        client.batch_recall([RecallQuery(limit=-1), queries[1], RecallQuery(exclude=("",))])
    assert [v.field for v in there.value.violations] == ["requests[0].limit", "requests[2].exclude_item_ids[0]"]


def test_explanation_says_where_an_item_stands(client: RecallClient) -> None:
    client.upsert([ItemRecord(item_id="new", features={"topic": "a"})])
    query = RecallQuery(user_id="u1", limit=2, exclude=("a3",))
    assert client.recall(query).item_ids == ["a2", "new"]
    returned = client.explain(query, "new")
    assert (returned.is_returned, returned.rank, returned.part, returned.missing) == (True, 2, "fresh", ())
    assert returned.answered_from is AnsweredFrom.HISTORY
    assert returned.score == pytest.approx(1.0)
    assert returned.num_eligible == 6  # nine items without the two of the history and the excluded one
    below = client.explain(query, "b0")
    assert (below.is_returned, below.part) == (False, "base")
    assert [missing.reason for missing in below.missing] == [MissingReason.BELOW_LIMIT]
    assert [m.reason for m in client.explain(query, "a3").missing] == [MissingReason.EXCLUDED]
    gone = client.explain(query, "gone")
    assert (gone.score, gone.rank, gone.part) == (None, None, None)
    assert [missing.reason for missing in gone.missing] == [MissingReason.NOT_STORED]


def test_channels_take_turns_and_name_whose_each_item_is(client: RecallClient) -> None:
    channels = (Channel.POPULARITY, Channel.SERVED)
    result = client.recall(RecallQuery(history=("b0",), limit=4, channels=channels))
    assert result.item_ids == ["a0", "b1", "a1", "b2"]
    assert result.item_channels == channels * 2
    assert client.recall(RecallQuery(history=("b0",), limit=1)).item_channels == ()


def test_filter_holds_and_attributes_come_back(client: RecallClient) -> None:
    shops = {"new1": "s", "new2": "t", "new3": "s"}
    items = [
        ItemRecord(item_id=item_id, features={"topic": "a", "price": float(place)}, attributes={"shop": shop})
        for place, (item_id, shop) in enumerate(shops.items())
    ]
    client.upsert(items)
    condition = And((Equals("shop", "s"), Not(Range("price", low=1))))
    names = ("shop", "price")
    result = client.recall(RecallQuery(user_id="u1", limit=9, filter=condition, attributes=names))
    assert (result.item_ids, dict(result.attributes)) == (["new1"], {"shop": ["s"], "price": [0.0]})
    similar = client.similar(SimilarQuery(item_id="a0", limit=9, filter=Not(Equals("shop", "s")), attributes=("shop",)))
    assert similar.attributes == {"shop": [shops.get(item_id) for item_id in similar.item_ids]}
    assert {"new2", "a1"} <= set(similar.item_ids) <= {"new2", *(f"{t}{n}" for t in "ab" for n in range(4))}
    with pytest.raises(InvalidRequestError, match="'shape' is no attribute"):
        client.recall(RecallQuery(filter=Present("shape")))


def test_status_has_the_lag_and_the_last_audit(
    open_system: Callable[..., RecallSystem], start_server: Callable[..., RecallServer]
) -> None:
    system, server = open_system(audit_share=1.0, audit_time_share=1.0), start_server()
    server.attach(system)
    with RecallClient(server.address) as client:
        status = client.status()
        assert (status.catalog_sequence, status.lag_seconds, status.audit) == (status.sequence, 0.0, None)
        client.recall(RecallQuery(user_id="u1", limit=3))
        deadline = time.perf_counter() + 10
        while (audit := client.status().audit) is None and time.perf_counter() < deadline:
            time.sleep(0.01)
        assert audit is not None
        assert (audit.recall, audit.num_recalls, audit.num_audited) == (1.0, 1, 1)
    system.close()


def test_similar_by_twins_finds_items_with_the_same_tags(client: RecallClient) -> None:
    client.upsert([ItemRecord(item_id=name, features={"topic": name, "tags": ("p", "q")}) for name in ("n1", "n2")])
    result = client.similar(SimilarQuery(item_id="n1", limit=1, by=SimilarBy.TWINS))
    assert (result.item_ids, result.scores.tolist(), result.short_reason) == (["n2"], [1.0], "")
    assert client.similar(SimilarQuery(features={"tags": ("q",)}, by=SimilarBy.TWINS)).item_ids == ["n1", "n2"]


def test_similar_takes_features_of_an_unstored_item(client: RecallClient) -> None:
    assert client.similar(SimilarQuery(features={"topic": "b"}, limit=2)).item_ids == ["b0", "b1"]


def test_invalid_request_brings_back_every_violation(client: RecallClient) -> None:
    with pytest.raises(InvalidRequestError) as error:
        client.recall(RecallQuery(limit=-1, exclude=("",)))
    assert {v.field for v in error.value.violations} == {"limit", "exclude_item_ids[0]"}
    with pytest.raises(InvalidRequestError) as error:
        client.upsert([ItemRecord(item_id="", features={"topic": 3.0})], validate_only=True)
    assert {v.field for v in error.value.violations} == {"items[0].item_id", "items[0].features.topic"}


def test_values_that_no_message_takes_are_refused_before_sending(client: RecallClient) -> None:
    with pytest.raises(InvalidRequestError, match=r"limit: 1099511627776 is outside 1\.\.10,000; send a limit within"):
        client.recall(RecallQuery(limit=2**40))
    with pytest.raises(
        InvalidRequestError, match=r"limit: .*; min_sequence: .* beyond 64 bits; send the sequence of an"
    ):
        client.similar(SimilarQuery(item_id="a0", limit=-(2**40)), min_sequence=2**64)
    with pytest.raises(InvalidRequestError, match=r"min_sequence: .* beyond 64 bits"):
        client.get("a0", min_sequence=2**64)
    with pytest.raises(InvalidRequestError, match=r"items\[0\]\.features\.f: True has no kind"):
        client.upsert([ItemRecord(item_id="a", features={"f": True})])


def test_one_string_is_not_taken_for_the_ids_that_its_letters_are(client: RecallClient) -> None:
    client.upsert([ItemRecord(item_id=letter, features={"topic": "a"}) for letter in "xy"])
    with pytest.raises(InvalidRequestError, match=r"^item_ids: 'xy' is one string, not .*; send \['xy'\]$"):
        client.delete("xy")
    assert client.get("x").retrievable
    with pytest.raises(InvalidRequestError, match=r"^user_ids: 'u1' is one string"):
        client.delete_users("u1")
    with pytest.raises(InvalidRequestError, match=r"^update_mask\.paths: 'features' is one string"):
        client.upsert([ItemRecord(item_id="x")], update_mask="features")
    for query, field in (
        (RecallQuery(history="xy"), "history.item_ids"),  # type: ignore[arg-type]  # what is tested
        (RecallQuery(candidates="xy"), "candidate_item_ids.item_ids"),  # type: ignore[arg-type]
        (RecallQuery(exclude="xy"), "exclude_item_ids"),  # type: ignore[arg-type]
        (RecallQuery(attributes="xy"), "attributes"),  # type: ignore[arg-type]
    ):
        with pytest.raises(InvalidRequestError, match=f"^{field}: 'xy' is one string"):
            client.recall(query)


def test_ids_that_are_no_text_are_refused_by_their_place(client: RecallClient) -> None:
    with pytest.raises(InvalidRequestError) as error:
        client.delete(["a0", 7, "\ud800"])  # type: ignore[list-item]  # what is tested
    assert [v.field for v in error.value.violations] == ["item_ids[1]", "item_ids[2]"]
    assert "7 is no text in UTF-8; send a string" in str(error.value)


def test_a_client_without_a_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="'' is no address of a server; write HOST:PORT"):
        RecallClient("")


def test_unknown_item_is_not_found(client: RecallClient) -> None:
    with pytest.raises(NotFoundError, match="'gone'"):
        client.get("gone")
    with pytest.raises(NotFoundError, match="'gone'"):
        client.similar(SimilarQuery(item_id="gone"))


def test_unreachable_server_is_unavailable_and_names_the_target() -> None:
    with RecallClient("127.0.0.1:1") as client:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
            client.status()
        with pytest.raises(DeadlineError, match="did not serve within"):
            client.wait_until_serving(0.2)


def test_wait_until_serving_returns_when_the_system_is_attached(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server()
    with RecallClient(server.address) as client:
        with pytest.raises(DeadlineError, match="starting or stopping"):
            client.wait_until_serving(0.2)
        server.attach(system)
        client.wait_until_serving(5)


def test_deadline_and_message_limit_have_their_own_errors(
    start_server: Callable[..., RecallServer], system: RecallSystem
) -> None:
    server = start_server(max_message_bytes=2**16, max_wait_seconds=0.2)
    server.attach(system)
    with RecallClient(server.address) as client:
        with pytest.raises(DeadlineError, match="write 99 is not visible"):
            client.get("a0", min_sequence=99)
        with pytest.raises(TooLargeError, match="larger than max"):
            client.recall(RecallQuery(exclude=("x" * 500,) * 200))


def test_every_client_has_a_connection_of_its_own() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        target = f"127.0.0.1:{listener.getsockname()[1]}"
        with RecallClient(target, timeout_seconds=0.3) as first, RecallClient(target, timeout_seconds=0.3) as second:
            for client in (first, second):
                with pytest.raises(DeadlineError):
                    client.status()
            for connection in [listener.accept()[0] for _ in range(2)]:
                connection.close()


@pytest.mark.parametrize("command", ["import recall.client", "from recall.cli.main import app"])
def test_client_and_command_line_load_neither_torch_nor_the_index(command: str) -> None:
    script = f"import sys; {command}; print({{'torch', 'faiss', 'numba', 'polars'}} & sys.modules.keys())"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "set()"


def test_a_closed_client_says_so(server: RecallServer) -> None:
    client = RecallClient(server.address)
    client.status()
    client.close()
    with pytest.raises(UnavailableError, match="is closed; make another"):
        client.status()
