from __future__ import annotations

import math

import pytest

from recall.errors import InvalidRequestError
from recall.live.listing import page_start, page_token
from recall.live.query import SimilarBy
from recall.schema import DataSchema, FeatureSpec
from recall.serving import requests
from recall.v1 import recall_pb2 as pb

DIM = 2
SCHEMA = DataSchema(
    name="tiny",
    item_features=(
        FeatureSpec(name="topic", kind="category", domain="topic"),
        FeatureSpec(name="price", kind="number", domain="price"),
    ),
    user_features=(FeatureSpec(name="age", kind="number", domain="age"),),
)


def _fields(error: pytest.ExceptionInfo[InvalidRequestError]) -> list[str]:
    return [violation.field for violation in error.value.violations]


def test_recall_names_every_invalid_field_at_once() -> None:
    request = pb.RecallRequest(
        user_id="x" * 513,
        features={"age": pb.FeatureValue(string_value="old")},
        history=pb.ItemIds(item_ids=["ok", ""]),
        vector=pb.FloatList(values=[1.0]),
        limit=-1,
        candidate_item_ids=pb.ItemIds(item_ids=[""]),
        exclude_item_ids=[""],
        min_sequence=-5,
    )
    with pytest.raises(InvalidRequestError) as error:
        requests.recall_query(request, SCHEMA, dim=DIM)
    assert sorted(_fields(error)) == [
        "candidate_item_ids.item_ids[0]",
        "exclude_item_ids[0]",
        "features.age",
        "history.item_ids[1]",
        "limit",
        "min_sequence",
        "user_id",
        "vector",
    ]


@pytest.mark.parametrize("limit", [-1, 10_001, 1_000_000_000])
def test_limit_outside_its_bounds_names_value_bound_and_cure(limit: int) -> None:
    with pytest.raises(InvalidRequestError, match=rf"limit: {limit} is outside 1..10,000; send .* or 0 for 100"):
        requests.recall_query(pb.RecallRequest(limit=limit), SCHEMA, dim=DIM)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], "0 numbers; send 2"),
        ([1.0, 2.0, 3.0], "3 numbers; send 2"),
        ([1.0, math.nan], "element 1 is nan"),
        ([math.inf, 0.0], "element 0 is inf"),
        ([0.0, 0.0], "all zeros"),
        ([3e38, 3e38], "length 4.24e\\+38; send one of at most 1e\\+15"),
    ],
)
def test_recall_refuses_a_vector(values: list[float], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        requests.recall_query(pb.RecallRequest(vector=pb.FloatList(values=values)), SCHEMA, dim=DIM)


def test_recall_without_anything_takes_the_defaults() -> None:
    query = requests.recall_query(pb.RecallRequest(), SCHEMA, dim=DIM)
    assert (query.user_id, query.features, query.history, query.vector, query.candidates) == (None,) * 5
    assert (query.limit, query.exclude_history, query.exact) == (100, True, False)


def test_recall_keeps_what_is_present_but_empty() -> None:
    request = pb.RecallRequest(history=pb.ItemIds(), candidate_item_ids=pb.ItemIds(), exclude_history=False)
    query = requests.recall_query(request, SCHEMA, dim=DIM)
    assert (query.history, query.candidates, query.exclude_history) == ((), (), False)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (pb.SIMILAR_BY_UNSPECIFIED, SimilarBy.VECTOR),
        (pb.SIMILAR_BY_VECTOR, SimilarBy.VECTOR),
        (pb.SIMILAR_BY_TWINS, SimilarBy.TWINS),
    ],
)
def test_similar_by_what_is_asked_for(by: pb.SimilarBy, expected: SimilarBy) -> None:
    assert requests.similar_query(pb.SimilarItemsRequest(item_id="a", by=by), SCHEMA).by is expected


def test_similar_by_something_unknown_says_what_to_send_instead() -> None:
    request = pb.SimilarItemsRequest(item_id="a", by=7)  # type: ignore[arg-type]  # of a later version
    with pytest.raises(InvalidRequestError, match=r"by: 7 is no known value; send .*VECTOR or SIMILAR_BY_TWINS"):
        requests.similar_query(request, SCHEMA)


def test_similar_without_item_and_with_empty_item_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="neither is set"):
        requests.similar_query(pb.SimilarItemsRequest(), SCHEMA)
    with pytest.raises(InvalidRequestError, match=r"item\.features: it is empty"):
        requests.similar_query(pb.SimilarItemsRequest(item=pb.Item(item_id="a")), SCHEMA)


def test_similar_by_features_needs_no_id() -> None:
    item = pb.Item(features={"topic": pb.FeatureValue(string_value="a")})
    query = requests.similar_query(pb.SimilarItemsRequest(item=item), SCHEMA)
    assert (query.item_id, query.features) == (None, {"topic": "a"})


def test_get_names_id_and_sequence() -> None:
    with pytest.raises(InvalidRequestError) as error:
        requests.id_to_get(pb.GetItemRequest(min_sequence=-1))
    assert _fields(error) == ["item_id", "min_sequence"]


def test_list_names_page_size_token_and_sequence() -> None:
    with pytest.raises(InvalidRequestError) as error:
        requests.page_to_list(pb.ListItemsRequest(page_size=1_001, page_token="!", min_sequence=-1))
    assert _fields(error) == ["min_sequence", "page_size", "page_token"]


@pytest.mark.parametrize("token", ["AA", "e30", "\u00fc", page_token("a")[:-1], "x" * 999])
def test_a_token_that_no_server_made_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="no token of this service"):
        page_start(token)


@pytest.mark.parametrize("item_id", ["a", "\U0001f3ac" * 128, "\0"])
def test_a_token_gives_back_the_item_it_was_made_of(item_id: str) -> None:
    assert page_start(page_token(item_id)) == item_id
    assert page_start("") == ""
