"""Names of the columns that every data folder has or may have; the id columns name the hash domains of ids too."""

from __future__ import annotations

ITEM_ID = "item_id"
USER_ID = "user_id"
TIMESTAMP = "timestamp"
WEIGHT = "weight"
SPLIT = "split"
