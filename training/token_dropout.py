"""Items as a step shows them: with part of their words and tags left out, so that no single one can be relied on.

Each item of a step loses each of its tokens with a probability of its own, drawn uniformly from 0 to twice the rate
(Hinton et al. 2012, arXiv 1207.0580, on the input layer, section 2; there the probability is one for all). What is left
is projected and scaled as any bag is. Histories and validation see whole items.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recall.model.bags import Bags
from recall.model.projection import ContentProjection


class TokenDropout:
    """Projected content of items with some of their tokens left out."""

    def __init__(self, bags: Bags, projection: ContentProjection, *, rate: float) -> None:
        """Keeps what it draws from.

        Args:
            bags: Of all items.
            projection: Fitted to them.
            rate: Mean share of tokens that is left out, at most 0.5.
        """
        self._bags = bags
        self._projection = projection
        self._rate = rate

    def content(self, rows: NDArray[np.int64], *, seed: int) -> NDArray[np.float32]:
        """Returns the projected content of some items, [n, rank] float32, as `ContentProjection.project` scales it.

        Args:
            rows: [n] item rows.
            seed: Of the draws.
        """
        rng = np.random.default_rng(seed)
        bags = self._bags.take(rows)
        rates = 2 * self._rate * rng.random(len(rows))
        lost = rng.random(len(bags.tokens)) < np.repeat(rates, np.diff(bags.offsets))
        kept = Bags(
            tokens=bags.tokens, weights=np.where(lost, np.float32(0), bags.weights), offsets=bags.offsets
        ).without_zeros()
        return self._projection.project(kept)
