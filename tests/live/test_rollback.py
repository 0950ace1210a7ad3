"""Moving `CURRENT` beside a rebuild that moves it or removes snapshots."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from index.snapshot import current
from recall.errors import NotReadyError
from recall.live.rollback import roll_back
from recall.live.snapshot import current_held


def test_a_rollback_waits_for_whoever_moves_current(deployment, load_model):
    first, second = deployment.rebuild("a"), deployment.rebuild("b")
    loaded = threading.Event()

    def load(folder):
        loaded.set()
        return load_model(folder)

    with ThreadPoolExecutor(1) as pool:
        with current_held(deployment.root):
            going_back = pool.submit(roll_back, deployment.root, load_model=load)
            assert loaded.wait(10)
            time.sleep(0.05)
            assert not going_back.done()
            assert current(deployment.root) == second
        assert going_back.result(timeout=10) == first
    assert current(deployment.root) == first


def test_a_snapshot_that_is_removed_meanwhile_is_no_current_one(deployment, load_model):
    first, second = deployment.rebuild("a"), deployment.rebuild("b")

    def load(folder):
        model = load_model(folder)
        return Removing(model, deployment.root / first)

    with pytest.raises(NotReadyError, match=f"has just removed {first}; name one with --to: {second}"):
        roll_back(deployment.root, load_model=load)
    assert current(deployment.root) == second


class Removing:
    """A model whose snapshot is gone once it was used."""

    def __init__(self, model, folder):
        self._model, self._folder = model, folder

    def __getattr__(self, name):
        return getattr(self._model, name)

    def with_audiences(self, source):
        return self

    def encode_items(self, item_ids, features):
        shutil.rmtree(self._folder, ignore_errors=True)
        return self._model.encode_items(item_ids, features)
