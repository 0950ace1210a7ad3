"""Sets that name other rows, and what the towers make of them."""

from __future__ import annotations

import numpy as np
import pytest

from recall.model.config import CodeConfig, DecoderConfig, TowerConfig
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from training.dataset import TrainingData
from training.references import with_references
from training.setup import build_model

CITES = FeatureSpec(name="cites", kind="set", domain="cites")
TAGS = FeatureSpec(name="tags", kind="set", domain="tags")


def _cites(*values: str) -> FeatureMap:
    return {"cites": values}


@pytest.mark.parametrize(
    ("rows", "domain"),
    [
        ([_cites("1", "2"), _cites("3", "elsewhere")], "item_id"),
        ([_cites("1"), _cites("elsewhere")], "item_id"),
        ([_cites("1"), _cites("elsewhere", "nowhere")], "cites"),
        ([{}, {}], "cites"),
    ],
)
def test_set_is_a_reference_where_half_of_its_values_are_ids(rows: list[FeatureMap], domain: str) -> None:
    assert with_references([CITES, TAGS], rows, ["1", "2", "3"], id_domain="item_id") == (
        CITES.model_copy(update={"domain": domain}),
        TAGS,
    )


def test_declared_domain_and_text_are_left_alone() -> None:
    declared = CITES.model_copy(update={"domain": "paper"})
    text = FeatureSpec(name="title", kind="text", domain="title")
    rows = [{"cites": ("1",), "title": "1"}]
    assert with_references([declared, text], rows, ["1"], id_domain="item_id") == (declared, text)


@pytest.fixture
def citing() -> TrainingData:
    """Items 0 to 7 cite the next one and were seen; item 8 cites 0 and was not."""
    pairs = np.array([(user, item) for user in range(4) for item in range(user, user + 4)])
    return TrainingData(
        schema=DataSchema(name="citing", item_features=(CITES.model_copy(update={"domain": "item_id"}),)),
        item_ids=[f"P{row}" for row in range(9)],
        items=[_cites(f"p{(row + 1) % 8}") for row in range(8)] + [_cites("P0")],
        user_ids=[f"u{row}" for row in range(4)],
        users=[{}] * 4,
        train=pairs,
        validation=pairs[:0],
        refitted=pairs,
        carved=False,
    )


def test_row_meets_those_that_refer_to_it(citing: TrainingData) -> None:
    config = TowerConfig(dim=8, id_code=CodeConfig(k=16), id_decoder=DecoderConfig(width=8, depth=1))
    items = build_model(citing, config, seed=0).items
    content = items.prepare(citing.item_ids, citing.items).features.content
    without = items.features.encode(citing.items).content
    assert content[0] @ content[8] > without[0] @ without[8] + 1e-3


def test_unseen_row_does_not_depend_on_its_id(citing: TrainingData) -> None:
    config = TowerConfig(dim=8, id_code=CodeConfig(k=16), id_decoder=DecoderConfig(width=8, depth=1))
    model = build_model(citing, config, seed=0)
    # One by one: the place within a batch may round differently.
    unseen, other, none = (model.embed_items([item_id], [_cites("P0")]) for item_id in ("P8", "never", ""))
    np.testing.assert_array_equal(unseen, other)
    np.testing.assert_array_equal(unseen, none)
