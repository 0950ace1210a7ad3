"""The data schema: which features and attributes items and users have, and of what kind.

It travels with everything that was made from a data folder: the model artifact, the catalogue and the snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

FeatureKind: TypeAlias = Literal["category", "set", "text", "number", "vector"]
FEATURE_KINDS: tuple[str, ...] = get_args(FeatureKind)

FeatureValue: TypeAlias = str | float | tuple[str, ...] | NDArray[np.float32]
"""`category` and `text`: str; `set`: tuple of str; `number`: float; `vector`: [dim] float32."""

FeatureMap: TypeAlias = Mapping[str, FeatureValue]
"""Raw features of one item or user by name. A missing value is an absent key."""


class FeatureSpec(BaseModel):
    """One feature or attribute column.

    Attributes:
        name: Column name, also its name on the wire.
        kind: How its values are read and encoded.
        domain: Hash domain of its values; two columns of one domain share codes for equal values.
        dim: Length of a `vector` feature; 0 for every other kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: FeatureKind
    domain: str
    dim: int = 0


class DataSchema(BaseModel):
    """Kinds, domains and names of all columns of a data folder.

    Attributes:
        name: Name of the data set.
        item_features: Model inputs of an item, in model order.
        user_features: Model inputs of a user, in model order.
        item_attributes: Columns of an item that filters may use.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    item_features: tuple[FeatureSpec, ...] = ()
    user_features: tuple[FeatureSpec, ...] = ()
    item_attributes: tuple[FeatureSpec, ...] = ()
