from __future__ import annotations

import numpy as np
import pytest

from index.errors import InvalidIndexConfigError
from index.kinds import KINDS, build_kind, parameters_of

SEARCHED = {"hnsw": "ef_search", "ivf_flat": "nprobe", "ivf_pq": "rerank", "scalar": "rerank", "lsh": "probes"}


@pytest.fixture(scope="module", params=sorted(set(KINDS) - {"gpu_flat"}))
def index(request, unit_vectors):
    return build_kind(request.param, unit_vectors(120), {})


def test_retuned_refuses_unknown_names(index):
    for name in ("efsearch", "seed", "leaf_size"):
        with pytest.raises(
            InvalidIndexConfigError, match=f"'{name}' is no search parameter of {index.kind}; known are"
        ):
            index.retuned(**{name: 1})


def test_retuned_refuses_other_types_and_values_out_of_range(index):
    name = SEARCHED.get(index.kind)
    if name is None:
        assert index.retuned() is index
        return
    for value in ("9", None, 1.5, True, [4], np.float32(4)):
        with pytest.raises(InvalidIndexConfigError, match=f"{name} is .*; want int for kind {index.kind}"):
            index.retuned(**{name: value})
    for value in (-1, 2**31):
        with pytest.raises(InvalidIndexConfigError, match=f"{name} is {value}; want"):
            index.retuned(**{name: value})
    assert type(index.retuned(**{name: np.int64(4)}).parameters()[name]) is int


@pytest.mark.parametrize("kind", sorted(SEARCHED))
def test_threads_beyond_any_machine_are_refused(kind):
    with pytest.raises(InvalidIndexConfigError, match=r"threads is 1025; want 0 .* 1024"):
        parameters_of(kind, {"threads": 1025})


@pytest.mark.parametrize("values", [{"m": 513}, {"ef_search": 2**20 + 1}, {"ef_construction": 2**20 + 1}])
def test_graphs_too_large_for_any_memory_are_refused(values):
    ((name, value),) = values.items()
    with pytest.raises(InvalidIndexConfigError, match=f"{name} is {value}; want . or more, at most {value - 1}"):
        parameters_of("hnsw", values)
