"""Writers and what they write: each owns some known items and some new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deployment import Deployment
from ledger import Change, Ledger, Writer
from recall.errors import DataError
from unseen import unseen_features

_KNOWN_A_WRITER = 40
_NEW_A_WRITER = 60
_MAX_UNTOUCHED = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who writes what.

    Attributes:
        ledger: What the server must hold, of written items and some untouched ones.
        writers: Each with items of its own.
        written: All items that a writer may write.
        probe: A stored item that nobody writes.
        num_unlisted: Stored items that are not in the ledger.
    """

    ledger: Ledger
    writers: Sequence[Writer]
    written: Sequence[str]
    probe: str
    num_unlisted: int

    def num_items(self) -> int:
        """Returns how many items the server must hold, once nobody writes."""
        settled = self.ledger.settled()
        return self.num_unlisted + sum(entry.features is not None for entry in settled.values())


def workload(deployment: Deployment, *, num_writers: int, seed: int) -> Workload:
    """Returns writers for the items of a deployment that nobody has written to.

    Raises:
        DataError: The data folder has too few items.
    """
    items, specs = deployment.items()
    num_written = _KNOWN_A_WRITER * num_writers
    if len(items) <= num_written:
        raise DataError(f"{deployment.data} has {len(items)} items; want more than {num_written}")
    listed = items[: num_written + _MAX_UNTOUCHED]
    owned = [
        [item.item_id for item in items[number:num_written:num_writers]]
        + [f"new-{number}-{count:03d}" for count in range(_NEW_A_WRITER)]
        for number in range(num_writers)
    ]
    stored: Change = dict.fromkeys(item_id for ids in owned for item_id in ids)
    ledger = Ledger({**stored, **{item.item_id: item.features for item in listed}})
    features = [item.features for item in items]
    writers = [
        Writer(ledger, ids, unseen_features(features, specs, seed=seed + number), seed=seed + number)
        for number, ids in enumerate(owned)
    ]
    return Workload(
        ledger=ledger,
        writers=writers,
        written=list(stored),
        probe=items[num_written].item_id,
        num_unlisted=len(items) - len(listed),
    )
