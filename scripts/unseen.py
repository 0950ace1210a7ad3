"""Items that no model has seen: features recombined from those of known items."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from recall.errors import DataError
from recall.model.tokens import set_tokens, text_tokens
from recall.schema import FeatureMap, FeatureSpec, FeatureValue

_MAX_TRIES = 1000


def unseen_features(features: Sequence[FeatureMap], specs: Sequence[FeatureSpec], *, seed: int) -> Iterator[FeatureMap]:
    """Yields feature maps without end; to a model each differs from all others and from those given.

    A value is that of a random item, missing as often as there; a text joins the halves of two.

    Args:
        features: Raw features of known items.
        specs: Columns that items may have.
        seed: Of every draw.

    Raises:
        DataError: The known items have too few values to recombine.
    """
    rng = np.random.default_rng(seed)
    values = {spec.name: [f[spec.name] for f in features if spec.name in f] for spec in specs}
    seen = {_key(f, specs) for f in features}
    while True:
        for _ in range(_MAX_TRIES):
            made = {
                spec.name: _recombined(rng, spec, values[spec.name])
                for spec in specs
                if rng.random() * len(features) < len(values[spec.name])
            }
            if made and (key := _key(made, specs)) not in seen:
                break
        else:
            raise DataError(f"{len(features)} known items have too few features to make more than {len(seen)} others")
        seen.add(key)
        yield made


def _recombined(rng: np.random.Generator, spec: FeatureSpec, values: Sequence[FeatureValue]) -> FeatureValue:
    first, second = (values[int(rng.integers(len(values)))] for _ in range(2))
    if spec.kind != "text":
        return first
    words, others = str(first).split(), str(second).split()
    return " ".join(words[: (len(words) + 1) // 2] + others[len(others) // 2 :])


def _key(features: FeatureMap, specs: Sequence[FeatureSpec]) -> Hashable:
    return tuple((spec.name, _comparable(spec, features[spec.name])) for spec in specs if spec.name in features)


def _comparable(spec: FeatureSpec, value: FeatureValue) -> Hashable:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, tuple):
        return tuple(sorted(set(set_tokens(value))))
    return tuple(sorted(text_tokens(value))) if spec.kind == "text" and isinstance(value, str) else value
