"""The kinds of index that can be a base: how each is built, written and read, by its name.

A kind has a frozen dataclass of parameters, whose fields may be named in a config, and a class with

- `build(vectors, parameters)`: over [n, dim] float32 rows of about equal length, which it keeps,
- `save(folder)`: writes what cannot be made again quickly, beside the vectors (`index.space`),
- `load(folder, vectors, parameters)`: reads that.

Where parameters follow from the data, `build` takes `queries` too, as they will be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from index.errors import InvalidIndexConfigError
from index.flat import FlatIndex, FlatParameters
from index.gpu_flat import GpuFlatIndex, GpuFlatParameters
from index.hnsw import HnswIndex, HnswParameters
from index.ivf import IvfFlatIndex, IvfFlatParameters
from index.ivf_pq import IvfPqIndex, IvfPqParameters
from index.kd_tree import KdTreeIndex, KdTreeParameters
from index.lsh import LshIndex
from index.lsh_parameters import LshParameters
from index.parameter_values import typed_values
from index.protocols import FloatArray, Parameters, VectorIndex
from index.scalar import ScalarIndex, ScalarParameters


class BaseIndex(VectorIndex, Protocol):
    """A `VectorIndex` that can be written beside its vectors."""

    def save(self, folder: Path) -> None:
        """Writes what `load` of the kind reads, below `folder`, which exists."""

    @property
    def retuned(self) -> Callable[..., BaseIndex]:
        """Takes search-time parameters of the kind by name, and returns what was built, shared, searched with them."""

    def resident_bytes(self) -> int:
        """Returns the bytes that must lie in memory for searching at full speed."""


class KindParameters(Protocol):
    """The parameters of a kind."""

    def as_dict(self) -> Mapping[str, int | float | str]:
        """Returns the values by name."""


P = TypeVar("P", bound=KindParameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[P]):
    """How one kind is made.

    Attributes:
        parameters: Its dataclass of parameters; every field has a default.
        build: Makes an index of vectors, [n, dim] float32.
        build_for: Makes one whose parameters suit queries, [num_queries, dim] float32, that are given last; None where
            queries make no difference.
        load: Reads what the index's `save` wrote into a folder, with the same vectors and parameters.
    """

    parameters: type[P]
    build: Callable[[FloatArray, P], BaseIndex]
    load: Callable[[Path, FloatArray, P], BaseIndex]
    build_for: Callable[[FloatArray, P, FloatArray], BaseIndex] | None = None


def _lsh_for(vectors: FloatArray, parameters: LshParameters, queries: FloatArray) -> BaseIndex:
    return LshIndex.build(vectors, parameters, queries=queries)


KINDS: dict[str, Kind[Any]] = {
    "flat": Kind(parameters=FlatParameters, build=FlatIndex.build, load=FlatIndex.load),
    "hnsw": Kind(parameters=HnswParameters, build=HnswIndex.build, load=HnswIndex.load),
    "gpu_flat": Kind(parameters=GpuFlatParameters, build=GpuFlatIndex.build, load=GpuFlatIndex.load),
    "ivf_flat": Kind(parameters=IvfFlatParameters, build=IvfFlatIndex.build, load=IvfFlatIndex.load),
    "ivf_pq": Kind(parameters=IvfPqParameters, build=IvfPqIndex.build, load=IvfPqIndex.load),
    "scalar": Kind(parameters=ScalarParameters, build=ScalarIndex.build, load=ScalarIndex.load),
    "kd_tree": Kind(parameters=KdTreeParameters, build=KdTreeIndex.build, load=KdTreeIndex.load),
    "lsh": Kind(parameters=LshParameters, build=LshIndex.build, load=LshIndex.load, build_for=_lsh_for),
}


def kind_named(name: str) -> Kind[Any]:
    """Returns a kind.

    Raises:
        InvalidIndexConfigError: There is none of that name.
    """
    if name not in KINDS:
        raise InvalidIndexConfigError(f"kind is {name!r}; want one of {', '.join(KINDS)}")
    return KINDS[name]


def parameters_of(name: str, values: Mapping[str, int | float | str]) -> KindParameters:
    """Returns the parameters of a kind with some values set.

    Raises:
        InvalidIndexConfigError: The kind, a name, a type or a value is wrong.
    """
    made = kind_named(name).parameters
    parameters: KindParameters = made(**typed_values(made, values, kind=name))
    return parameters


def build_kind(
    name: str, vectors: FloatArray, values: Mapping[str, int | float | str], *, queries: FloatArray | None = None
) -> BaseIndex:
    """Builds an index of a kind; see `index.factory.build_chosen`."""
    kind, parameters = kind_named(name), parameters_of(name, values)
    if queries is not None and kind.build_for is not None:
        return kind.build_for(vectors, parameters, queries)
    return kind.build(vectors, parameters)


def load_kind(name: str, folder: Path, vectors: FloatArray, values: Parameters) -> BaseIndex:
    """Reads an index of a kind that was saved in `folder`.

    Raises:
        InvalidIndexConfigError: The kind or a parameter is unknown.
        SnapshotDamagedError: A file is missing or unreadable.
    """
    return kind_named(name).load(folder, vectors, parameters_of(name, values))
