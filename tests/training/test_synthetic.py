"""The synthetic data folder: it can be read, it repeats, and its structure is what the module says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recall.tables import DataFolder
from training.baselines.content import ContentKnn
from training.baselines.random import Random
from training.metrics import ranked_hits, recall_at_k
from training.protocol import candidate_set, evaluation_case, evaluation_data
from training.recommender import Recommender
from training.synthetic import COLD_SHARE, COLD_VALIDATION_SHARE, write_synthetic
from training.synthetic_topics import BRANDS, TOPICS, WORLDS

NUM_ITEMS, NUM_USERS = 600, 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "shop"
    write_synthetic(path, seed=1, num_items=NUM_ITEMS, num_users=NUM_USERS)
    return path


def test_the_same_seed_writes_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_synthetic(tmp_path / "again", seed=1, num_items=NUM_ITEMS, num_users=NUM_USERS)
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["dataset.toml", "interactions.parquet", "items.parquet", "users.parquet"]
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_another_seed_writes_other_interactions(folder: Path, tmp_path: Path) -> None:
    write_synthetic(tmp_path / "other", seed=2, num_items=NUM_ITEMS, num_users=NUM_USERS)
    one, other = (DataFolder.open(path).interactions() for path in (folder, tmp_path / "other"))
    assert not one.equals(other)


def test_an_existing_folder_is_left_alone(folder: Path) -> None:
    before = (folder / "items.parquet").read_bytes()
    with pytest.raises(FileExistsError, match="exists already"):
        write_synthetic(folder, seed=3, num_items=NUM_ITEMS, num_users=NUM_USERS)
    assert (folder / "items.parquet").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_sizes_that_are_too_small_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_items is 5"):
        write_synthetic(tmp_path / "tiny", seed=0, num_items=5)


def test_tables_are_readable_with_features_of_every_kind_used(folder: Path) -> None:
    opened = DataFolder.open(folder)
    kinds = {spec.name: spec.kind for spec in opened.schema.item_features}
    assert kinds == {"title": "text", "tags": "set", "brand": "category", "price": "number"}
    item_ids, features, _ = opened.items()
    assert len(item_ids) == NUM_ITEMS
    assert all(item["title"] for item in features)
    for name in ("tags", "brand", "price"):
        missing = sum(name not in item for item in features)
        assert 0 < missing < NUM_ITEMS / 2, name
    assert len(opened.users()[0]) == NUM_USERS


def test_an_eighth_of_the_items_is_cold_as_a_whole(folder: Path) -> None:
    interactions = DataFolder.open(folder).interactions()
    parts = interactions.group_by("item_id").agg(pl.col("split").unique())
    train = parts.filter(pl.col("split").list.contains("train"))
    cold = parts.filter(~pl.col("split").list.contains("train"))
    # Items nobody chose are in no part, and a rare warm item may miss train.
    assert NUM_ITEMS - len(train) == pytest.approx(COLD_SHARE * NUM_ITEMS, abs=0.05 * NUM_ITEMS)
    in_validation = cold.filter(pl.col("split").list.contains("validation"))
    assert len(in_validation) / len(cold) == pytest.approx(COLD_VALIDATION_SHARE, abs=0.1)
    assert cold["split"].list.len().max() == 1


def test_popularity_is_skewed(folder: Path) -> None:
    counts = DataFolder.open(folder).interactions()["item_id"].value_counts(sort=True)["count"].to_numpy()
    assert counts[: NUM_ITEMS // 10].sum() > 0.25 * counts.sum()


def _recall(recommender: Recommender, folder: Path) -> float:
    opened = DataFolder.open(folder)
    data = evaluation_data(opened.interactions(), opened.items()[0], user_features={})
    case = evaluation_case(data, candidate_set(data, "cold-split"))
    hits = ranked_hits(recommender.recommend(case.users, 5, case.candidates), case.relevant, 5)
    return float(recall_at_k(hits, np.array([len(items) for items in case.relevant]), 5).mean())


def test_content_finds_cold_items_but_not_all_of_them(folder: Path) -> None:
    opened = DataFolder.open(folder)
    item_ids, features, _ = opened.items()
    content = _recall(ContentKnn(item_ids, features, opened.schema.item_features), folder)
    assert 2 * _recall(Random(item_ids), folder) < content < 0.7


def test_topics_are_complete() -> None:
    assert len(TOPICS) == 24
    assert set(BRANDS) == set(WORLDS) == {topic.world for topic in TOPICS}
    assert len({len(brands) for brands in BRANDS.values()}) == 1
    for topic in TOPICS:
        assert (len(topic.words), len(topic.tags)) == (12, 9), topic.name
        assert len(set(topic.words)) == 12, topic.name
