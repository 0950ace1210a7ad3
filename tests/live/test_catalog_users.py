"""Users read many at a time are what they are one at a time."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from recall.errors import CatalogError
from recall.live.records import InteractionRecord, UserRecord
from recall.live.users import RememberedUsers


def test_many_users_are_read_as_each_alone(catalog):
    names = [f"u{n}" for n in range(600)] + ["nul\0", 'quo"te', "é\u2028"]
    catalog.put_users([UserRecord(user_id=name, features={"country": name}) for name in names[::2]])
    events = [
        InteractionRecord(user_id=name, item_id=f"{item}-{name}", timestamp=item % 3)
        for item in range(3)
        for name in names[::3]
    ]
    catalog.add_interactions(events)
    asked = [*names, "nobody", names[0]]
    assert catalog.features_of(asked) == {name: {"country": name} for name in names[::2]}
    histories = catalog.histories(asked, 2)
    assert set(histories) == set(asked)
    assert all(histories[n] == ((f"1-{n}", f"2-{n}") if n in names[::3] else ()) for n in set(asked))
    assert catalog.features_of([]) == {}
    assert catalog.histories([], 2) == {}


def test_a_history_of_many_repeats_reaches_behind_them(catalog):
    repeats = [InteractionRecord(user_id="u", item_id="often", timestamp=10 + n) for n in range(1_500)]
    catalog.add_interactions([InteractionRecord(user_id="u", item_id="first", timestamp=1), *repeats])
    assert catalog.histories(["u", "v"], 10) == {"u": ("first", "often"), "v": ()}
    assert catalog.histories(["u"], 1) == {"u": ("often",)}


def test_a_damaged_user_fails_those_who_ask_for_it_alone(catalog, catalog_path):
    catalog.put_users([UserRecord(user_id=name, features={"country": "nl"}) for name in "ab"])
    with closing(sqlite3.connect(catalog_path)) as connection, connection:
        connection.execute("UPDATE users SET checksum = checksum + 1 WHERE user_id = 'a'")
    assert catalog.features_of(["b"]) == {"b": {"country": "nl"}}
    with pytest.raises(CatalogError, match="the row of user 'a' is damaged"):
        catalog.features_of(["a", "b"])


def test_remembered_users_stay_as_they_were_first_seen(catalog):
    remembered = RememberedUsers(catalog)
    catalog.put_users([UserRecord(user_id="a", features={"country": "nl"})])
    assert remembered.features_of(["a", "b"]) == {"a": {"country": "nl"}}
    assert remembered.histories(["a"], 5) == {"a": ()}
    catalog.put_users([UserRecord(user_id=name, features={"country": "fr"}) for name in "abc"])
    catalog.add_interactions([InteractionRecord(user_id=name, item_id="i", timestamp=1) for name in "ac"])
    assert remembered.features_of(["a", "b", "c"]) == {"a": {"country": "nl"}, "c": {"country": "fr"}}
    assert remembered.histories(["a", "c"], 5) == {"a": (), "c": ("i",)}
