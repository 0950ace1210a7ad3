"""A service beside a dictionary: any sequence of writes, questions, merges, switches and restarts must agree.

Each run has items and users of its own, and some items that the models saw in training; at its end everything is as it
was before. All steps go to one server process, over a real channel.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, TypeAlias

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from filter_oracle import SPECS, Draw
from index.conditions import ItemIn
from recall.client import InteractionRecord, ItemRecord, RecallQuery, SimilarQuery, UserRecord
from recall.errors import InvalidRequestError, NotFoundError
from recall.live.item_vectors import same_features
from recall.live.query import AnsweredFrom, Result
from recall.schema import FeatureMap
from service import Service
from service_model import ServiceModel, merged_item

Window: TypeAlias = tuple[int | None, int | None]

_NUM_NEW, _NUM_KNOWN, _NUM_USERS = 6, 2, 3
_LEAST_STEPS = 10  # before a run may restart the server, which takes seconds
_NOW = int(time.time())
_PAST, _LATER_PAST, _FUTURE = _NOW - 1_000, _NOW - 500, _NOW + 10**6
_WINDOWS: Sequence[Window] = (
    *[(None, None)] * 3,
    (_PAST, None),
    (_FUTURE, None),
    (None, _LATER_PAST),
    (_PAST, _FUTURE),
)
_NAMES = tuple(spec.name for spec in SPECS)
_PATHS = (
    *(f"features.{name}" for name in ("title", "brand", "price", "nothing")),
    *(f"attributes.{name}" for name in _NAMES),
    *("features", "attributes", "available_from", "available_until"),
)

seeds = st.integers(0, 2**20)
places = st.integers(0, _NUM_NEW + _NUM_KNOWN - 1)
people = st.integers(0, _NUM_USERS - 1)
features = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["Fine red lamp", "Modern lamp", "Complete garden feeder"]),
        "tags": st.sampled_from([("gift idea",), ("digital", "ultra"), ("ultra",)]),
        "brand": st.sampled_from(["Wren", "Halftone", "never seen"]),
        "price": st.sampled_from([1.0, 2.5, 77.0]),
    },
)
values = st.tuples(features, seeds, st.sampled_from(_WINDOWS))
"""Of an item: features, what draws its attributes, and when it is available."""
Values: TypeAlias = tuple[FeatureMap, int, Window]


class ServiceMachine(RuleBasedStateMachine):
    """Writes and questions; `service` is set by those who run it."""

    service: ClassVar[Service]
    num_runs: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        """Puts the known items as they were, and names the others."""
        ServiceMachine.num_runs += 1
        self.known = [self.service.items[item_id] for item_id in sorted(self.service.items)[:_NUM_KNOWN]]
        self.item_ids = [f"run-{self.num_runs}-{number}" for number in range(_NUM_NEW)]
        self.item_ids += [item.item_id for item in self.known]
        self.user_ids = [f"user-{self.num_runs}-{number}" for number in range(_NUM_USERS)]
        self.others = set(self.service.items) - set(self.item_ids)
        self.probe = min(self.others)
        self.model = ServiceModel()
        self.num_steps = self.num_restarts = 0
        self._put(self.known)

    def teardown(self) -> None:
        """Leaves everything as it was before this run."""
        self.service.client.delete(self.item_ids)
        self.service.client.upsert(self.known)
        self.service.client.delete_users(self.user_ids)

    # Writes

    @rule(changes=st.dictionaries(places, values, min_size=1, max_size=3), is_repeated=st.booleans())
    def upsert(self, changes: dict[int, Values], is_repeated: bool) -> None:
        """Inserts or replaces items; a repeat of the request changes nothing."""
        items = [self._item(place, made) for place, made in changes.items()]
        self._put(items, request_id=f"{self.item_ids[0]}-{self.num_steps}" if is_repeated else None)
        if is_repeated:
            self._check_repeat(items)

    @rule(place=places, made=values, paths=st.sets(st.sampled_from(_PATHS), min_size=1, max_size=4))
    def update(self, place: int, made: Values, paths: set[str]) -> None:
        """Changes some fields of an item, if it is stored."""
        item = self._item(place, made)
        stored = self.model.items.get(item.item_id)
        merged = None if stored is None else merged_item(stored, item, paths)
        try:
            reply = self.service.client.upsert([item], update_mask=sorted(paths))
        except NotFoundError:
            assert stored is None
        except InvalidRequestError:
            assert merged is None
            assert stored is not None
        else:
            assert merged is not None
            self.model.put([merged], reply.sequence)

    @rule(chosen=st.sets(places, min_size=1, max_size=3))
    def delete(self, chosen: set[int]) -> None:
        """Deletes items, some of which may not be stored."""
        item_ids = [self.item_ids[place] for place in sorted(chosen)]
        reply = self.service.client.delete(item_ids)
        assert reply.num_deleted == self.model.delete(item_ids, reply.sequence)

    @rule(person=people, country=st.sampled_from(["GB", "never seen", None]))
    def upsert_user(self, person: int, country: str | None) -> None:
        """Inserts or replaces a user, with a feature or without any."""
        user = UserRecord(user_id=self.user_ids[person], features={} if country is None else {"country": country})
        self.model.sequence = self.service.client.upsert_users([user]).sequence
        self.model.users[user.user_id] = user.features

    @rule(chosen=st.sets(people, min_size=1))
    def delete_users(self, chosen: set[int]) -> None:
        """Erases users."""
        user_ids = [self.user_ids[person] for person in sorted(chosen)]
        reply = self.service.client.delete_users(user_ids)
        assert reply.num_deleted == sum([self.model.forget_user(user_id) for user_id in user_ids])
        self.model.sequence = reply.sequence

    @rule(person=people, events=st.sets(st.tuples(places, st.integers(1, 3)), min_size=1, max_size=3))
    def record(self, person: int, events: set[tuple[int, int]]) -> None:
        """Records what a user chose; an item need not be stored, and an event may be known."""
        user_id = self.user_ids[person]
        known = self.model.events.setdefault(user_id, set())
        made = {(self.item_ids[place], seconds) for place, seconds in events}
        records = [InteractionRecord(user_id=user_id, item_id=i, timestamp=seconds) for i, seconds in sorted(made)]
        reply = self.service.client.record(records)
        assert reply.num_recorded == len(made - known)
        known |= made
        self.model.sequence = reply.sequence

    # Questions

    @rule(person=people, exclude_history=st.booleans(), exact=st.booleans())
    def recall_for_user(self, person: int, exclude_history: bool, exact: bool) -> None:
        """Recalls for a user by what is stored."""
        user_id = self.user_ids[person]
        query = RecallQuery(user_id=user_id, candidates=tuple(self.item_ids), exclude_history=exclude_history)
        result = self.service.client.recall(replace(query, exact=exact))
        assert result.answered_from is self.model.answered_from(user_id)
        self._check(
            result, set(self.model.available(_NOW)) - (self.model.history(user_id) if exclude_history else set())
        )

    @rule(seed=seeds, exact=st.booleans())
    def recall_filtered(self, seed: int, exact: bool) -> None:
        """Recalls under a random filter."""
        condition = Draw(random.Random(seed), self.item_ids, least=1).condition()
        query = RecallQuery(history=(self.probe,), candidates=tuple(self.item_ids), filter=condition, exact=exact)
        self._check(self.service.client.recall(query), self.model.passing(condition, _NOW))

    @rule(excluded=st.sets(places), exact=st.booleans())
    def recall_among_all(self, excluded: set[int], exact: bool) -> None:
        """Recalls among all items: none is returned that is deleted, not available or excluded."""
        exclude = tuple(self.item_ids[place] for place in sorted(excluded))
        query = RecallQuery(history=(self.probe,), exclude=exclude, limit=len(self.others), exact=exact)
        result = self.service.client.recall(query)
        assert set(result.item_ids) <= (self.others | set(self.model.available(_NOW))) - {*exclude, self.probe}
        self._check_order(result)

    @rule(place=places, person=people, seed=seeds, excluded=st.sets(places), candidates=st.sets(places))
    def explain(self, place: int, person: int, seed: int, excluded: set[int], candidates: set[int]) -> None:
        """Asks why an item is or is not in the answer to a recall."""
        item_id, user_id = self.item_ids[place], self.user_ids[person]
        query = RecallQuery(
            user_id=user_id,
            candidates=tuple(self.item_ids[one] for one in sorted(candidates)),
            exclude=tuple(self.item_ids[one] for one in sorted(excluded)),
            filter=Draw(random.Random(seed), self.item_ids, least=1).condition(),
        )
        explanation = self.service.client.explain(query, item_id)
        wanted = set(self.model.missing(query, item_id, _NOW))
        assert {missing.reason for missing in explanation.missing} == wanted
        assert explanation.is_returned is (not wanted)
        assert explanation.answered_from is self.model.answered_from(user_id)

    @rule(place=places)
    def similar(self, place: int) -> None:
        """Looks for an item by its own features, to which nothing is nearer."""
        item = self.model.items.get(self.item_ids[place])
        if item is None or not item.features.keys() & {"title", "tags", "brand"}:
            return
        query = SimilarQuery(item_id=item.item_id, features=item.features, limit=2 * len(self.item_ids), exact=True)
        result = self.service.client.similar(query)
        self._check_order(result)
        found = dict(zip(result.item_ids, result.scores, strict=True))
        assert (item.item_id in found) == (item.item_id in self.model.available(_NOW))
        assert found.get(item.item_id, result.scores[0]) >= result.scores[0] - 1e-4

    @rule(place=places)
    def get(self, place: int) -> None:
        """Gets an item."""
        item_id = self.item_ids[place]
        wanted = self.model.items.get(item_id)
        try:
            reply = self.service.client.get(item_id)
        except NotFoundError:
            assert wanted is None
            return
        assert wanted is not None
        assert _same(reply.item, wanted)
        assert (reply.retrievable, reply.item_sequence) == (True, self.model.numbers[item_id])

    @rule()
    def list_items(self) -> None:
        """Lists everything."""
        listed = [reply.item for reply in self.service.client.items()]
        item_ids = [item.item_id for item in listed]
        assert item_ids == sorted(self.others | set(self.model.items), key=str.encode)
        assert all(_same(item, self.model.items[item.item_id]) for item in listed if item.item_id not in self.others)

    # What happens beside

    @rule()
    def merge(self) -> None:
        """Waits for a new base of all that was written."""
        self.service.merge()

    @rule()
    def switch(self) -> None:
        """Moves to another snapshot, which is older or newer."""
        self.service.switch()

    @precondition(lambda self: self.num_steps % 5 == 0)
    @rule()
    def rebuild(self) -> None:
        """Makes a snapshot with another model."""
        self.service.rebuild()

    @precondition(lambda self: self.num_steps >= _LEAST_STEPS and not self.num_restarts)
    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        """Ends the server and starts another."""
        self.num_restarts += 1
        self.service.restart(kill=kill)

    @invariant()
    def agrees(self) -> None:
        """Every item is found by an exact and by an approximate search, as it was last written, and counted once."""
        self.num_steps += 1
        self.service.num_steps += 1
        client, wanted = self.service.client, set(self.model.available(_NOW))
        query = RecallQuery(
            history=(self.probe,),
            candidates=tuple(self.item_ids),
            filter=ItemIn(self.item_ids),
            attributes=_NAMES,
        )
        exactly = replace(query, exact=True)
        result, exact = client.recall(query), client.recall(exactly)
        self._check(result, wanted)
        self._check_attributes(result)
        assert (exact.item_ids, exact.scores.tolist()) == (result.item_ids, result.scores.tolist())
        for batched in client.batch_recall([query, exactly]):
            self._check(batched, wanted)
            # A model's floats for several users at once differ in their last digits.
            np.testing.assert_allclose(batched.scores, result.scores, rtol=0, atol=1e-4)
        assert result.answered_from is AnsweredFrom.HISTORY
        assert client.status().num_items == len(self.others) + len(self.model.items)

    def _item(self, place: int, made: Values) -> ItemRecord:
        drawn = Draw(random.Random(made[1]), self.item_ids).attributes()
        numbers = {name: float(value) for name, value in drawn.items() if isinstance(value, int | float)}
        attributes = {name: value for name, value in drawn.items() if value not in ("", ())} | numbers
        start, end = made[2]
        item_id = self.item_ids[place]
        return ItemRecord(
            item_id=item_id, features=made[0], attributes=attributes, available_from=start, available_until=end
        )

    def _put(self, items: Sequence[ItemRecord], request_id: str | None = None) -> None:
        reply = self.service.client.upsert(items, request_id=request_id)
        assert reply.sequence >= self.model.sequence + len(items)
        self.model.put(items, reply.sequence)
        self.request_id = request_id

    def _check_repeat(self, items: Sequence[ItemRecord]) -> None:
        assert self.service.client.upsert(items, request_id=self.request_id).sequence == self.model.sequence
        assert self.service.client.status().sequence == self.model.sequence

    def _check(self, result: Result, wanted: set[str]) -> None:
        assert set(result.item_ids) == wanted
        assert len(result.item_ids) == len(wanted)
        assert result.sequence >= self.model.sequence
        self._check_order(result)

    def _check_attributes(self, result: Result) -> None:
        for name in _NAMES:
            wanted = [self.model.attributes(item_id).get(name) for item_id in result.item_ids]
            assert list(map(_comparable, result.attributes[name])) == list(map(_comparable, wanted))

    @staticmethod
    def _check_order(result: Result) -> None:
        places_ = [(-score, item_id.encode()) for item_id, score in zip(result.item_ids, result.scores, strict=True)]
        assert all(before < after for before, after in pairwise(places_))
        assert np.isfinite(result.scores).all()


def _same(left: ItemRecord, right: ItemRecord) -> bool:
    windows = [(item.available_from, item.available_until) for item in (left, right)]
    is_same = same_features(left.features, right.features) and same_features(left.attributes, right.attributes)
    return is_same and windows[0] == windows[1]


def _comparable(value: object) -> object:
    """Returns a value of an attribute, of a set without order."""
    return frozenset(value) if isinstance(value, tuple) else value
