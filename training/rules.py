"""Settings that follow from the data, by rules that are printed at start. A setting that is given is left alone.

- `item_id_dropout`: half of the items of a step count as unseen, so that features learn to stand for them, where items
  have features; where they have none nothing could stand for an item, and none is left out.
- `towers.pooling`: `recent` where the validation part is what came later, that is where at least nine tenths of its
  interactions are no earlier than all train interactions of their user, and train tells times apart; otherwise `mean`.
"""

from __future__ import annotations

import logging

from training.config import TrainConfig
from training.dataset import TrainingData

LATER_SHARE = 0.9
ID_DROPOUT = 0.5

_LOG = logging.getLogger(__name__)


def resolved(config: TrainConfig, data: TrainingData) -> TrainConfig:
    """Returns the config with every `auto` replaced by what its rule says of the data."""
    changes: dict[str, object] = {}
    if config.item_id_dropout == "auto":
        has_any = bool(data.schema.item_features)
        changes["item_id_dropout"] = ID_DROPOUT if has_any else 0.0
        _say("item_id_dropout", changes["item_id_dropout"], f"items have {'' if has_any else 'no '}features")
    if config.towers.pooling == "auto":
        pooling, reason = _pooling(data)
        changes["towers"] = config.towers.model_copy(update={"pooling": pooling})
        _say("towers.pooling", pooling, reason)
    return config.model_copy(update=changes)


def _pooling(data: TrainingData) -> tuple[str, str]:
    if data.later_share is None:
        return "mean", "nothing tells the order of interactions"
    reason = f"{data.later_share:.0%} of the validation interactions come after their user's train interactions"
    return ("recent" if data.later_share >= LATER_SHARE else "mean"), reason


def _say(name: str, value: object, reason: str) -> None:
    _LOG.info("%s = %s: %s", name, value, reason)
