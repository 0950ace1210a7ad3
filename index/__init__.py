"""Vector and row indexes: eight kinds behind one contract (`KINDS`), sparse bags, and the live index over them.

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
    from index.conditions import AllOf, And, AnyOf, Condition, Equals, In, ItemIn, Not, Or, Present, Range
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
    from index.flat import AppendableFlat, FlatIndex, FlatParameters
    from index.gpu_flat import GpuFlatIndex, GpuFlatParameters
    from index.hnsw import HnswIndex, HnswParameters
    from index.ivf import IvfFlatIndex, IvfFlatParameters
    from index.ivf_pq import IvfPqIndex, IvfPqParameters
    from index.kd_tree import KdTreeIndex, KdTreeParameters
    from index.kinds import KINDS, BaseIndex
    from index.live import IndexCounts, LiveIndex
    from index.live_view import LiveView
    from index.lsh import LshIndex
    from index.lsh_parameters import LshParameters
    from index.protocols import AppendableIndex, Hits, ItemIndex, Neighbors, SearchOptions, VectorIndex
    from index.rows import RowTable
    from index.scalar import ScalarIndex, ScalarParameters
    from index.space import load_space, save_space
    from index.sparse import AppendableSparse, SparseIndex
    from index.topk import top_k
    from index.tune_trial import Trial, Tuned
    from index.tuning import TuneOptions, tune

_MODULES = {
    "AllOf": "index.conditions",
    "And": "index.conditions",
    "AnyOf": "index.conditions",
    "AppendableFlat": "index.flat",
    "AppendableIndex": "index.protocols",
    "AppendableSparse": "index.sparse",
    "Attributes": "index.attributes",
    "Bags": "index.bags",
    "BaseIndex": "index.kinds",
    "ColumnSpec": "index.attributes",
    "Condition": "index.conditions",
    "Equals": "index.conditions",
    "FlatIndex": "index.flat",
    "FlatParameters": "index.flat",
    "GpuFlatIndex": "index.gpu_flat",
    "GpuFlatParameters": "index.gpu_flat",
    "GrowingAttributes": "index.attribute_growth",
    "Hits": "index.protocols",
    "HnswIndex": "index.hnsw",
    "HnswParameters": "index.hnsw",
    "In": "index.conditions",
    "IndexConfig": "index.factory",
    "IndexCounts": "index.live",
    "InvalidIndexConfigError": "index.errors",
    "InvalidQueryError": "index.errors",
    "InvalidVectorError": "index.errors",
    "ItemIn": "index.conditions",
    "ItemIndex": "index.protocols",
    "IvfFlatIndex": "index.ivf",
    "IvfFlatParameters": "index.ivf",
    "IvfPqIndex": "index.ivf_pq",
    "IvfPqParameters": "index.ivf_pq",
    "KINDS": "index.kinds",
    "KdTreeIndex": "index.kd_tree",
    "KdTreeParameters": "index.kd_tree",
    "LiveIndex": "index.live",
    "LiveView": "index.live_view",
    "LshIndex": "index.lsh",
    "LshParameters": "index.lsh_parameters",
    "MissingBackendError": "index.errors",
    "Neighbors": "index.protocols",
    "Not": "index.conditions",
    "Or": "index.conditions",
    "Present": "index.conditions",
    "Range": "index.conditions",
    "RowTable": "index.rows",
    "ScalarIndex": "index.scalar",
    "ScalarParameters": "index.scalar",
    "SearchOptions": "index.protocols",
    "SnapshotDamagedError": "index.errors",
    "SnapshotMismatchError": "index.errors",
    "SparseIndex": "index.sparse",
    "Trial": "index.tune_trial",
    "TuneOptions": "index.tuning",
    "Tuned": "index.tune_trial",
    "VectorIndex": "index.protocols",
    "VectorIndexError": "index.errors",
    "build_index": "index.factory",
    "load_content": "index.bag_space",
    "load_space": "index.space",
    "save_content": "index.bag_space",
    "save_space": "index.space",
    "top_k": "index.topk",
    "tune": "index.tuning",
}

__all__ = [
    "KINDS",
    "AllOf",
    "And",
    "AnyOf",
    "AppendableFlat",
    "AppendableIndex",
    "AppendableSparse",
    "Attributes",
    "Bags",
    "BaseIndex",
    "ColumnSpec",
    "Condition",
    "Equals",
    "FlatIndex",
    "FlatParameters",
    "GpuFlatIndex",
    "GpuFlatParameters",
    "GrowingAttributes",
    "Hits",
    "HnswIndex",
    "HnswParameters",
    "In",
    "IndexConfig",
    "IndexCounts",
    "InvalidIndexConfigError",
    "InvalidQueryError",
    "InvalidVectorError",
    "ItemIn",
    "ItemIndex",
    "IvfFlatIndex",
    "IvfFlatParameters",
    "IvfPqIndex",
    "IvfPqParameters",
    "KdTreeIndex",
    "KdTreeParameters",
    "LiveIndex",
    "LiveView",
    "LshIndex",
    "LshParameters",
    "MissingBackendError",
    "Neighbors",
    "Not",
    "Or",
    "Present",
    "Range",
    "RowTable",
    "ScalarIndex",
    "ScalarParameters",
    "SearchOptions",
    "SnapshotDamagedError",
    "SnapshotMismatchError",
    "SparseIndex",
    "Trial",
    "TuneOptions",
    "Tuned",
    "VectorIndex",
    "VectorIndexError",
    "build_index",
    "load_content",
    "load_space",
    "save_content",
    "save_space",
    "top_k",
    "tune",
]


def __getattr__(name: str) -> object:
    """Loads a public name from its module when it is first asked for."""
    if name not in _MODULES:
        raise AttributeError(f"module 'index' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)
