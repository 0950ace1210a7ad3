"""The data folders of the quality benchmarks: public sets, some of their features only, and a small synthetic one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from index.snapshot import write_folder
from recall.dataset_config import DatasetConfig
from recall.errors import DataError
from recall.schema import FeatureSpec
from recall.tables import CONFIG_FILE, INTERACTIONS_FILE, DataFolder
from training.dataset import select_features
from training.synthetic import write_synthetic

DATA_ROOT = Path(__file__).resolve().parents[2] / "shared" / "datasets"
_QUICK_SET = "synthetic-shop"


def data_folders(root: Path, names: Sequence[str] | None = None) -> list[Path]:
    """Returns the data folders below `root`, by name.

    Args:
        root: Folder of the data folders.
        names: Those wanted; None means all.

    Raises:
        DataError: One is not there, or there is none.
    """
    found = {file.parent.name: file.parent for file in sorted(root.glob(f"*/{INTERACTIONS_FILE}"))}
    missing = [name for name in names or () if name not in found]
    if missing or not found:
        raise DataError(
            f"data set {missing[0] if missing else 'any'!r} is not in {root}; there are: {', '.join(found) or 'none'};"
            " name a --data-root"
        )
    return [found[name] for name in (found if names is None else names)]


def quick_data(work: Path) -> Path:
    """Returns a synthetic data folder of 400 items, made below `work` where it is missing."""
    data = work / "data" / _QUICK_SET
    if not data.exists():
        write_synthetic(data, seed=7, num_items=400, num_users=200)
    return data


def narrowed(data: Path, features: Sequence[str], *, root: Path) -> Path:
    """Returns a folder below `root` like `data`, whose features are those named; made where it is missing.

    Args:
        data: A data folder.
        features: `items.NAME` and `users.NAME`.
        root: Takes the folder, which is named for the set and its features.

    Raises:
        DataError: A name is of no feature.
    """
    folder = DataFolder.open(data)
    schema = select_features(folder.schema, features)
    chosen = [spec.name for spec in (*schema.item_features, *schema.user_features)]
    made = root / f"{data.name}~{'+'.join(chosen) or 'none'}"
    config = folder.config.model_copy(
        update={
            "name": made.name,
            "item_features": _kinds(schema.item_features),
            "user_features": _kinds(schema.user_features),
        }
    )

    def fill(temporary: Path) -> None:
        for file in data.glob("*.parquet"):
            shutil.copyfile(file, temporary / file.name)
        (temporary / CONFIG_FILE).write_text(_toml(config), encoding="utf-8")

    if not made.exists():
        write_folder(made, fill)
    return made


def _kinds(specs: Sequence[FeatureSpec]) -> dict[str, str]:
    return {spec.name: spec.kind for spec in specs}


def _toml(config: DatasetConfig) -> str:
    values = config.model_dump(
        exclude_none=True, include=config.model_fields_set | {"item_features", "user_features", "name"}
    )
    return "\n".join([*_lines(values), *(line for key, table in values.items() for line in _table(key, table))]) + "\n"


def _table(key: str, value: object) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"[{key}]"
        yield from _lines(value)


def _lines(values: Mapping[str, object]) -> Iterator[str]:
    """Yields what is no table. A string or number of JSON is one of TOML too."""
    yield from (
        f"{json.dumps(key)} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)
    )
