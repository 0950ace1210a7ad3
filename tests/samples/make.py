"""Writes the committed samples of the disk formats: `python tests/samples/make.py`.

A folder beside this file gets model, catalogue and snapshots of one base index of each kind, all tiny, and what reading
them gave when they were written. What is committed stays: later releases must read it. A new format version, or a new
part of one, gets a new folder: `v1` has no sparse part and a projection in half precision, `v1-fused` has both parts
and a projection in steps, `v1-audience` audiences besides. The catalogues of the first two are of version 1, that of
the last is of version 4; `catalog-v2` is one of version 2, `backup-v1` a backup of one of version 3, and `catalog-v3`
what was restored from it.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import polars as pl

from index.factory import IndexConfig
from recall.live.backup import backup
from recall.live.catalog import Catalog
from recall.live.catalog_writes import AddInteractions, CatalogWrite, DeleteUsers, PutItems, PutUsers
from recall.live.config import RebuildConfig
from recall.live.load import load
from recall.live.query import RecallQuery
from recall.live.rebuild import rebuild
from recall.live.records import InteractionRecord, ItemRecord, UserRecord
from recall.live.restore import restore
from recall.live.service import RecallSystem
from recall.live.writes import RequestKey, WarningCode, WriteWarning
from recall.model.config import CodeConfig, DecoderConfig, ProjectionConfig, TowerConfig
from recall.schema import DataSchema, FeatureSpec
from recall.tables import DataFolder
from training.config import FusionConfig, LossConfig, TrainConfig
from training.train import RunOptions, train

KINDS = ("flat", "hnsw", "lsh")
NUM_ITEMS, NUM_USERS = 12, 6
DECODER = DecoderConfig(width=8, depth=1)
TOWERS = TowerConfig(
    dim=8,
    id_code=CodeConfig(k=16),
    id_decoder=DECODER,
    content_projection=ProjectionConfig(rank=8),
    audience_projection=ProjectionConfig(rank=8),
    audience_decoder=DECODER,
    category_code=CodeConfig(k=8),
    feature_decoder=DECODER,
    max_history=4,
    max_sketch_bytes=1 << 12,
)
CONFIG = """[item_features]
title = "text"
tags = "set"
brand = "category"
year = "number"
image = "vector"
[item_attributes]
brand = "category"
"""


def write_data(folder: Path) -> None:
    """Writes a data folder with every kind of feature, ids beyond ASCII and a gap."""
    folder.mkdir()
    rows = range(NUM_ITEMS)
    items = {
        "item_id": [f"i{row}" if row else "é" for row in rows],
        "title": [None if row == 5 else f"word{row % 4} of story{row % 3}" for row in rows],
        "tags": [[f"tag{row % 3}", "all"] for row in rows],
        "brand": [f"brand{row % 2}" for row in rows],
        "year": [1990.0 + row for row in rows],
        "image": [[float(row % 4), 1.0] for row in rows],
    }
    pl.DataFrame(items).write_parquet(folder / "items.parquet")
    pairs = [(user, (user * 2 + n) % (NUM_ITEMS - 2)) for user in range(NUM_USERS) for n in range(4)]
    events = {"user_id": [f"u{user}" for user, _ in pairs], "item_id": [items["item_id"][item] for _, item in pairs]}
    pl.DataFrame({**events, "timestamp": list(range(len(pairs)))}).write_parquet(folder / "interactions.parquet")
    ages = [20.0 + user for user in range(NUM_USERS)]
    pl.DataFrame({"user_id": [f"u{user}" for user in range(NUM_USERS)], "age": ages}).write_parquet(
        folder / "users.parquet"
    )
    (folder / "dataset.toml").write_text(CONFIG, encoding="utf-8")


def write_catalog(path: Path) -> None:
    """Writes a catalogue with windows, users, events, an erasure and a request id."""
    features = (FeatureSpec(name="title", kind="text", domain="title"),)
    with Catalog.create(path, DataSchema(name="sample", item_features=features)) as catalog:
        window = ItemRecord(item_id="é", features={"title": "word"}, available_from=10, available_until=20)
        key = RequestKey(request_id="request", digest=b"content")
        warning = WriteWarning(item_id="é", code=WarningCode.UNKNOWN_FEATURE, message="unknown")
        put = CatalogWrite(change=PutItems([window]), request=key, model_id="m", warnings=(warning,))
        users = CatalogWrite(change=PutUsers([UserRecord(user_id=user) for user in ("kept", "gone")]))
        events = [InteractionRecord(user_id=user, item_id="é", timestamp=5) for user in ("kept", "gone")]
        erasure = CatalogWrite(change=DeleteUsers(["gone"]))
        catalog.write([put, users, CatalogWrite(change=AddInteractions(events)), erasure])
        catalog.upkeep.tidy(forget_before=0)


def write_backup(out: Path) -> None:
    """Writes a backup of such a catalogue, and what restoring it gives."""
    with tempfile.TemporaryDirectory() as scratch:
        write_catalog(Path(scratch) / "catalog.sqlite")
        backup(Path(scratch) / "catalog.sqlite", out / "backup-v1")
    restore(out / "backup-v1", out / "catalog-v3" / "catalog.sqlite")


def expected(out: Path) -> dict[str, object]:
    """Serves the newest snapshot and returns what it answers."""
    system = RecallSystem.start(out / "snapshots", out / "catalog.sqlite")
    try:
        item_ids = sorted(system.generation.index.item_ids())
        vectors, _ = system.generation.index.gather(item_ids)
        return {
            "model_id": system.generation.model.model_id,
            "sequence": system.status().sequence,
            "item_ids": item_ids,
            "vectors": [[round(float(value), 6) for value in vector] for vector in vectors],
            "popularity": dict(system.generation.popularity.ranking),
            "recalled": system.recall(RecallQuery(user_id="u1", limit=5)).item_ids,
        }
    finally:
        system.close()


def make(out: Path, data: Path) -> None:
    """Writes the samples to the new folder `out`, made from a data folder that is written to the new folder `data`."""
    out.mkdir()
    write_data(data)
    config = TrainConfig(
        towers=TOWERS,
        loss=LossConfig(uniform_negatives=4),
        fusion=FusionConfig(seen=0.5, unseen=1.0, unseen_offset=-0.125),
        epochs=1,
        batch_size=8,
        threads=1,
    )
    train(data, out / "model", config, options=RunOptions(seed=1, device="cpu"))
    load(DataFolder.open(data), out / "catalog.sqlite")
    with Catalog.open(out / "catalog.sqlite") as catalog:
        catalog.put_items([ItemRecord(item_id="unfit", features={"year": "soon"})])
        catalog.delete_items(["i11"])
        for kind in KINDS:
            settings = RebuildConfig(index=IndexConfig(kind=kind), keep_snapshots=len(KINDS))
            rebuild(out / "model", out / "catalog.sqlite", out / "snapshots", config=settings)
        catalog.put_items([ItemRecord(item_id="late", features={"title": "word1 of story2", "year": 2001.0})])
        catalog.delete_items(["i10"])
    (out / "expected.json").write_text(json.dumps(expected(out), indent=1, ensure_ascii=False), encoding="utf-8")
    (out / "snapshots" / ".rebuild.lock").unlink()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(__file__).parent / "v1-audience", Path(scratch) / "data")
