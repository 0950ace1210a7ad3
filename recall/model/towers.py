"""Item tower and user tower.

Item:  v = L2(decoder(features) + gate(count) * id part + gate(size) * audience part)
User:  u = L2(W x + decoder([x, features]) + gate(count) * id part), x = mean of the history's item vectors, or their
       mean and their attention-weighted sum side by side (`latest.py`)

The id part is a DHE of the id; at count 0 its gate is 0, so the vector does not depend on the id at all. W starts as
the identity, so that an untrained user is the mean of what they had. The audience part tells who had the item
(`audience.py`), and nothing of an item that nobody had. To measure what these choices are worth, the id part may be a
row of a trained table, for all ids or for the most frequent ones, or absent, and the gate may be left out
(`TowerConfig`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from recall.model.config import TowerConfig
from recall.model.dhe import Decoder, FrequencyGate, OpenGate
from recall.model.latest import LatestPool

_CATEGORY_DIM = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSizes:
    """Sizes of a tower's inputs.

    Attributes:
        known_ids: Ids with a row of their own; 0 where there is no table.
        content: Length of a content code; 0 without text or set features.
        categories: Number of category features.
        dense: Columns of numbers, vectors and presence flags.
        audience: Length of a projected audience; 0 without this part.
    """

    known_ids: int
    content: int
    categories: int
    dense: int
    audience: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerInput:
    """One batch of tower inputs, on the device of the tower.

    Attributes:
        id_codes: [n, k] float32; k = 0 unless ids enter by their codes.
        id_rows: [n] int64, from 1; 0 for an id without a row of its own, which all are unless there is a table.
        has_id: [n] bool, False for an empty id and for one left out of a training step.
        counts: [n] float32, how often each id was seen in training; 0 shuts its id part off.
        content: [n, content] float32.
        categories: [n, num_categories, k] float32 codes, zeros where missing.
        dense: [n, dense] float32.
        audience: [n, audience] float32, projected; zeros where nobody had the item.
        audience_sizes: [n] float32, how many users each has; 0 shuts this part off.
    """

    id_codes: Tensor
    id_rows: Tensor
    has_id: Tensor
    counts: Tensor
    content: Tensor
    categories: Tensor
    dense: Tensor
    audience: Tensor
    audience_sizes: Tensor

    def take(self, index: Tensor) -> TowerInput:
        """Returns the features of some rows; ids stay behind, their part is computed once a distinct id."""
        return TowerInput(
            id_codes=self.id_codes[:0],
            id_rows=self.id_rows[:0],
            has_id=self.has_id[:0],
            counts=self.counts[index],
            content=self.content[index],
            categories=self.categories[index],
            dense=self.dense[index],
            audience=self.audience[:0],
            audience_sizes=self.audience_sizes[:0],
        )


class FeatureDecoder(nn.Module):
    """All features of an item or user, with `extra` further inputs, to one vector part [n, dim]."""

    def __init__(self, sizes: InputSizes, config: TowerConfig, *, extra: int = 0) -> None:
        """Builds one small linear map a category feature and the common decoder."""
        super().__init__()
        code = config.category_code.k
        self.category_maps = nn.ModuleList(nn.Linear(code, _CATEGORY_DIM) for _ in range(sizes.categories))
        # The constant input gives an item or user without any feature a learned vector of its own.
        inputs = sizes.content + sizes.categories * _CATEGORY_DIM + sizes.dense + extra + 1
        self.decoder = Decoder(inputs, config.dim, config.feature_decoder)

    def forward(self, batch: TowerInput, *extra: Tensor) -> Tensor:
        """Returns the feature part, [n, dim] float32."""
        parts = [batch.content, batch.dense, *extra, torch.ones_like(batch.counts)[:, None]]
        parts += [linear(batch.categories[:, column]) for column, linear in enumerate(self.category_maps)]
        out: Tensor = self.decoder(torch.cat(parts, dim=1))
        return out


def _is_silent(part: nn.Module, share: Tensor) -> bool:
    """Returns whether what is behind a gate need not be computed: outside training, where all shares are 0.

    New items come so, whole batches of them, and these decoders are most of what a vector takes.
    """
    return not part.training and not bool(share.any())


class IdPart(nn.Module):
    """Gated encoding of an id, [n, dim]."""

    def __init__(self, sizes: InputSizes, config: TowerConfig) -> None:
        """Builds decoder, table or both, and the gate."""
        super().__init__()
        self.encoder = config.id_encoder
        if self.encoder != "dhe":
            self.table = nn.Embedding(sizes.known_ids + 1, config.dim, padding_idx=0)
            with torch.no_grad():
                self.table.weight.mul_(config.dim**-0.5)  # rows of length about 1
        if self.encoder != "table":
            self.decoder = Decoder(config.id_code.k, config.dim, config.id_decoder)
        self.gate: nn.Module = FrequencyGate(config.dim) if config.gate else OpenGate()

    def forward(self, batch: TowerInput) -> Tensor:
        """Returns the id part; exactly 0 where the count is 0, if there is a gate, and where there is no id."""
        share: Tensor = self.gate(batch.counts)
        if _is_silent(self, share * batch.has_id[:, None]):
            return torch.zeros_like(share)
        return share * self._own(batch) * batch.has_id[:, None]

    def _own(self, batch: TowerInput) -> Tensor:
        if self.encoder == "table":
            return cast(Tensor, self.table(batch.id_rows))
        decoded: Tensor = self.decoder(batch.id_codes)
        if self.encoder == "dhe":
            return decoded
        # All are decoded, so that shapes do not depend on the ids; an id with a row gives the decoder no gradient.
        return torch.where(batch.id_rows[:, None] > 0, self.table(batch.id_rows), decoded)


class NoIdPart(nn.Module):
    """No id part: [n, 1] zeros."""

    def forward(self, batch: TowerInput) -> Tensor:
        """Returns zeros."""
        return torch.zeros_like(batch.counts)[:, None]


def _id_part(sizes: InputSizes, config: TowerConfig) -> nn.Module:
    return NoIdPart() if config.id_encoder == "none" else IdPart(sizes, config)


class AudiencePart(nn.Module):
    """Gated part of who had an item, [n, dim]; exactly 0 where nobody had it."""

    def __init__(self, sizes: InputSizes, config: TowerConfig) -> None:
        """Builds a linear map and a decoder, which add up, and the gate."""
        super().__init__()
        self.linear = nn.Linear(sizes.audience, config.dim)
        self.decoder = Decoder(sizes.audience, config.dim, config.audience_decoder)
        self.gate = FrequencyGate(config.dim)

    def forward(self, codes: Tensor, sizes: Tensor) -> Tensor:
        """Returns the part of projected audiences [n, audience] float32, of `sizes` [n] float32 users."""
        share: Tensor = self.gate(sizes)
        if _is_silent(self, share):
            return torch.zeros_like(share)
        own: Tensor = self.linear(codes) + self.decoder(codes)
        return share * own


class ItemTower(nn.Module):
    """Items to unit vectors, [n, dim]."""

    def __init__(self, sizes: InputSizes, config: TowerConfig) -> None:
        """Builds the parts."""
        super().__init__()
        self.features = FeatureDecoder(sizes, config)
        self.id_part = _id_part(sizes, config)
        self.audience_part = AudiencePart(sizes, config) if sizes.audience else None

    def forward(self, batch: TowerInput, index: Tensor | None = None) -> Tensor:
        """Returns item vectors of length 1, [n, dim] float32.

        Args:
            batch: Features and ids of distinct items, and audiences.
            index: [n] int64, which of the distinct items each audience belongs to; None where they match one to one.
        """
        own: Tensor = self.features(batch) + self.id_part(batch)
        if index is not None:
            own = embedding(index, own)  # not own[index], see UserTower
        if self.audience_part is not None:
            own = own + self.audience_part(batch.audience, batch.audience_sizes)
        return normalize(own, dim=1)


class UserTower(nn.Module):
    """Users to unit vectors, [n, dim]."""

    def __init__(self, sizes: InputSizes, config: TowerConfig) -> None:
        """Builds the parts; the history map starts as the identity, of each of two pooled histories alike."""
        super().__init__()
        self.latest = LatestPool(config.dim, config.latest) if config.pooling == "recent" else None
        num_pooled = 1 if self.latest is None else 2
        self.features = FeatureDecoder(sizes, config, extra=num_pooled * config.dim + 1)
        self.id_part = _id_part(sizes, config)
        self.history_map = nn.Linear(num_pooled * config.dim, config.dim, bias=False)
        with torch.no_grad():
            self.history_map.weight.copy_(torch.eye(config.dim).repeat(1, num_pooled))

    def forward(self, batch: TowerInput, history: Tensor, index: Tensor | None = None) -> Tensor:
        """Returns user vectors of length 1, [n, dim] float32.

        Args:
            batch: Features and ids of distinct users.
            history: [n, dim] float32 mean of the item vectors of each history; zeros where there is none. For the
                pooling `recent` [n, latest, dim], see `LatestPool`.
            index: [n] int64, which row of `batch` each history belongs to; None where they match one to one.
        """
        id_part = self.id_part(batch)
        if index is not None:
            # Not id_part[index]: its gradient is summed by atomic adds, in another order each run.
            batch, id_part = batch.take(index), embedding(index, id_part)
        pooled = history if self.latest is None else torch.cat(self.latest(history), dim=1)
        has_history = (pooled != 0).any(dim=1, keepdim=True).float()
        parts = self.features(batch, pooled, has_history) + id_part
        return normalize(self.history_map(pooled) + parts, dim=1)


class Towers(nn.Module):
    """Both towers of a model."""

    def __init__(self, item: ItemTower, user: UserTower) -> None:
        """Holds the towers."""
        super().__init__()
        self.item = item
        self.user = user
