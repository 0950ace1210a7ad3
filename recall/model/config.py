"""Sizes of the towers. Kept in the artifact; part of its identity."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class CodeConfig(BaseModel):
    """A hash family.

    Attributes:
        k: Length of a code; even.
        m: Values of a hash function.
        distribution: Scaling of the values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    k: int = Field(default=1024, ge=2, multiple_of=2)
    m: int = Field(default=1_000_000, ge=2, le=1 << 31)
    distribution: Literal["uniform", "gaussian"] = "uniform"


class DecoderConfig(BaseModel):
    """Layers between a code and a vector part.

    Attributes:
        width: Units of each hidden layer.
        depth: Number of hidden layers; 0 is a linear map.
        norm: Normalisation before each activation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=256, ge=1)
    depth: int = Field(default=2, ge=0)
    norm: Literal["batch", "layer", "none"] = "batch"


class TowerConfig(BaseModel):
    """Everything that decides the shape of both towers.

    Attributes:
        dim: Length of item and user vectors.
        id_code: Codes of item and user ids.
        id_decoder: From an id's code to its vector.
        content_code: Codes of text and set tokens, pooled to a bag.
        category_code: Codes of category values.
        feature_decoder: From all features of an item or user to its vector.
        max_history: Longest history that a user vector is made from, in items.
        max_sketch_bytes: Bound on each count sketch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(default=128, ge=2, le=256)
    id_code: CodeConfig = CodeConfig()
    id_decoder: DecoderConfig = DecoderConfig()
    content_code: CodeConfig = CodeConfig(k=1024)
    category_code: CodeConfig = CodeConfig(k=128)
    feature_decoder: DecoderConfig = DecoderConfig(width=512, depth=1)
    max_history: int = Field(default=1000, ge=1)
    max_sketch_bytes: int = Field(default=16 << 20, ge=1 << 12)
