"""Audiences in training: who had an item, and who had it but for the user of an example.

A positive is an item that its user had, so the user is in the item's audience, and of an item that is held out the user
is not: trained on whole audiences, towers would learn to look for a user where no user will be. So the item of a
positive is shown without its user. A sum of projected users is linear, so that is one subtraction, and exact.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from recall.column_names import USER_ID
from recall.model.audience import AudienceBatch, AudienceEncoder
from recall.model.bags import Bags
from recall.model.hashing import hash_values
from recall.model.projection import unit_projected
from training.dataset import RowArray, TrainingData
from training.preparation import PIECE, empty_rows


class AudiencePool:
    """The audiences of all items of a data set.

    Attributes:
        audiences: One an item, as serving encodes them.
    """

    def __init__(self, encoder: AudienceEncoder, data: TrainingData) -> None:
        """Encodes the train interactions."""
        audiences = data.audiences()
        self._encoder = encoder
        self._users = hash_values(USER_ID, data.user_ids)
        bags = encoder.bags(self._users[audiences.indices], audiences.indptr.astype(np.int64))
        rank = encoder.projection.rank
        codes = cast(NDArray[np.float32], empty_rows(np.empty((0, rank), dtype=np.float32), len(bags)))
        self._scales = np.empty((len(bags), 1), dtype=np.float32)
        for start in range(0, len(bags), PIECE):
            part = np.arange(start, min(start + PIECE, len(bags)))
            sums = encoder.projection.summed(bags.take(part))
            codes[part] = unit_projected(sums)
            self._scales[part] = np.linalg.norm(sums, axis=1, keepdims=True) / np.float32(np.sqrt(rank))
        self.audiences = AudienceBatch(codes=codes, sizes=np.diff(bags.offsets).astype(np.float32))
        self._counted = _members(bags, self._users)

    def without(self, items: RowArray, users: RowArray) -> AudienceBatch:
        """Returns the audience of each item without one user.

        Args:
            items: [n] item rows.
            users: [n] user rows.
        """
        held = np.asarray(self._counted[items, users]).reshape(-1)
        distinct, index = np.unique(users, return_inverse=True)
        own = self._encoder.projection.summed(self._alone(distinct))[index] * (held > 0)[:, None]
        sums = self.audiences.codes[items] * self._scales[items]
        sizes = self.audiences.sizes[items] - (held > 0)
        codes = np.where(sizes[:, None] > 0, unit_projected(sums - own), np.float32(0))
        return AudienceBatch(codes=codes, sizes=sizes.astype(np.float32))

    def _alone(self, users: RowArray) -> Bags:
        return self._encoder.bags(self._users[users], np.arange(len(users) + 1))


def _members(bags: Bags, users: NDArray[np.uint64]) -> csr_matrix:
    """Returns ones where a user is in the bag of an item, [num_bags, len(users)]."""
    order = np.argsort(users)
    columns = order[np.searchsorted(users[order], bags.tokens)]
    ones = np.ones(len(columns), dtype=np.float32)
    return csr_matrix((ones, columns, bags.offsets), shape=(len(bags), len(users)))
