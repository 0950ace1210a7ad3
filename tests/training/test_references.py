"""Sets that name other rows, and what the towers make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from recall.model.config import CodeConfig, DecoderConfig, TowerConfig
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from training.dataset import TrainingData
from training.references import Side, with_references
from training.setup import build_model

CITES = FeatureSpec(name="cites", kind="set", domain="cites")
TAGS = FeatureSpec(name="tags", kind="set", domain="tags")


def _cites(*values: str) -> FeatureMap:
    return {"cites": values}


def _side(rows: Sequence[FeatureMap], *, linked_alike: bool = True) -> Side:
    """Rows 0 to 199 in 50 groups of four: linked rows share their users, or only rows of the same place do."""
    groups = np.arange(200) // 4 if linked_alike else np.arange(200) % 4
    seen = csr_matrix((np.ones(200, dtype=np.float32), (np.arange(200), groups)), shape=(200, 50))
    return Side(id_domain="item_id", ids=[str(row) for row in range(200)], rows=rows, seen=lambda: seen)


def _cite_own_group(*, strangers: int = 0) -> list[FeatureMap]:
    """Each row cites the next one of its group, and `strangers` values that are no ids."""
    others = [f"elsewhere {n}" for n in range(strangers)]
    return [_cites(str(row // 4 * 4 + (row + 1) % 4), *others) for row in range(200)]


@pytest.mark.parametrize(("strangers", "domain"), [(0, "item_id"), (200, "item_id"), (201, "cites")])
def test_set_is_a_reference_where_half_of_its_values_are_ids(strangers: int, domain: str) -> None:
    side = _side(_cite_own_group(strangers=strangers))
    wanted = (CITES.model_copy(update={"domain": domain}), TAGS)
    assert with_references([CITES, TAGS], side, seed=0) == wanted


def test_codes_that_only_look_like_ids_are_no_references() -> None:
    side = _side(_cite_own_group(), linked_alike=False)
    assert with_references([CITES], side, seed=0) == (CITES,)


@pytest.mark.parametrize("seed", range(8))
def test_chance_overlaps_of_a_sparse_catalogue_make_no_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    users = rng.integers(0, 5000, size=(2000, 5))
    seen = csr_matrix((np.ones(10_000, dtype=np.float32), (np.repeat(np.arange(2000), 5), users.ravel())), (2000, 5000))
    rows = [_cites(str(rng.integers(0, 2000))) for _ in range(300)]
    side = Side(id_domain="item_id", ids=[str(row) for row in range(2000)], rows=rows, seen=lambda: seen)
    assert with_references([CITES], side, seed=0) == (CITES,)


@pytest.mark.parametrize("rows", [[], [{}] * 200, _cite_own_group()[:99]])
def test_too_few_links_tell_nothing(rows: list[FeatureMap]) -> None:
    assert with_references([CITES], _side(rows), seed=0) == (CITES,)


def test_declared_domain_and_text_are_left_alone() -> None:
    declared = CITES.model_copy(update={"domain": "paper"})
    text = FeatureSpec(name="title", kind="text", domain="title")
    assert with_references([declared, text], _side(_cite_own_group()), seed=0) == (declared, text)


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
