"""Items that are the system's own: stored and searched like any other, shown to nobody.

There is one, which the freshness canary writes (`canary.py`). Its id begins with a character that no client and no
table may begin an id with. Readers of the catalogue that hand items on leave it out, every answer excludes it, and
counts go without it; what the index does with it is what it does with any item.
"""

from __future__ import annotations

from index.live import LiveIndex
from index.live_view import LiveView
from recall.live.records import StoredItem
from recall.values import RESERVED_PREFIX

CANARY_ID = f"{RESERVED_PREFIX}canary"

SHOWN = f"deleted = 0 AND substr(item_id, 1, 1) <> char({ord(RESERVED_PREFIX)})"
"""What holds, in SQL, for rows of the table of items that may be handed on."""


def is_reserved(item_id: str) -> bool:
    """Returns whether an id is the system's own."""
    return item_id.startswith(RESERVED_PREFIX)


def is_shown(item: StoredItem) -> bool:
    """Returns whether a stored item may be handed on: not deleted, and not the system's own."""
    return not item.deleted and not is_reserved(item.item_id)


def hidden_in(index: LiveIndex | LiveView) -> tuple[str, ...]:
    """Returns the ids that an index holds and no answer may show; none where no canary writes to the catalogue."""
    return (CANARY_ID,) if CANARY_ID in index else ()
