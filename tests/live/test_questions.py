"""The check of queries: every field that does not fit what is served, by its path in the request."""

from __future__ import annotations

import numpy as np
import pytest

from index.attribute_growth import GrowingAttributes
from index.attributes import ColumnSpec
from index.conditions import Equals, Range
from recall.errors import InvalidRequestError, NotReadyError
from recall.live.generation import Generation
from recall.live.query import RecallQuery
from recall.live.questions import check_queries


@pytest.fixture
def generation(make_generation) -> Generation:
    made = make_generation({"a": "jazz"})
    columns = GrowingAttributes((ColumnSpec(name="price", kind="number"),))
    columns.append([{"price": 5.0}])
    made.index.set_attributes(columns.frozen())
    return made


def fields(generation: Generation, *queries: RecallQuery, path: str) -> list[str]:
    with pytest.raises(InvalidRequestError) as error:
        check_queries(generation, queries, path=path)
    return [violation.field for violation in error.value.violations]


def test_every_field_of_every_query_that_does_not_fit_is_named_at_once(generation: Generation) -> None:
    fine = RecallQuery(filter=Range("price", high=1), features={"country": "nl"}, attributes=("price",))
    by_vector = RecallQuery(vector=np.zeros(16, dtype=np.float32), filter=Equals("colour", "red"))
    by_features = RecallQuery(features={"country": 3.0}, attributes=("colour",))
    assert fields(generation, fine, by_vector, by_features, path="requests[{}].") == [
        "requests[1].filter",
        "requests[1].vector",
        "requests[2].features.country",
        "requests[2].attributes",
    ]
    assert fields(generation, by_features, path="") == ["features.country", "attributes"]
    assert fields(generation, by_features, path="recall.") == ["recall.features.country", "recall.attributes"]


def test_features_beside_a_vector_play_no_part(generation: Generation) -> None:
    check_queries(generation, [RecallQuery(vector=np.ones(16, dtype=np.float32), features={"country": 3.0})])


def test_a_filter_needs_attributes_whatever_else_is_wrong(make_generation) -> None:
    queries = [RecallQuery(features={"country": 3.0}), RecallQuery(filter=Range("price", high=1))]
    with pytest.raises(NotReadyError, match="holds no attributes"):
        check_queries(make_generation({"a": "jazz"}), queries)
