"""What a service must hold and answer, as plain Python: items, users and events in dictionaries."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from filter_oracle import SPECS, holds
from index.conditions import Condition
from recall.client import ItemRecord, MissingReason, RecallQuery
from recall.live.query import AnsweredFrom
from recall.schema import FeatureMap, FeatureValue


@dataclass(slots=True)
class ServiceModel:
    """What was written.

    Attributes:
        items: By id.
        numbers: Number of the last write of each stored item.
        users: Features by user id.
        events: Item and time of what each user did.
        sequence: Last write that was acknowledged.
    """

    items: dict[str, ItemRecord] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    users: dict[str, FeatureMap] = field(default_factory=dict)
    events: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    sequence: int = 0

    def put(self, items: Collection[ItemRecord], sequence: int) -> None:
        """Takes items of one write, whose last number this is."""
        for number, item in enumerate(items, start=sequence - len(items) + 1):
            self.items[item.item_id] = item
            self.numbers[item.item_id] = number
        self.sequence = sequence

    def delete(self, item_ids: Collection[str], sequence: int) -> int:
        """Removes items; returns how many there were."""
        gone = [item_id for item_id in item_ids if item_id in self.items]
        for item_id in gone:
            del self.items[item_id], self.numbers[item_id]
        self.sequence = sequence
        return len(gone)

    def forget_user(self, user_id: str) -> bool:
        """Removes a user with the events; returns whether there was anything."""
        return (self.users.pop(user_id, None) is not None) | bool(self.events.pop(user_id, ()))

    def available(self, now: float) -> Iterator[str]:
        """Yields the items that may be returned at a time."""
        for item_id, item in self.items.items():
            starts, ends = item.available_from, item.available_until
            if (starts is None or starts <= now) and (ends is None or now < ends):
                yield item_id

    def attributes(self, item_id: str) -> Mapping[str, FeatureValue]:
        """Returns what filters compare of an item: its attributes, and its features where it has none of the name."""
        item = self.items[item_id]
        whole = {**item.features, **item.attributes}
        return {spec.name: whole[spec.name] for spec in SPECS if spec.name in whole}

    def passing(self, condition: Condition, now: float) -> set[str]:
        """Returns the items that may be returned at a time and for which a condition holds."""
        return {i for i in self.available(now) if holds(condition, i, self.attributes(i))}

    def missing(self, query: RecallQuery, item_id: str, now: float) -> Iterator[MissingReason]:
        """Yields why an item is not in the answer to a recall for a stored user, whose limit is out of reach."""
        stored = item_id in self.items
        if not stored:
            yield MissingReason.NOT_STORED
        if stored and item_id not in self.available(now):
            yield MissingReason.NOT_AVAILABLE
        if item_id not in (query.candidates or ()):
            yield MissingReason.NOT_A_CANDIDATE
        if item_id in query.exclude:
            yield MissingReason.EXCLUDED
        if item_id in self.history(query.user_id or ""):
            yield MissingReason.IN_HISTORY
        if stored and query.filter is not None and not holds(query.filter, item_id, self.attributes(item_id)):
            yield MissingReason.FILTERED

    def history(self, user_id: str) -> set[str]:
        """Returns the items that a user has chosen, stored or not."""
        return {item_id for item_id, _ in self.events.get(user_id, ())}

    def answered_from(self, user_id: str) -> AnsweredFrom:
        """Returns what a recall for a stored user is made from."""
        if any(item_id in self.items for item_id in self.history(user_id)):
            return AnsweredFrom.HISTORY
        return AnsweredFrom.FEATURES if self.users.get(user_id) else AnsweredFrom.POPULARITY


def merged_item(stored: ItemRecord, update: ItemRecord, paths: Collection[str]) -> ItemRecord | None:
    """Returns what an update leaves of a stored item, None where it is refused."""
    starts = update if "available_from" in paths else stored
    ends = update if "available_until" in paths else stored
    start, end = starts.available_from, ends.available_until
    if start is not None and end is not None and start >= end:
        return None
    return ItemRecord(
        item_id=stored.item_id,
        features=_merged_map("features", stored.features, update.features, paths),
        attributes=_merged_map("attributes", stored.attributes, update.attributes, paths),
        available_from=start,
        available_until=end,
    )


def _merged_map(name: str, stored: FeatureMap, update: FeatureMap, paths: Collection[str]) -> FeatureMap:
    merged = dict(stored)
    for key in {*stored, *update}:
        if name in paths or f"{name}.{key}" in paths:
            merged.pop(key, None)
            if key in update:
                merged[key] = update[key]
    return merged
