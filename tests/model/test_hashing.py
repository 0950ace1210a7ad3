"""Hashes of strings: the documented bytes, in domains that do not meet."""

from __future__ import annotations

import numpy as np
import xxhash

from recall.model.hashing import hash_values


def test_hash_is_xxh3_of_domain_separator_and_value_in_utf8() -> None:
    values = ["42", "", "straße", "\u65e5\u672c", "a\x1fb", "\U0001f600"]
    wanted = [xxhash.xxh3_64_intdigest(b"item_id\x1f" + value.encode("utf-8")) for value in values]
    hashes = hash_values("item_id", values)
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == wanted


def test_xxh3_is_the_published_one() -> None:
    # The 64-bit XXH3 of no bytes with seed 0, from the sanity checks of the xxHash repository.
    assert xxhash.xxh3_64_intdigest(b"") == 0x2D06800538D394C2


def test_equal_values_of_two_domains_are_unrelated_and_repeats_are_equal() -> None:
    items, users = hash_values("item_id", ["1", "1", "2"]), hash_values("user_id", ["1", "1", "2"])
    assert items[0] == items[1] != items[2]
    assert not np.isin(items, users).any()


def test_no_values_give_an_empty_array() -> None:
    assert hash_values("item_id", []).shape == (0,)
