"""Names of the columns that every data folder has or may have; the id columns name the hash domains of ids too.

`RANK`, `SCORE` and `ANSWERED_FROM` are columns of a table of recommended items.
"""

from __future__ import annotations

ITEM_ID = "item_id"
USER_ID = "user_id"
TIMESTAMP = "timestamp"
WEIGHT = "weight"
SPLIT = "split"

RANK = "rank"
SCORE = "score"
ANSWERED_FROM = "answered_from"
