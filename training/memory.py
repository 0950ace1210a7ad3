"""Item vectors of the last steps as further negatives, without gradient.

Cross-batch memory (Wang et al., CVPR 2020) and cross-batch negative sampling (Wang et al., SIGIR 2021): the vectors of
items change slowly, so those of a few steps ago are nearly what the towers would give now, and cost no encoding. We
differ in that an item is held once, by its newest vector, and gives way to the one of the present step: the columns of
the loss stay distinct, and the correction is that of items drawn over so many steps (`training.draws`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from training.dataset import RowArray


class ItemMemory:
    """Vectors of the distinct items of the last steps, first in, first out."""

    def __init__(self, *, num_steps: int, after: int) -> None:
        """Starts empty.

        Args:
            num_steps: Steps whose items are kept, at least 1.
            after: So many steps are let pass first: at the start vectors change fast.
        """
        self._after = after
        self._passed = 0
        self._steps: deque[tuple[RowArray, Tensor]] = deque(maxlen=num_steps)

    def __len__(self) -> int:
        """Returns the number of steps held now."""
        return len(self._steps)

    def others(self, rows: RowArray, vectors: Tensor) -> tuple[RowArray, Tensor]:
        """Returns the items held but those of the present step, with their newest vectors.

        Args:
            rows: [m] int64 distinct item rows of the present step.
            vectors: [m, dim] float32, their vectors; what is returned is of their kind and on their device.
        """
        if not self._steps:
            return rows[:0], vectors[:0].detach()
        newest_first = list(reversed(self._steps))
        held, places = np.unique(np.concatenate([step for step, _ in newest_first]), return_index=True)
        is_other = ~np.isin(held, rows)
        chosen = torch.from_numpy(places[is_other]).to(vectors.device)
        return held[is_other], torch.cat([step for _, step in newest_first])[chosen]

    def add(self, rows: RowArray, vectors: Tensor) -> None:
        """Takes in a step: [m] distinct item rows and their vectors [m, dim], whose gradient is left behind."""
        self._passed += 1
        if self._passed > self._after:
            self._steps.append((rows, vectors.detach()))

    def state(self) -> dict[str, Tensor]:
        """Returns all that the next step depends on."""
        rows, vectors = [step for step, _ in self._steps], [step for _, step in self._steps]
        return {
            "passed": torch.tensor(self._passed),
            "lengths": torch.tensor([len(step) for step in rows], dtype=torch.int64),
            "rows": torch.from_numpy(np.concatenate(rows)) if rows else torch.zeros(0, dtype=torch.int64),
            "vectors": torch.cat(vectors).clone() if vectors else torch.zeros(0, 0),
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` returned, with the vectors on the device where they are."""
        self._passed = int(state["passed"])
        self._steps.clear()
        ends = [0, *state["lengths"].cumsum(0).tolist()]
        for start, end in pairwise(ends):
            self._steps.append((state["rows"][start:end].cpu().numpy(), state["vectors"][start:end]))
