"""What a model makes of items: vectors, and bags of tokens where it matches those exactly as well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recall.model.bags import Bags


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEncoding:
    """Items as an index holds them.

    Attributes:
        vectors: [n, dim] float32, none of them zero.
        bags: n bags as an index holds them (see `fusion.py`), no weight 0; None where the model has no sparse part.
    """

    vectors: NDArray[np.float32]
    bags: Bags | None
