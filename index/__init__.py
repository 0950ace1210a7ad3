"""Vector and row indexes: exact, FAISS, LSH, sparse bags and the live index over them.

Names load on first use, so that `import index` is quick and needs no FAISS.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from index.attribute_growth import GrowingAttributes
    from index.attributes import Attributes, ColumnSpec
    from index.bag_space import load_content, save_content
    from index.bags import Bags
    from index.conditions import AllOf, And, AnyOf, Equals, In, ItemIn, Not, Or, Present, Range
    from index.errors import (
        InvalidIndexConfigError,
        InvalidQueryError,
        InvalidVectorError,
        MissingBackendError,
        SnapshotDamagedError,
        SnapshotMismatchError,
        VectorIndexError,
    )
    from index.factory import IndexConfig, build_index
    from index.flat import AppendableFlat, FlatIndex
    from index.hnsw import HnswIndex
    from index.live import IndexCounts, LiveIndex, LiveSubset
    from index.lsh import LshIndex
    from index.protocols import AppendableIndex, Hits, ItemIndex, Neighbors, SearchOptions, VectorIndex
    from index.rows import RowTable
    from index.space import load_space, save_space
    from index.sparse import AppendableSparse, SparseIndex
    from index.topk import top_k

_MODULES = {
    "AllOf": "index.conditions",
    "And": "index.conditions",
    "AnyOf": "index.conditions",
    "AppendableFlat": "index.flat",
    "AppendableIndex": "index.protocols",
    "AppendableSparse": "index.sparse",
    "Attributes": "index.attributes",
    "Bags": "index.bags",
    "ColumnSpec": "index.attributes",
    "Equals": "index.conditions",
    "FlatIndex": "index.flat",
    "GrowingAttributes": "index.attribute_growth",
    "Hits": "index.protocols",
    "HnswIndex": "index.hnsw",
    "In": "index.conditions",
    "IndexConfig": "index.factory",
    "IndexCounts": "index.live",
    "InvalidIndexConfigError": "index.errors",
    "InvalidQueryError": "index.errors",
    "InvalidVectorError": "index.errors",
    "ItemIn": "index.conditions",
    "ItemIndex": "index.protocols",
    "LiveIndex": "index.live",
    "LiveSubset": "index.live",
    "MissingBackendError": "index.errors",
    "LshIndex": "index.lsh",
    "Neighbors": "index.protocols",
    "Not": "index.conditions",
    "Or": "index.conditions",
    "Present": "index.conditions",
    "Range": "index.conditions",
    "RowTable": "index.rows",
    "SearchOptions": "index.protocols",
    "SnapshotDamagedError": "index.errors",
    "SnapshotMismatchError": "index.errors",
    "SparseIndex": "index.sparse",
    "VectorIndex": "index.protocols",
    "VectorIndexError": "index.errors",
    "build_index": "index.factory",
    "load_content": "index.bag_space",
    "load_space": "index.space",
    "save_content": "index.bag_space",
    "save_space": "index.space",
    "top_k": "index.topk",
}

__all__ = [
    "AllOf",
    "And",
    "AnyOf",
    "AppendableFlat",
    "AppendableIndex",
    "AppendableSparse",
    "Attributes",
    "Bags",
    "ColumnSpec",
    "Equals",
    "FlatIndex",
    "GrowingAttributes",
    "Hits",
    "HnswIndex",
    "In",
    "IndexConfig",
    "IndexCounts",
    "InvalidIndexConfigError",
    "InvalidQueryError",
    "InvalidVectorError",
    "ItemIn",
    "ItemIndex",
    "LiveIndex",
    "LiveSubset",
    "LshIndex",
    "MissingBackendError",
    "Neighbors",
    "Not",
    "Or",
    "Present",
    "Range",
    "RowTable",
    "SearchOptions",
    "SnapshotDamagedError",
    "SnapshotMismatchError",
    "SparseIndex",
    "VectorIndex",
    "VectorIndexError",
    "build_index",
    "load_content",
    "load_space",
    "save_content",
    "save_space",
    "top_k",
]


def __getattr__(name: str) -> object:
    """Loads a public name from its module when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'index' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)
