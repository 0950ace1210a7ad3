"""The sparse space of a snapshot: bags by row.

Files below one folder:

- `tokens.npy`: uint64 [num_tokens], ascending and distinct within a row; NumPy format 1.0, little-endian.
- `weights.npy`: float32 [num_tokens], finite and not zero.
- `offsets.npy`: int64 [n + 1], row r is tokens `offsets[r]` to `offsets[r + 1]`.
- `content.json`: `{"format_version": 1, "kind": "sparse"}`, sorted keys.

Posting lists are made when it is loaded: sorting the tokens is as quick as reading the lists.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from index.arrays import load_array
from index.bags import Bags
from index.errors import SnapshotDamagedError, SnapshotMismatchError
from index.json_object import load_object
from index.sparse import SparseIndex

FORMAT_VERSION = 1
_TOKENS, _WEIGHTS, _OFFSETS, _CONTENT = "tokens.npy", "weights.npy", "offsets.npy", "content.json"


def save_content(folder: Path, bags: Bags) -> None:
    """Writes bags below `folder`, which exists."""
    np.save(folder / _TOKENS, bags.tokens[: bags.num_tokens], allow_pickle=False)
    np.save(folder / _WEIGHTS, bags.weights[: bags.num_tokens], allow_pickle=False)
    np.save(folder / _OFFSETS, bags.offsets, allow_pickle=False)
    body = {"format_version": FORMAT_VERSION, "kind": SparseIndex.kind}
    (folder / _CONTENT).write_text(json.dumps(body, indent=1, sort_keys=True) + "\n", encoding="ascii")


def load_content(folder: Path) -> SparseIndex:
    """Reads what `save_content` wrote; the bags are mapped read-only.

    Raises:
        SnapshotDamagedError: A file is missing or unreadable, or the files do not fit each other.
        SnapshotMismatchError: The format or the kind is not known here.
    """
    _check_body(folder / _CONTENT)
    tokens = load_array(folder / _TOKENS, np.uint64, num_axes=1, mapped=True)
    weights = load_array(folder / _WEIGHTS, np.float32, num_axes=1, mapped=True)
    offsets = load_array(folder / _OFFSETS, np.int64, num_axes=1)
    path = folder / _OFFSETS
    if offsets.size == 0 or offsets[0] != 0 or (offsets[1:] < offsets[:-1]).any():
        raise SnapshotDamagedError(f"{path} does not ascend from 0; rebuild or restore it")
    if not offsets[-1] == tokens.size == weights.size:
        raise SnapshotDamagedError(
            f"{path} ends at {offsets[-1]} for {tokens.size} tokens and {weights.size} weights; rebuild or restore it"
        )
    bags = Bags(tokens=tokens, weights=weights, offsets=offsets)
    if not bags.is_ordered():
        raise SnapshotDamagedError(
            f"{folder / _TOKENS} or {_WEIGHTS} holds a row whose tokens do not ascend, or a weight that is zero or not "
            "finite; rebuild or restore it"
        )
    return SparseIndex(bags)


def _check_body(path: Path) -> None:
    body = load_object(path)
    seen = (body.get("format_version"), body.get("kind"))
    if seen != (FORMAT_VERSION, SparseIndex.kind):
        raise SnapshotMismatchError(
            f"{path} has format version and kind {seen}, this program reads {(FORMAT_VERSION, SparseIndex.kind)}; "
            "rebuild or upgrade"
        )
