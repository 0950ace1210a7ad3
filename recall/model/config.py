"""Sizes of the towers. Kept in the artifact; part of its identity."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_DIM = 256
"""Longest vector that an index is asked to store."""

_LEAST_BUCKETS = 1 << 8
_LEAST_RANK = 4


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


class ProjectionConfig(BaseModel):
    """Size of the fitted projection of text and set features.

    Attributes:
        rank: Length of a projected bag.
        max_buckets: Most rows of its matrix, a power of two; fewer where there are few tokens.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int = Field(default=512, ge=1)
    max_buckets: int = Field(default=1 << 15, ge=_LEAST_BUCKETS)

    @field_validator("max_buckets")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("it must be a power of two")
        return value

    def buckets_for(self, num_tokens: int) -> int:
        """Returns the rows for a number of tokens worth projecting: a power of two, two a token within the bound."""
        return min(self.max_buckets, max(_LEAST_BUCKETS, 1 << (2 * num_tokens - 1).bit_length()))

    def rank_within(self, num_rows: int, num_tokens: int) -> int:
        """Returns the length for a matrix of so many rows and tokens: a sixteenth of its smaller side within the bound.

        A row then takes part in the fit of the directions that it is projected on by a sixteenth at most on average.
        With a greater share what is known of it would be read off the directions themselves, and columns of equal
        spread would show noise as large as the rest.
        """
        return min(self.rank, max(_LEAST_RANK, min(num_rows, num_tokens) // 16))


class TowerConfig(BaseModel):
    """Everything that decides the shape of both towers.

    Attributes:
        dim: Length of the learned item and user vectors.
        id_encoder: How an id that was seen in training enters: `dhe` by a network over its code, `table` by a row of
            its own, which makes the model grow with the catalogue and is there to be measured against, `hybrid` by a
            row for the most frequent ids and by `dhe` for all others, `none` not.
        hybrid_rows: Ids of items, and as many of users, that `hybrid` gives a row of their own.
        id_code: Codes of item and user ids.
        id_decoder: From an id's code to its vector.
        gate: Whether an id's share follows from how often it was seen. Without it every id counts in full, also one
            that was never seen, so that a cold item's vector is no longer that of its features alone.
        content: How text and set features enter: `svd` by a fitted projection, `codes` by pooled token codes.
        idf_power: To which the IDF of a token is raised, where bags are matched exactly or enter by the projection.
        minhash: Most tokens of one set value; one with more distinct ones enters as that many MinHash tokens
            (`minhash.py`), which also means that a long list of references names no rows. 0 takes all as they are.
        content_projection: Size of the fitted projection.
        audience: Whether items enter by who had them as well (`audience.py`).
        audience_projection: Size of the projection of audiences; its buckets are for users.
        audience_decoder: From a projected audience to a vector, beside a linear map.
        max_audience: Most users of one item that are looked at.
        content_code: Codes of text and set tokens, where they are pooled.
        category_code: Codes of category values.
        feature_decoder: From all features of an item or user to its vector.
        pooling: How a history becomes a vector: `mean` of its items, `recent` by the mean and an attention-weighted sum
            of the latest items, which tells new ones from old; `auto` leaves it to the training data.
        latest: Items that `recent` looks at.
        max_history: Longest history that a user vector is made from, in items.
        max_sketch_bytes: Bound on each count sketch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(default=128, ge=2, le=MAX_DIM)
    id_encoder: Literal["dhe", "table", "hybrid", "none"] = "dhe"
    hybrid_rows: int = Field(default=0, ge=0)
    id_code: CodeConfig = CodeConfig()
    id_decoder: DecoderConfig = DecoderConfig()
    gate: bool = True
    content: Literal["svd", "codes"] = "svd"
    idf_power: float = Field(default=1.5, ge=0, le=8, allow_inf_nan=False)
    minhash: int = Field(default=0, ge=0, le=1 << 12)
    content_projection: ProjectionConfig = ProjectionConfig()
    audience: bool = True
    audience_projection: ProjectionConfig = ProjectionConfig()
    audience_decoder: DecoderConfig = DecoderConfig(width=512, depth=1)
    max_audience: int = Field(default=4096, ge=1)
    content_code: CodeConfig = CodeConfig(k=1024)
    category_code: CodeConfig = CodeConfig(k=128)
    feature_decoder: DecoderConfig = DecoderConfig(width=512, depth=1)
    pooling: Literal["auto", "mean", "recent"] = "auto"
    latest: int = Field(default=50, ge=1, le=1000)
    max_history: int = Field(default=1000, ge=1)
    max_sketch_bytes: int = Field(default=16 << 20, ge=1 << 12)

    @model_validator(mode="after")
    def _hybrid_rows_fit(self) -> Self:
        if (self.id_encoder == "hybrid") != (self.hybrid_rows > 0):
            raise ValueError(
                f"id_encoder = {self.id_encoder!r} with hybrid_rows = {self.hybrid_rows}: 'hybrid' needs at least 1, "
                "and nothing else has a use for them"
            )
        return self
