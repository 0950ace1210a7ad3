"""What tuning tries of each kind: which builds, in which order, and which search-time settings of each.

A ladder is a list of search-time settings, each at least as thorough and as slow as the one before, so that the first
one that reaches a recall can be found by galloping and bisection. Settings are as far apart as two to the power of a
quarter or a half: closer ones differ by less than timings do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from index.hnsw import MOST_CANDIDATES
from index.kinds import BaseIndex, KindParameters, parameters_of
from index.lsh_rules import TABLES
from index.protocols import Parameters
from index.simd import padded

Setting: TypeAlias = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What is tried of one kind.

    Attributes:
        builds: Takes target recall and k, and returns parameters of builds. The first is tried first; a later one only
            where every earlier one is too large or missed the target to the end of its ladder, and none that takes
            fewer bytes than one that missed it.
        ladder: Takes an index and k, and returns search-time settings for `retuned`.
        least_bytes: Takes rows, dimension and parameters, and returns bytes that such an index cannot do without.
        saves_memory: Whether the kind is there for its size, and tried only where the budget keeps another one out.
    """

    builds: Callable[[float, int], list[Setting]]
    ladder: Callable[[BaseIndex, int], list[Setting]]
    least_bytes: Callable[[int, int, Parameters], int]
    saves_memory: bool = False


def least_bytes(kind: str, num_rows: int, dim: int, build: Setting) -> int:
    """Returns bytes without which an index of a kind cannot be searched at full speed."""
    parameters: KindParameters = parameters_of(kind, build)
    return GRIDS[kind].least_bytes(num_rows, dim, {**parameters.as_dict()})


def geometric(first: int, last: int, *, steps: int) -> list[int]:
    """Returns ascending whole numbers from `first` to `last`, about `steps` for each doubling."""
    values, exponent = [first], 0
    while values[-1] < last:
        exponent += 1
        value = min(round(first * 2 ** (exponent / steps)), last)
        if value > values[-1]:
            values.append(value)
    return values


def _only_default(target_recall: float, k: int) -> list[Setting]:
    return [{}]


def _no_ladder(index: BaseIndex, k: int) -> list[Setting]:
    return [{}]


def _vector_bytes(num_rows: int, dim: int, parameters: Parameters) -> int:
    return 4 * num_rows * dim


def _hnsw_builds(target_recall: float, k: int) -> list[Setting]:
    return [{"m": 32}, {"m": 48, "ef_construction": 400}, {"m": 16}]


def _hnsw_ladder(index: BaseIndex, k: int) -> list[Setting]:
    return [{"ef_search": ef} for ef in geometric(*_hnsw_ends(k), steps=4)]


def _hnsw_ends(k: int) -> tuple[int, int]:
    return min(max(k // 2, 8), MOST_CANDIDATES), min(max(_LONGEST_LIST * k, 2048), MOST_CANDIDATES)


def _hnsw_bytes(num_rows: int, dim: int, parameters: Parameters) -> int:
    links = 2 * int(parameters["m"])  # of the bottom layer, four bytes each
    return 4 * num_rows * (dim + links)


def _ivf_ladder(index: BaseIndex, k: int) -> list[Setting]:
    return [{"nprobe": nprobe} for nprobe in _probes(index, k)]


def _probes(index: BaseIndex, k: int) -> list[int]:
    lists = int(index.parameters()["lists"])
    first = math.ceil(_LEAST_ROWS_READ * k * lists / index.num_rows)  # with fewer than k rows read, search is exact
    return geometric(min(first, lists), lists, steps=4)


def _ivf_bytes(num_rows: int, dim: int, parameters: Parameters) -> int:
    return num_rows * (4 * dim + _ID_BYTES)


def _scalar_bytes(num_rows: int, dim: int, parameters: Parameters) -> int:
    return num_rows * (padded(dim) + _ROW_BYTES)


def _pq_builds(target_recall: float, k: int) -> list[Setting]:
    return [{}, {"bits": 8}]


def _pq_ladder(index: BaseIndex, k: int) -> list[Setting]:
    """More lists are read and more candidates are ranked together: either alone soon gains nothing."""
    probes = _probes(index, k)
    most = len(probes) - 1
    return [
        {"nprobe": nprobe, "rerank": round(_LEAST_RERANK * (_MOST_RERANK / _LEAST_RERANK) ** (step / max(most, 1)))}
        for step, nprobe in enumerate(probes)
    ]


def _pq_bytes(num_rows: int, dim: int, parameters: Parameters) -> int:
    segments = int(parameters["segments"]) or (dim // 2 if dim % 2 == 0 else dim)
    return num_rows * (segments * (int(parameters["bits"]) or 4) // 8 + _ID_BYTES)


def _lsh_builds(target_recall: float, k: int) -> list[Setting]:
    aim: Setting = {"target_recall": min(target_recall, _HIGHEST_AIM), "target_k": k}
    return [{**aim, "family": family} for family in ("cross_polytope", "p_stable", "hyperplane")]


def _lsh_bytes(num_rows: int, dim: int, parameters: Parameters) -> int:
    return num_rows * (dim + 4 * (int(parameters["tables"]) or min(TABLES)))  # codes, and a link in each table


def _lsh_ladder(index: BaseIndex, k: int) -> list[Setting]:
    tables = int(index.parameters()["tables"])
    return [{"probes": probes} for probes in geometric(tables, _MOST_PROBES_A_TABLE * tables, steps=2)]


_LONGEST_LIST = 16
_ID_BYTES = 8
_ROW_BYTES = 4
_LEAST_ROWS_READ = 4
_LEAST_RERANK, _MOST_RERANK = 2, 12
_HIGHEST_AIM = 0.995
_MOST_PROBES_A_TABLE = 256

GRIDS: dict[str, Grid] = {
    "hnsw": Grid(builds=_hnsw_builds, ladder=_hnsw_ladder, least_bytes=_hnsw_bytes),
    "lsh": Grid(builds=_lsh_builds, ladder=_lsh_ladder, least_bytes=_lsh_bytes),
    "ivf_flat": Grid(builds=_only_default, ladder=_ivf_ladder, least_bytes=_ivf_bytes),
    "flat": Grid(builds=_only_default, ladder=_no_ladder, least_bytes=_vector_bytes),
    "scalar": Grid(builds=_only_default, ladder=_ivf_ladder, least_bytes=_scalar_bytes, saves_memory=True),
    "ivf_pq": Grid(builds=_pq_builds, ladder=_pq_ladder, least_bytes=_pq_bytes, saves_memory=True),
}
"""By kind, in the order to try. No kd_tree: it is exact search, slower from a dozen dimensions on."""
