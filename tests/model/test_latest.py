"""Attention over the latest items, by hand."""

from __future__ import annotations

import numpy as np
import torch

from recall.model.latest import LatestPool, newest_first


def test_newest_come_first_and_only_so_many_stay() -> None:
    history = np.array([[1, 1], [2, 2], [3, 3]], dtype=np.float32)
    kept = newest_first([history, history[:1], history[:0]], 2, 2)
    assert kept.tolist() == [[[3, 3], [2, 2]], [[1, 1], [0, 0]], [[0, 0], [0, 0]]]


def test_pooled_by_hand() -> None:
    pool = LatestPool(2, 2)
    with torch.no_grad():
        pool.query.copy_(torch.tensor([np.log(3.0), 0.0]))
        pool.age.copy_(torch.tensor([0.0, -np.log(2.0)]))
    items = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    mean, weighted = pool(items)
    np.testing.assert_allclose(mean.detach(), [[0.5, 0.5], [0, 1], [0, 0]])
    np.testing.assert_allclose(weighted.detach(), [[6 / 7, 1 / 7], [0, 1], [0, 0]], rtol=1e-6)  # 3 : 1/2


def test_an_untrained_pool_prefers_what_came_last() -> None:
    items = torch.eye(4)[None]
    weights = LatestPool(4, 4)(items)[1][0].tolist()
    assert weights == sorted(weights, reverse=True)
    assert abs(sum(weights) - 1) < 1e-6
