"""A snapshot: one model and everything that it made of one catalogue, as a folder that is whole or not there.

Folder `<build number, six digits>-<first 12 digits of the model id>`, written by `index.snapshot`, which describes the
manifest and its checksums. The manifest's facts:

    content       version of this description, 1
    catalog_uuid  the catalogue that was scanned
    sequence      its last write that the snapshot reflects; greater ones are still to be replayed
    model_id      the model
    index         kind, its parameters, and what tuning tried where it chose them (`tuning.py`; else null or left out)
    num_items     rows of every space
    num_skipped   stored items that are damaged or that the model cannot embed
    dim           length of its vectors
    parts         where the parts are

Parts: `model/` holds the files of the artifact that its manifest names, `rows/` the row table (`index.rows`),
`spaces/two_tower/` vectors and base index (`index.space`), `spaces/content/` the bags of the same rows
(`index.bag_space`; there if the model has a sparse part), `twins/` the token sets of the same rows (`twin_tables.py`;
snapshots made before there were twins lack it), `skipped.json` an object of reasons by item id.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from index.attributes import Attributes
from index.bag_space import load_content, save_content
from index.bags import Bags
from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.factory import Built
from index.live import LiveIndex
from index.protocols import FloatArray, RowArray
from index.rows import RowTable
from index.snapshot import (
    CURRENT,
    MANIFEST,
    Json,
    next_build_number,
    snapshot_names,
    verify,
    write_folder,
    write_manifest,
)
from index.space import load_space, save_space
from index.sparse import SparseIndex
from recall.errors import BusyError
from recall.live.availability import Windows, with_windows
from recall.live.generation import Embedder, Generation, ModelLoader, load_model
from recall.live.lineage import Lineage
from recall.live.popularity import Popularity
from recall.live.tuning import TuningFacts
from recall.live.twin_tables import TwinTables
from recall.live.twins import LiveTwins
from recall.validation import one_line

_logger = logging.getLogger(__name__)

CONTENT_VERSION = 1
_LOCK = ".rebuild.lock"
MODEL, ROWS, SKIPPED, TWO_TOWER = "model", "rows", "skipped.json", "spaces/two_tower"
CONTENT = "spaces/content"
TWINS = "twins"


class IndexFacts(BaseModel):
    """Kind and parameters of a base index, and how they were chosen; None where they were given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    parameters: dict[str, int | float | str]
    tuning: TuningFacts | None = None


class PartPaths(BaseModel):
    """Where the parts of a snapshot are, below its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = MODEL
    rows: str = ROWS
    skipped: str = SKIPPED
    spaces: dict[str, str] = {"two_tower": TWO_TOWER}
    twins: str | None = None


class SnapshotFacts(BaseModel):
    """The facts of a snapshot's manifest; see the module's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    content: int = CONTENT_VERSION
    catalog_uuid: str
    sequence: int
    model_id: str
    dim: int
    index: IndexFacts
    num_items: int
    num_skipped: int
    parts: PartPaths = PartPaths()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotContent:
    """What a snapshot is written from, besides its base index.

    Attributes:
        model_id: The model.
        model_files: The files of its artifact, side by side.
        catalog_uuid: The catalogue.
        sequence: Last write that is reflected.
        item_ids: [n], ascending in UTF-8 byte order.
        vectors: [n, dim] float32.
        bags: n bags; None where the model has no sparse part.
        counts: [n] int64, interactions of each item.
        skipped: Reason by id of each stored item that could not be embedded.
        twins: Token sets of n rows; None writes none.
        attributes: n rows of columns that filters use; None writes none.
    """

    model_id: str
    model_files: tuple[Path, ...]
    catalog_uuid: str
    sequence: int
    item_ids: list[str]
    vectors: FloatArray
    bags: Bags | None
    counts: RowArray
    skipped: dict[str, str]
    twins: TwinTables | None = None
    attributes: Attributes | None = None


def write_snapshot(folder: Path, content: SnapshotContent, built: Built) -> None:
    """Writes a snapshot folder, whole and synced or not at all.

    Raises:
        OSError: The disk failed; nothing is left behind.
    """
    base, bags, spaces = built.index, content.bags, {"two_tower": TWO_TOWER}
    facts = SnapshotFacts(
        catalog_uuid=content.catalog_uuid,
        sequence=content.sequence,
        model_id=content.model_id,
        dim=base.dim,
        index=IndexFacts(
            kind=base.kind,
            parameters=base.parameters(),
            tuning=None if built.tuned is None else TuningFacts.of(built.tuned),
        ),
        num_items=len(content.item_ids),
        num_skipped=len(content.skipped),
        parts=PartPaths(
            spaces=spaces if bags is None else {**spaces, "content": CONTENT},
            twins=None if content.twins is None else TWINS,
        ),
    )

    def fill(temporary: Path) -> None:
        (temporary / MODEL).mkdir()
        for file in content.model_files:
            shutil.copyfile(file, temporary / MODEL / file.name)
        (temporary / ROWS).mkdir()
        rows = RowTable.from_items(content.item_ids, content.counts, attributes=content.attributes)
        rows.save(temporary / ROWS)
        (temporary / TWO_TOWER).mkdir(parents=True)
        save_space(temporary / TWO_TOWER, content.vectors, base)
        if bags is not None:
            (temporary / CONTENT).mkdir(parents=True)
            save_content(temporary / CONTENT, bags)
        if content.twins is not None:
            (temporary / TWINS).mkdir()
            content.twins.save(temporary / TWINS)
        (temporary / SKIPPED).write_text(json.dumps(content.skipped, sort_keys=True), encoding="utf-8")
        write_manifest(temporary, facts.model_dump(mode="json"))

    write_folder(folder, fill)


def load_generation(folder: Path, *, lineage: Lineage | None, load_model: ModelLoader = load_model) -> Generation:
    """Checks and loads a snapshot; its vectors stay on disk, mapped.

    Args:
        folder: The snapshot.
        lineage: The catalogue that is served with it; None takes the snapshot of any, to evaluate it.
        load_model: How the model is loaded from its artifact.

    Raises:
        SnapshotDamagedError: A part is missing or damaged.
        SnapshotMismatchError: It belongs to another catalogue or format, reflects writes that a restored one lost, its
            vectors belong to another model, or it lacks the bags that its model needs.
        ArtifactError: The model cannot be used.
    """
    facts = verified_facts(folder)
    if lineage is not None and (reason := lineage.refusal(facts.catalog_uuid, facts.sequence)):
        raise SnapshotMismatchError(f"{folder} {reason}")
    model = load_model(folder / facts.parts.model)
    rows = RowTable.load(folder / facts.parts.rows)
    vectors, base = load_space(folder / facts.parts.spaces["two_tower"])
    if (model.model_id, model.dim, base.dim) != (facts.model_id, facts.dim, facts.dim):
        raise SnapshotMismatchError(
            f"{folder} holds vectors of dimension {base.dim} and model {model.model_id} of dimension {model.dim}; "
            f"its manifest says model {facts.model_id} of dimension {facts.dim}: rebuild"
        )
    item_ids = rows.item_ids()
    popular = np.flatnonzero(rows.popularity)
    content = _content(folder, facts.parts.spaces, model)
    index = LiveIndex(item_ids, vectors, base, sequence=facts.sequence, content=content)
    attributes = with_windows(rows.attributes, len(item_ids))
    index.set_attributes(attributes)
    return Generation(
        model=model,
        index=index,
        popularity=Popularity.from_counts((item_ids[row], int(rows.popularity[row])) for row in popular),
        snapshot=folder.name,
        tuning=facts.index.tuning,
        skipped=json.loads((folder / facts.parts.skipped).read_text(encoding="utf-8")),
        twins=_twins(folder, facts.parts.twins, item_ids),
        windows=Windows.of(attributes),
        is_filterable=rows.attributes is not None,
    )


def _content(folder: Path, spaces: Mapping[str, str], model: Embedder) -> SparseIndex | None:
    if not model.fusion.is_on:
        return None
    if "content" not in spaces:
        raise SnapshotMismatchError(
            f"{folder} holds the spaces {sorted(spaces)} without content, but model {model.model_id} has a sparse"
            " part: rebuild"
        )
    return load_content(folder / spaces["content"])


def _twins(folder: Path, part: str | None, item_ids: Sequence[str]) -> LiveTwins | None:
    return None if part is None else LiveTwins(item_ids, TwinTables.load(folder / part, num_rows=len(item_ids)))


def next_name(root: Path, model_id: str) -> str:
    """Returns the name of the next snapshot below `root`."""
    return f"{next_build_number(root):06}-{model_id[:12]}"


@contextmanager
def only_writer(root: Path) -> Iterator[None]:
    """Holds the lock of a folder of snapshots, which whoever adds or removes one takes.

    Raises:
        BusyError: Another process has it.
    """
    path = root / _LOCK
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError(
                f"another rebuild is writing to {root} and holds {path.name}; wait for it, or stop it"
            ) from error
        yield


@contextmanager
def current_held(root: Path) -> Iterator[None]:
    """Waits for the right to move `CURRENT`, which takes moments: nobody removes or moves to a snapshot meanwhile."""
    descriptor = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def remove_old(root: Path, keep: int, *, spare: Sequence[str]) -> list[str]:
    """Removes all but the newest `keep` snapshots below `root` and what a killed rebuild left; returns their names.

    Args:
        root: Folder of the snapshots; the caller holds its lock and `CURRENT`.
        keep: Newest snapshots to keep.
        spare: More names that stay, for example the one to roll back to.
    """
    old = [name for name in snapshot_names(root)[keep:] if name not in spare]
    for path in root.glob(f".{CURRENT}.tmp-*"):
        path.unlink(missing_ok=True)
    for name in [*old, *(path.name for path in root.glob(".*-*.tmp-*"))]:
        try:
            shutil.rmtree(root / name)
        except OSError as error:
            _logger.warning("%s could not be removed: %s; remove it by hand", root / name, error)
    return old


def verified_facts(folder: Path) -> SnapshotFacts:
    """Checks every file of a snapshot and returns what its manifest states.

    Raises:
        SnapshotDamagedError: A part is missing or damaged.
        SnapshotMismatchError: It is of another format.
    """
    return facts_of(folder, verify(folder).facts)


def facts_of(folder: Path, facts: Mapping[str, Json]) -> SnapshotFacts:
    """Returns what the manifest of a snapshot states, by name.

    Raises:
        SnapshotDamagedError: It is not what a rebuild states.
        SnapshotMismatchError: It is of another format.
    """
    if facts.get("content") != CONTENT_VERSION:
        raise SnapshotMismatchError(
            f"{folder} holds content version {facts.get('content')}, this program reads {CONTENT_VERSION}; rebuild"
        )
    try:
        return SnapshotFacts.model_validate(dict(facts))
    except ValidationError as error:
        raise SnapshotDamagedError(f"{folder / MANIFEST} states unusable facts: {one_line(error)}; rebuild") from error
