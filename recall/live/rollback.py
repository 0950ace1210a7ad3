"""Moving `CURRENT` to an earlier snapshot, and what snapshots there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.snapshot import build_number, current, read_manifest, set_current, snapshot_names
from recall.errors import NotReadyError
from recall.live.generation import ModelLoader, load_model
from recall.live.lineage import Lineage
from recall.live.snapshot import current_held, facts_of
from recall.live.warming import load_warm
from recall.live.watcher import FAILURES


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSnapshot:
    """One snapshot as its manifest describes it; nothing else of it is read.

    Attributes:
        name: Of its folder.
        is_current: Whether servers follow it.
        model_id: Its model; empty where the manifest cannot be read, as all that follows.
        sequence: Last write that it reflects.
        num_items: Items that it holds.
        index_kind: Kind of its base index.
        problem: Why the manifest cannot be read; empty where it can.
    """

    name: str
    is_current: bool
    model_id: str = ""
    sequence: int = 0
    num_items: int = 0
    index_kind: str = ""
    problem: str = ""


def listed(root: Path) -> list[ListedSnapshot]:
    """Returns the snapshots below `root`, newest first."""
    try:
        chosen = current(root)
    except SnapshotDamagedError:
        chosen = None
    return [_listed(root / name, is_current=name == chosen) for name in snapshot_names(root)]


def roll_back(
    root: Path, *, to: str | None = None, lineage: Lineage | None = None, load_model: ModelLoader = load_model
) -> str:
    """Makes `CURRENT` name another snapshot, once that was loaded as a server loads it; returns its name.

    Args:
        root: Folder of the snapshots.
        to: The snapshot; None takes the one before the current one.
        lineage: The catalogue that is served with it; None takes the snapshot of any.
        load_model: How the model is loaded from the snapshot.

    Raises:
        NotReadyError: There is no such snapshot, or it cannot be served; `CURRENT` stays as it is.
    """
    names = snapshot_names(root)
    name = _before_current(root, names) if to is None else to
    if name not in names:
        raise NotReadyError(f"{root / name} is no snapshot; {_choice(names)}")
    try:
        load_warm(root / name, lineage=lineage, load_model=load_model)
    except FAILURES as error:
        others = [other for other in names if other != name]
        raise NotReadyError(
            f"snapshot {name} cannot be served: {error}; CURRENT stays as it is; {_choice(others)}"
        ) from error
    with current_held(root):
        try:
            set_current(root, name)
        except FileNotFoundError as error:
            raise NotReadyError(f"a rebuild has just removed {name}; {_choice(snapshot_names(root))}") from error
    return name


def _before_current(root: Path, names: Sequence[str]) -> str:
    try:
        chosen = current(root)
    except SnapshotDamagedError as error:
        raise NotReadyError(f"{error}; {_choice(names)}") from error
    if chosen is None:
        raise NotReadyError(f"{root} has no file CURRENT, so none is the one before; {_choice(names)}")
    for name in names:
        if build_number(name) < build_number(chosen):
            return name
    raise NotReadyError(f"there is no snapshot before {chosen}, the current one, in {root}; {_choice(names)}")


def _choice(names: Sequence[str]) -> str:
    return f"name one with --to: {', '.join(names)}" if names else "there is none: build one with `recall rebuild`"


def _listed(folder: Path, *, is_current: bool) -> ListedSnapshot:
    try:
        facts = facts_of(folder, read_manifest(folder).facts)
    except (SnapshotDamagedError, SnapshotMismatchError, OSError) as error:
        return ListedSnapshot(name=folder.name, is_current=is_current, problem=str(error))
    return ListedSnapshot(
        name=folder.name,
        is_current=is_current,
        model_id=facts.model_id,
        sequence=facts.sequence,
        num_items=facts.num_items,
        index_kind=facts.index.kind,
    )
