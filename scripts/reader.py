"""Whether a server holds what a ledger says: nothing acknowledged is missing, nothing deleted is returned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ledger import Change, Entry, Ledger
from recall.client import RecallClient, RecallQuery, SimilarQuery
from recall.errors import NotFoundError
from recall.live.item_vectors import same_features
from recall.schema import FeatureMap

_NUM_SIMILAR = 10


class Reader:
    """Asks a server for items, by every way there is, and compares. Others may write meanwhile.

    An item counts only where no write of it was on its way from before a call until after it.
    """

    def __init__(self, client: RecallClient, ledger: Ledger, *, probe: str) -> None:
        """Takes the server, what it must hold, and a stored item that nobody writes, to recall with."""
        self._client = client
        self._ledger = ledger
        self._probe = probe
        self.num_checks = 0

    def recall(self, item_ids: Sequence[str]) -> list[str]:
        """Recalls with these items as the only candidates; returns what differs."""
        return self._differences(item_ids, self._recalled)

    def closely(self, item_id: str) -> list[str]:
        """Gets one item and looks for it among those similar to its features; returns what differs."""
        return self._differences([item_id], self._gotten) + self._differences([item_id], self._found)

    def resolve(self) -> tuple[int, int, list[str]]:
        """Finds out what became of the writes that were not acknowledged, once nobody writes.

        Returns:
            How many are stored, how many are not, and which are stored in part.
        """
        num_stored, num_lost, halves = 0, 0, []
        for change in self._ledger.in_flight():
            held = {item_id: self._get(item_id) for item_id in change}
            old = self._ledger.before(change)
            if _same(held, change):
                self._ledger.acknowledge(change)
                num_stored += 1
            else:
                self._ledger.drop(change)
                num_lost += 1
                if not _same(held, old):
                    halves.append(f"an unacknowledged write of {sorted(change)} is stored in part: {held}")
        return num_stored, num_lost, halves

    def _differences(
        self, item_ids: Sequence[str], ask: Callable[[Mapping[str, Entry]], Mapping[str, str]]
    ) -> list[str]:
        before = self._ledger.settled(item_ids)
        problems = ask(before)
        unchanged = self._ledger.unchanged(before)
        self.num_checks += len(unchanged)
        return [f"item {item_id!r} {problem}" for item_id, problem in problems.items() if item_id in unchanged]

    def _recalled(self, entries: Mapping[str, Entry]) -> dict[str, str]:
        if not entries:
            return {}
        query = RecallQuery(
            history=(self._probe,), exclude_history=False, limit=len(entries), candidates=tuple(entries)
        )
        result = self._client.recall(query)
        returned = set(result.item_ids)
        place = f"by a recall at sequence {result.sequence}, model {result.model_id[:8]}"
        missing = {i: f"is acknowledged and not returned {place}" for i, e in entries.items() if e.features is not None}
        deleted = {i: f"is deleted and returned {place}" for i, e in entries.items() if e.features is None}
        return {i: text for i, text in missing.items() if i not in returned} | {
            i: text for i, text in deleted.items() if i in returned
        }

    def _gotten(self, entries: Mapping[str, Entry]) -> dict[str, str]:
        problems = {}
        for item_id, entry in entries.items():
            held = self._get(item_id)
            if not _same({item_id: held}, {item_id: entry.features}):
                problems[item_id] = f"is stored as {held}, and was acknowledged as {entry.features}"
        return problems

    def _found(self, entries: Mapping[str, Entry]) -> dict[str, str]:
        problems = {}
        for item_id, entry in entries.items():
            if entry.features is None:
                continue
            query = SimilarQuery(item_id=item_id, features=entry.features, limit=_NUM_SIMILAR)
            if item_id not in self._client.similar(query).item_ids:
                problems[item_id] = f"is not among the {_NUM_SIMILAR} nearest to its own features"
        return problems

    def _get(self, item_id: str) -> FeatureMap | None:
        try:
            return self._client.get(item_id).item.features
        except NotFoundError:
            return None


def _same(left: Change, right: Change) -> bool:
    return all(_equal(left[item_id], right[item_id]) for item_id in right)


def _equal(left: FeatureMap | None, right: FeatureMap | None) -> bool:
    if left is None or right is None:
        return left is right
    return same_features(left, right)
