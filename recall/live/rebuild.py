"""Building a snapshot from a model and a catalogue, while servers go on serving and writing.

The catalogue's last sequence number N is read first and the scan shows no later write, so the snapshot is exactly the
state at N: an item that is written during the scan has a greater number, and every server replays it. `CURRENT` moves
last, when the snapshot is whole and synced.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index.attribute_growth import GrowingAttributes
from index.bags import Bags
from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.factory import AUTO, Built, IndexConfig, build_chosen, build_index
from index.live import LiveIndex
from index.protocols import FloatArray
from index.snapshot import current, read_manifest, set_current, snapshot_names
from index.sparse import SparseIndex
from index.tuning import EXACT_ROWS
from recall.errors import ConfigError, RecallError
from recall.live.attributes import indexed_attributes, snapshot_columns
from recall.live.availability import without_empty_windows
from recall.live.catalog import Catalog
from recall.live.config import RebuildConfig
from recall.live.generation import Embedder, Generation, load_model
from recall.live.item_vectors import ItemVectors, embed_stored
from recall.live.lineage import Lineage
from recall.live.popularity import Popularity
from recall.live.snapshot import SnapshotContent, current_held, next_name, only_writer, remove_old, write_snapshot
from recall.live.stored_queries import stored_queries
from recall.live.twin_search import stored_token_sets
from recall.live.twin_tables import TwinTables
from recall.model.token_sets import TokenSets, content_specs
from recall.progress import Progress, silent
from recall.schema import FeatureMap

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A model and the files of the artifact that it came from."""

    model: Embedder
    files: tuple[Path, ...]

    @classmethod
    def of(cls, folder: Path) -> LoadedModel:
        """Loads the artifact in `folder`.

        Raises:
            ArtifactError: The model cannot be used.
        """
        from recall.model.artifact import artifact_files  # torch is loaded only where a model is

        return cls(model=load_model(folder), files=artifact_files(folder))


def rebuild(
    model: Path, catalog: Path, out: Path, *, config: RebuildConfig | None = None, progress: Progress | None = None
) -> Path:
    """Embeds every stored item, writes a snapshot and makes it current.

    Args:
        model: Artifact folder.
        catalog: Catalogue file.
        out: Folder of snapshots; made where it is missing.
        config: None means the defaults.
        progress: Told about items and index.

    Returns:
        The new snapshot's folder.

    Raises:
        ArtifactError: The model cannot be used.
        CatalogError: The catalogue cannot be read.
        BusyError: Another rebuild writes to the same folder.
        SnapshotMismatchError: The folder holds snapshots of another catalogue.
        ConfigError: `out` cannot be made a folder.
        RecallError: The snapshot cannot be written.
    """
    _make_root(out)
    return rebuild_with(LoadedModel.of(model), catalog, out, config=config, progress=progress)


def rebuild_with(
    loaded: LoadedModel,
    catalog: Path,
    out: Path,
    *,
    config: RebuildConfig | None = None,
    progress: Progress | None = None,
) -> Path:
    """Does what `rebuild` does, with a model that is loaded already."""
    config = config or RebuildConfig()
    report = progress if progress is not None else silent
    _make_root(out)
    with only_writer(out), Catalog.open(catalog) as opened:
        _refuse_another_catalog(out, opened.lineage)
        content = _collected(opened, loaded, config, report)
        folder = out / next_name(out, loaded.model.model_id)
        num_rows = len(content.item_ids)
        _logger.info("building the index of %d items", num_rows)
        report("index", 0, num_rows)
        built = _built(opened, loaded.model, content, config=config.index)
        report("index", num_rows, num_rows)
        _logger.info("writing %s", folder)
        try:
            write_snapshot(folder, content, built)
        except OSError as error:
            text = f"{folder} cannot be written, and nothing of it is left: {error}"
            raise RecallError(f"{text}; check the disk and its free space") from error
        with current_held(out):
            before = _served(out)
            set_current(out, folder.name)
            removed = remove_old(out, config.keep_snapshots, spare=[folder.name, *before])
        _logger.info("%s is current; removed: %s", folder.name, ", ".join(removed) or "nothing")
    return folder


def generation_in_memory(
    model: Embedder,
    item_ids: Sequence[str],
    features: Sequence[FeatureMap],
    *,
    counts: Mapping[str, int],
    config: IndexConfig,
) -> Generation:
    """Embeds and indexes items as a rebuild would, without catalogue or snapshot.

    Args:
        model: Embeds.
        item_ids: Distinct ids.
        features: Raw features of each.
        counts: Interactions by item id.
        config: Kind and parameters of the base index; `auto` is not tuned here, but flat or plain hnsw.
    """
    embedded = embed_stored(model, item_ids, features)
    stored = _in_id_order([embedded], model)
    content = None if stored.bags is None else SparseIndex(stored.bags)
    base = build_index(stored.vectors, config.untuned(len(stored.item_ids)))
    index = LiveIndex(stored.item_ids, stored.vectors, base, sequence=0, content=content)
    held = Popularity.from_counts((item_id, counts.get(item_id, 0)) for item_id in stored.item_ids)
    return Generation(model=model, index=index, popularity=held, skipped=embedded.skipped)


def _built(catalog: Catalog, model: Embedder, content: SnapshotContent, *, config: IndexConfig) -> Built:
    queries = None
    if config.kind == "lsh" or (config.kind == AUTO and len(content.item_ids) >= EXACT_ROWS):
        queries = stored_queries(catalog, model, content.item_ids, vectors=content.vectors)
        of_users = "made beside items" if queries is None else f"the vectors of {len(queries)} stored users"
        _logger.info("index: tuned for queries that are %s", of_users)
    built = build_chosen(content.vectors, config, queries=queries)
    if built.tuned is not None:
        _logger.log(logging.INFO if built.tuned.reached else logging.WARNING, "index: %s", built.tuned.message)
    return built


def _collected(catalog: Catalog, loaded: LoadedModel, config: RebuildConfig, report: Progress) -> SnapshotContent:
    sequence, model = catalog.last_sequence(), loaded.model.with_audiences(catalog.audiences)
    counts, num_items = catalog.popularity(), catalog.num_items()
    _logger.info("embedding %d items", num_items)
    specs, sets = content_specs(catalog.schema.item_features), list[TokenSets]()
    attributes = GrowingAttributes(snapshot_columns(catalog.schema))
    parts: list[ItemVectors] = []
    skipped: dict[str, str] = {}
    num_done = 0
    for batch in catalog.scan_items(config.batch_size, until=sequence):
        whole = [item for item in batch if not item.damage]
        parts.append(embed_stored(model, [i.item_id for i in whole], [i.features for i in whole]))
        by_id = {item.item_id: item for item in whole}
        embedded = [by_id[item_id] for item_id in parts[-1].item_ids]
        sets.append(stored_token_sets(specs, [item.features for item in embedded]))
        attributes.append(indexed_attributes(attributes.specs, embedded))
        skipped |= parts[-1].skipped | {item.item_id: item.damage for item in batch if item.damage}
        num_done += len(batch)
        report("items", num_done, max(num_items, num_done))
    for item_id, reason in skipped.items():
        _logger.warning("item %r is left out: %s", item_id, reason)
    stored = _in_id_order(parts, loaded.model)
    return SnapshotContent(
        model_id=loaded.model.model_id,
        model_files=loaded.files,
        catalog_uuid=catalog.uuid,
        sequence=sequence,
        item_ids=stored.item_ids,
        vectors=stored.vectors,
        bags=stored.bags,
        counts=np.array([counts.get(item_id, 0) for item_id in stored.item_ids], dtype=np.int64),
        skipped=skipped,
        attributes=without_empty_windows(attributes.frozen(stored.order)),
        twins=TwinTables.build(specs, TokenSets.joined(sets).take(stored.order)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """What an index is built from: distinct ids, ascending, their vectors and, with a sparse part, their bags.

    `order` has the places at which they were given, [n] int64.
    """

    item_ids: list[str]
    vectors: FloatArray
    bags: Bags | None
    order: NDArray[np.int64]


def _in_id_order(parts: list[ItemVectors], model: Embedder) -> _Rows:
    """Joins parts by ascending id, which for str is UTF-8 byte order; empties `parts`, so that one copy is held."""
    item_ids = [item_id for part in parts for item_id in part.item_ids]
    order = np.array(sorted(range(len(item_ids)), key=item_ids.__getitem__), dtype=np.int64)
    bags = [part.bags for part in parts if part.bags is not None]
    vectors = _in_order(parts, order, model.dim)
    return _Rows(
        item_ids=[item_ids[row] for row in order],
        vectors=vectors,
        bags=Bags.joined(bags).take(order) if model.fusion.is_on else None,
        order=order,
    )


def _in_order(parts: list[ItemVectors], order: NDArray[np.int64], dim: int) -> FloatArray:
    places: NDArray[np.int64] = np.empty_like(order)
    places[order] = np.arange(len(order))
    vectors = np.empty((len(order), dim), dtype=np.float32)
    end = len(order)
    while parts:
        part = parts.pop()
        vectors[places[end - len(part.item_ids) : end]] = part.vectors
        end -= len(part.item_ids)
    return vectors


def _served(out: Path) -> list[str]:
    try:
        name = current(out)
    except SnapshotDamagedError as error:
        _logger.warning("%s; it is replaced", error)
        return []
    return [] if name is None else [name]


def _refuse_another_catalog(out: Path, lineage: Lineage) -> None:
    """Two catalogues in one folder would take `CURRENT`, and in time every snapshot, from each other's servers.

    A restored one goes on in the folder of the one that it was copied from.
    """
    for name in snapshot_names(out):
        try:
            found = read_manifest(out / name).facts.get("catalog_uuid")
        except (SnapshotDamagedError, SnapshotMismatchError):
            continue  # says nothing that could be trusted
        if not lineage.is_of_family(str(found)):
            seen = f"{out / name} was made from catalogue {found}, not from {lineage.uuid}"
            raise SnapshotMismatchError(f"{seen}; name another folder, or remove it")


def _make_root(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{out} cannot be made a folder of snapshots: {error.strerror}; name another") from error
