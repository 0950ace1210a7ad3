"""Request ids: what a repeat gets, how long, and after which damage."""

from __future__ import annotations

import sqlite3
import time

import pytest

from recall.errors import CatalogError, InvalidRequestError
from recall.live.catalog import Catalog
from recall.live.catalog_writes import AddInteractions, CatalogWrite, DeleteItems, PutItems
from recall.live.records import InteractionRecord, ItemRecord
from recall.live.writes import RequestKey, WarningCode, WriteWarning, Written

KEY = RequestKey(request_id="r", digest=b"content")
PUT = CatalogWrite(
    change=PutItems([ItemRecord(item_id="a"), ItemRecord(item_id="b")]),
    request=KEY,
    model_id="m",
    warnings=(WriteWarning(item_id="a", code=WarningCode.LOW_INFORMATION, message="thin"),),
)


def test_a_repeat_gets_what_the_first_one_wrote_and_changes_nothing(catalog: Catalog) -> None:
    (first,) = catalog.write([PUT])
    assert first == Written(sequence=2, count=2, model_id="m", warnings=PUT.warnings)
    assert catalog.find_request(KEY) == Written(
        sequence=2, count=2, model_id="m", warnings=PUT.warnings, is_repeat=True
    )
    catalog.delete_items(["a"])
    (again,) = catalog.write([PUT])
    assert again.is_repeat
    assert catalog.get_item("a") is None
    assert catalog.last_sequence() == 3


def test_a_repeat_in_one_transaction_is_known_too(catalog: Catalog) -> None:
    delete = CatalogWrite(change=DeleteItems(["a"]))
    assert [(w.sequence, w.is_repeat) for w in catalog.write([PUT, delete, PUT])] == [(2, False), (3, False), (2, True)]
    assert catalog.last_sequence() == 3


def test_another_content_fails_the_whole_transaction(catalog: Catalog) -> None:
    catalog.write([PUT])
    other = CatalogWrite(change=DeleteItems(["a"]), request=RequestKey(request_id="r", digest=b"other"))
    with pytest.raises(InvalidRequestError, match="request_id: 'r' named another request before"):
        catalog.write([CatalogWrite(change=DeleteItems(["b"])), other])
    assert catalog.last_sequence() == 2


def test_request_ids_are_kept_until_their_time_is_over(catalog: Catalog) -> None:
    catalog.write([PUT])
    now = int(time.time())
    catalog.upkeep.tidy(forget_before=now - 5)
    assert catalog.find_request(KEY) is not None
    catalog.upkeep.tidy(forget_before=now + 5)
    assert catalog.find_request(KEY) is None
    assert catalog.write([PUT])[0].sequence == 4


def test_nothing_of_a_request_can_be_read_in_the_file(catalog: Catalog) -> None:
    event = InteractionRecord(user_id="someone", item_id="a")
    key = RequestKey(request_id="id of someone", digest=b"someone took a")
    catalog.write([CatalogWrite(change=AddInteractions([event]), request=key)])
    connection = sqlite3.connect(catalog.path)
    (row,) = connection.execute("SELECT * FROM requests").fetchall()
    connection.close()
    assert not any("someone" in str(value) for value in row)


def test_a_damaged_row_is_named_instead_of_answered_with(catalog: Catalog) -> None:
    catalog.write([PUT])
    connection = sqlite3.connect(catalog.path)
    with connection:
        connection.execute("""UPDATE requests SET reply = replace(reply, '"sequence": 2', '"sequence": 9')""")
    connection.close()
    with pytest.raises(CatalogError, match="request id 'r' is damaged; send another request_id"):
        catalog.write([PUT])
