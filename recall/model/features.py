"""From raw features to model inputs, on one path for table rows and requests, without any vocabulary.

The text and set values of a row form one bag of hashed tokens: weight = term count x IDF, scaled to length 1, with
IDF = log((1 + n) / (1 + df)). The bag enters the towers through a projection fitted on the catalogue (`projection.py`).
For that counts are damped to log(1 + count), the IDF is raised to a power (`idf_power`), and tokens of a single row are
left out, as nothing was learned about them. Without a fitted projection a bag enters as the weighted sum of its tokens'
codes, which is a random projection. Bags that are matched exactly (`bags`) are weighted as for the fitted projection.

A set whose values are ids of the same side (its domain is that of the ids) refers to other rows. Then a row that was
seen in training holds its own id as a token too, so that it meets those that refer to it.

A set of more values than `SetLimit` allows enters the bag as so many MinHash tokens (`minhash.py`).

Categories are hashed ids. Numbers and vectors are standardised by what was seen in training; a missing value is 0 and a
flag tells it from a real 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from recall.model.bags import Bags, unit_weights
from recall.model.codes import HashFamily, IdArray
from recall.model.config import ProjectionConfig, TowerConfig
from recall.model.hashing import hash_values, hashes_of
from recall.model.minhash import SetLimit
from recall.model.projection import ContentProjection
from recall.model.sketch import CountSketch
from recall.model.tokens import set_tokens, text_tokens
from recall.schema import FeatureMap, FeatureSpec, FeatureValue

TOKEN_DOMAIN = "token"
_CLIP = 5.0
_ROUNDING = 1e-13


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureBatch:
    """Model inputs of some items or users.

    Attributes:
        content: [n, k] float32, projected bags; k = 0 where there is no text or set feature.
        categories: [n, num_categories] uint64 hashes.
        has_category: [n, num_categories] bool, False where the value is missing.
        dense: [n, d] float32, standardised numbers and vectors, each followed by its presence flag.
    """

    content: NDArray[np.float32]
    categories: IdArray
    has_category: NDArray[np.bool_]
    dense: NDArray[np.float32]

    def __len__(self) -> int:
        """Returns the number of rows."""
        return len(self.content)

    def take(self, rows: NDArray[np.int64]) -> FeatureBatch:
        """Returns the batch of some rows, in their order."""
        return FeatureBatch(
            content=self.content[rows],
            categories=self.categories[rows],
            has_category=self.has_category[rows],
            dense=self.dense[rows],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureEncoder:
    """What was fitted on the training rows, and the encoding with it.

    Attributes:
        specs: The features, in model order.
        family: Hash functions of the token codes.
        set_limit: How wide a set may be.
        idf_power: To which the IDF is raised for the fitted projection.
        projection: Fitted projection of the bags; None pools token codes.
        document_counts: Rows that hold each token.
        num_documents: Rows fitted on.
        means: [num_dense] float64, of numbers and vector elements.
        deviations: [num_dense] float64, above 0.
    """

    specs: tuple[FeatureSpec, ...]
    family: HashFamily
    set_limit: SetLimit
    idf_power: float
    projection: ContentProjection | None
    document_counts: CountSketch
    num_documents: int
    means: NDArray[np.float64]
    deviations: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        specs: Sequence[FeatureSpec],
        rows: Sequence[FeatureMap],
        *,
        family: HashFamily,
        config: TowerConfig,
        own_tokens: IdArray | None = None,
    ) -> FeatureEncoder:
        """Counts documents a token and measures numbers over `rows`; bags are pooled token codes.

        Args:
            specs: The features, in model order.
            rows: Raw features of all items or users.
            family: Hash functions of the token codes.
            config: Bounds the sketch of token counts and the width of sets, and holds the power of the IDF.
            own_tokens: [len(rows)] uint64, see `encode`.
        """
        documents: Counter[int] = Counter()
        set_limit = SetLimit(num_permutations=config.minhash, seed=family.seed)
        for bag in _bags(specs, rows, own_tokens, set_limit):
            documents.update(bag.keys())
        keys = np.fromiter(documents.keys(), dtype=np.uint64, count=len(documents))
        counts = np.fromiter(documents.values(), dtype=np.int64, count=len(documents))
        means, deviations = _moments(specs, rows)
        return cls(
            specs=tuple(specs),
            family=family,
            set_limit=set_limit,
            idf_power=config.idf_power,
            projection=None,
            document_counts=CountSketch.build(keys, counts, seed=family.seed, max_bytes=config.max_sketch_bytes),
            num_documents=len(rows),
            means=means,
            deviations=deviations,
        )

    def with_projection(
        self, config: ProjectionConfig, rows: Sequence[FeatureMap], *, own_tokens: IdArray | None = None
    ) -> FeatureEncoder:
        """Returns the encoder with its projection fitted to the rows that it was fitted on itself.

        Args:
            config: Size of the projection.
            rows: Raw features of all items or users.
            own_tokens: [len(rows)] uint64, see `encode`.
        """
        if not self.has_content:
            return self
        bags = self._weighted(self._counted(rows, own_tokens), fitted=True)
        _, counts = np.unique(bags.tokens, return_counts=True)
        buckets = config.buckets_for(int((counts > 1).sum()))
        fitted = ContentProjection.fit(bags, buckets=buckets, rank=config.rank, seed=self.family.seed)
        return replace(self, projection=fitted)

    @property
    def has_content(self) -> bool:
        """Whether there is any text or set feature."""
        return bool(_of_kinds(self.specs, "text", "set"))

    @property
    def num_categories(self) -> int:
        """Number of category features."""
        return len(_of_kinds(self.specs, "category"))

    @property
    def dense_width(self) -> int:
        """Columns of `FeatureBatch.dense`."""
        return len(self.means) + len(_of_kinds(self.specs, "number", "vector"))

    @property
    def content_width(self) -> int:
        """Columns of `FeatureBatch.content`."""
        if not self.has_content:
            return 0
        return self.family.k if self.projection is None else self.projection.rank

    def encode(self, rows: Sequence[FeatureMap], own_tokens: IdArray | None = None) -> FeatureBatch:
        """Encodes raw features; features that no spec names are ignored.

        Args:
            rows: Raw features.
            own_tokens: [len(rows)] uint64, the token of each row's own id; 0 or None for none.
        """
        counted = self._counted(rows, own_tokens)
        read = self._weighted(counted, fitted=self.projection is not None) if self.has_content else counted
        return self._encoded(rows, read)

    def encode_with_bags(
        self, rows: Sequence[FeatureMap], own_tokens: IdArray | None = None
    ) -> tuple[FeatureBatch, Bags]:
        """Returns what `encode` and `bags` return, reading the text once."""
        counted = self._counted(rows, own_tokens)
        bags = self._weighted(counted, fitted=True)
        read = bags if self.projection is not None else self._weighted(counted, fitted=False)
        return self._encoded(rows, read), bags.without_zeros()

    def bags(self, rows: Sequence[FeatureMap], own_tokens: IdArray | None = None) -> Bags:
        """Returns the rows' bags as the fitted projection weighs them, each of length 1 or empty, no weight 0.

        Args:
            rows: Raw features.
            own_tokens: [len(rows)] uint64, see `encode`.
        """
        return self._weighted(self._counted(rows, own_tokens), fitted=True).without_zeros()

    def refers_to(self, id_domain: str) -> bool:
        """Returns whether a set holds ids of that domain."""
        return refers_to(self.specs, id_domain)

    def _counted(self, rows: Sequence[FeatureMap], own_tokens: IdArray | None) -> Bags:
        """Returns the rows' hashed tokens, weighted by how often each stands there."""
        if not self.has_content and own_tokens is None:
            none = np.zeros(len(rows) + 1, dtype=np.int64)
            return Bags(tokens=np.empty(0, np.uint64), weights=np.empty(0, np.float32), offsets=none)
        bags = list(_bags(self.specs, rows, own_tokens, self.set_limit))
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(bag) for bag in bags], out=offsets[1:])
        tokens = np.fromiter((token for bag in bags for token in bag), dtype=np.uint64, count=int(offsets[-1]))
        terms = np.fromiter((n for bag in bags for n in bag.values()), dtype=np.float32, count=len(tokens))
        return Bags(tokens=tokens, weights=terms, offsets=offsets)

    def _encoded(self, rows: Sequence[FeatureMap], bags: Bags) -> FeatureBatch:
        categories, has_category = self._categories(rows)
        return FeatureBatch(
            content=self._content(bags), categories=categories, has_category=has_category, dense=self._dense(rows)
        )

    def _content(self, bags: Bags) -> NDArray[np.float32]:
        if not self.has_content:
            return np.zeros((len(bags), 0), dtype=np.float32)
        return self.family.pooled_codes(bags) if self.projection is None else self.projection.project(bags)

    def _weighted(self, counted: Bags, *, fitted: bool) -> Bags:
        """Returns bags of token counts as weighted bags, each of length 1."""
        terms = counted.weights
        documents = self.document_counts.counts(counted.tokens)
        weights = terms * self._idf(documents)
        if fitted:
            weights = np.where(documents > 1, np.log1p(terms) * self._idf(documents) ** self.idf_power, np.float32(0))
        return replace(counted, weights=unit_weights(weights.astype(np.float32), counted.offsets))

    def _idf(self, documents: NDArray[np.float32]) -> NDArray[np.float32]:
        # A sketch may overstate a count; no token is in more than all documents.
        idf = np.log((1 + self.num_documents) / (1 + np.minimum(documents, self.num_documents)))
        return cast(NDArray[np.float32], idf.astype(np.float32))

    def _categories(self, rows: Sequence[FeatureMap]) -> tuple[IdArray, NDArray[np.bool_]]:
        specs = _of_kinds(self.specs, "category")
        hashes = np.zeros((len(rows), len(specs)), dtype=np.uint64)
        present = np.zeros((len(rows), len(specs)), dtype=np.bool_)
        for column, spec in enumerate(specs):
            values = [cast(str, row.get(spec.name, "")) for row in rows]
            present[:, column] = [bool(value) for value in values]
            hashes[:, column] = hash_values(spec.domain, values)
        return hashes, present

    def _dense(self, rows: Sequence[FeatureMap]) -> NDArray[np.float32]:
        raw = _raw_dense(self.specs, rows)
        present = ~np.isnan(raw)
        scaled = np.clip((raw - self.means) / self.deviations, -_CLIP, _CLIP)
        filled = np.where(present, scaled, 0.0).astype(np.float32)
        starts = np.cumsum([0, *_widths(self.specs)])[:-1]
        return np.concatenate([filled, present[:, starts].astype(np.float32)], axis=1)


def _of_kinds(specs: Iterable[FeatureSpec], *kinds: str) -> list[FeatureSpec]:
    return [spec for spec in specs if spec.kind in kinds]


def _widths(specs: Iterable[FeatureSpec]) -> list[int]:
    return [spec.dim or 1 for spec in _of_kinds(specs, "number", "vector")]


def refers_to(specs: Sequence[FeatureSpec], id_domain: str) -> bool:
    """Returns whether a set feature holds ids of that domain."""
    return any(spec.kind == "set" and spec.domain == id_domain for spec in specs)


def bag_domain(spec: FeatureSpec) -> str:
    """Returns the hash domain of a text or set feature's tokens: the common one, unless the data set names another."""
    return TOKEN_DOMAIN if spec.domain == spec.name else spec.domain


def bag_tokens(spec: FeatureSpec, value: FeatureValue) -> list[str]:
    """Returns the tokens of one text or set value."""
    return text_tokens(cast(str, value)) if spec.kind == "text" else set_tokens(cast(tuple[str, ...], value))


def _bags(
    specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap], own_tokens: IdArray | None, set_limit: SetLimit
) -> Iterator[Counter[int]]:
    """Yields the count of each hashed token in each row."""
    content = _of_kinds(specs, "text", "set")
    for place, row in enumerate(rows):
        bag: Counter[int] = Counter()
        for spec in content:
            if spec.name in row:
                tokens = hashes_of(bag_domain(spec), bag_tokens(spec, row[spec.name]))
                if spec.kind == "set" and set_limit.shortens(len(tokens)):
                    tokens = set_limit.tokens(bag_domain(spec), np.array(tokens, dtype=np.uint64)).tolist()
                bag.update(tokens)
        if own_tokens is not None and own_tokens[place]:
            bag[int(own_tokens[place])] += 1
        yield bag


def _raw_dense(specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap]) -> NDArray[np.float64]:
    """Returns numbers and vectors side by side, [n, sum of widths], NaN where missing."""
    dense = _of_kinds(specs, "number", "vector")
    out = np.full((len(rows), sum(_widths(specs))), np.nan, dtype=np.float64)
    start = 0
    for spec, width in zip(dense, _widths(specs), strict=True):
        for position, row in enumerate(rows):
            if spec.name in row:
                out[position, start : start + width] = cast(float, row[spec.name])
        start += width
    return out


def _moments(
    specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    raw = np.ma.masked_invalid(_raw_dense(specs, rows))
    means = np.ma.filled(raw.mean(axis=0), 0.0) if len(rows) else np.zeros(raw.shape[1])
    deviations = np.ma.filled(raw.std(axis=0), 1.0) if len(rows) else np.ones(raw.shape[1])
    # A constant column deviates by rounding alone, in proportion to its values; tiny values are no constant.
    deviations = np.where(deviations > _ROUNDING * np.abs(means), deviations, 1.0)
    return means, deviations
