from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import index


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import index", ["torch", "grpc", "faiss", "numba", "numpy"]),
        ("from index import LiveIndex, build_index, load_space", ["torch", "grpc", "faiss", "recall"]),
    ],
)
def test_import_loads_nothing_heavy(statement, banned):
    code = f"import sys; {statement}; print([name for name in {banned} if name in sys.modules])"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_loads():
    for name in index.__all__:
        value = getattr(index, name)
        assert getattr(value, "__name__", name) == name  # KINDS and Condition have none
    with pytest.raises(AttributeError, match="public names"):
        _ = index.nothing


def test_every_kind_is_public_with_its_parameters():
    for kind in index.KINDS.values():
        assert kind.build.__self__.__name__ in index.__all__
        assert kind.parameters.__name__ in index.__all__
