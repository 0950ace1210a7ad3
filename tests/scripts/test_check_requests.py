"""Small slices of the checks of protection, with the data and the model of a small demo."""

from __future__ import annotations

import random

import pytest

from random_requests import Known, RandomRequests, make_harmless
from recall.v1 import recall_pb2 as pb

KNOWN = Known(item_ids=["a"], user_ids=["u"], features={"title": "text"}, attributes={"price": "number"}, dim=4)


@pytest.mark.slow
def test_no_request_harms_a_server(check):
    report = check("check_requests.py", "--quick")
    assert (report["requests"], report["problems"]) == (1000, [])
    methods = {*pb.DESCRIPTOR.services_by_name["RecallService"].methods_by_name}
    assert methods | {"Check", "List", "Watch", "ServerReflectionInfo"} == set(report["codes"])
    assert all(report["codes"][method].get("OK", 0) > 0 for method in ("Recall", "SimilarItems", "UpsertItems"))


@pytest.mark.slow
def test_an_overloaded_server_refuses_and_recovers(check):
    report = check("check_overload.py", "--quick")
    assert report["problems"] == []
    assert report["phases"]["overload"]["refused_per_second"] > 0


def test_what_is_drawn_is_the_same_for_the_same_seed_and_writes_nothing() -> None:
    for name in ("DeleteItemsRequest", "DeleteUsersRequest", "RecordInteractionsRequest", "UpsertItemsRequest"):
        kind = pb.DESCRIPTOR.message_types_by_name[name]
        drawn = [RandomRequests(random.Random(seed), KNOWN).content(kind) for seed in range(300)]
        assert drawn == [RandomRequests(random.Random(seed), KNOWN).content(kind) for seed in range(300)]
        assert len(set(drawn)) > 50
    deleted = pb.DeleteItemsRequest(item_ids=["a"])
    make_harmless(deleted)
    assert list(deleted.item_ids) == ["a", ""]  # an empty id is refused
