"""Counts of what was written and answered since the start: how often features were missing, what answers came from.

A feature is missing where the served model reads it and neither the request nor, for a user, the catalogue has it. An
item of an update with a mask is not counted: what it has in the end is known inside the write transaction alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock

from recall.live.query import AnsweredFrom, Result
from recall.live.records import ItemRecord
from recall.schema import FeatureSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallies:
    """Counts since the start.

    Attributes:
        num_items: Items written whole.
        num_items_lacking: Those of them in which any feature was missing.
        item_features: How many lacked a feature, by its name.
        num_recalls: Recalls answered, those of batches among them.
        num_recalls_lacking: Those of them in which any feature of the user was missing.
        recall_features: How many lacked a feature, by its name.
        answered_from: How many were answered from what.
        num_short: How many returned fewer items than were asked for.
    """

    num_items: int = 0
    num_items_lacking: int = 0
    item_features: Mapping[str, int] = field(default_factory=dict)
    num_recalls: int = 0
    num_recalls_lacking: int = 0
    recall_features: Mapping[str, int] = field(default_factory=dict)
    answered_from: Mapping[AnsweredFrom, int] = field(default_factory=dict)
    num_short: int = 0


class Tally:
    """Keeps the counts; safe to call from any thread."""

    def __init__(self) -> None:
        """Starts at zero."""
        self._lock = Lock()
        self._num_items = self._num_items_lacking = self._num_recalls_lacking = self._num_short = 0
        self._item_features = Counter[str]()
        self._recall_features = Counter[str]()
        self._answered_from = Counter[AnsweredFrom]()

    def note_items(self, specs: Sequence[FeatureSpec], items: Sequence[ItemRecord]) -> None:
        """Counts items that were written whole, under a model that reads features `specs`."""
        names = [spec.name for spec in specs]
        missing = [[name for name in names if name not in item.features] for item in items]
        with self._lock:
            self._num_items += len(items)
            self._num_items_lacking += sum(map(bool, missing))
            for lacking in missing:
                self._item_features.update(lacking)

    def note_results(self, results: Iterable[Result]) -> None:
        """Counts answers to recalls."""
        with self._lock:
            for result in results:
                self._answered_from[result.answered_from] += 1
                self._num_short += bool(result.short_reason)
                if result.missing_features:
                    self._num_recalls_lacking += 1
                    self._recall_features.update(result.missing_features)

    def read(self) -> Tallies:
        """Returns the counts, all of one moment."""
        with self._lock:
            return Tallies(
                num_items=self._num_items,
                num_items_lacking=self._num_items_lacking,
                item_features=dict(self._item_features),
                num_recalls=self._answered_from.total(),
                num_recalls_lacking=self._num_recalls_lacking,
                recall_features=dict(self._recall_features),
                answered_from=dict(self._answered_from),
                num_short=self._num_short,
            )
