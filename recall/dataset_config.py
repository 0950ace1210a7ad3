"""`dataset.toml`: what a data folder says of its columns and of its split. Read strictly, every key has a default."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recall.errors import DataError
from recall.schema import FeatureKind
from recall.validation import one_line

AttributeKind = Literal["category", "set", "number"]


class InteractionsConfig(BaseModel):
    """Which interactions count.

    Attributes:
        min_weight: Rows with a lower weight are not positives; None makes every row one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_weight: float | None = None


class SplitConfig(BaseModel):
    """How interactions are split where they have no `split` column.

    Attributes:
        rule: `time` cuts at two moments; `leave-last-out` takes each user's last two; `random` draws interactions;
            `cold-items` and `cold-users` move whole items or users.
        validation: Share for validation, in [0, 1).
        test: Share for test, in [0, 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Literal["time", "leave-last-out", "random", "cold-items", "cold-users"] = "random"
    validation: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.1, ge=0, lt=1)


class DatasetConfig(BaseModel):
    """The whole of `dataset.toml`.

    Attributes:
        name: Name of the data set; the folder's name where absent.
        item_features: Column to kind; None takes every column by its type.
        user_features: The same for users.
        item_attributes: Column to kind of what filters may use; None takes every category, set and number column.
        domains: `items.column` or `users.column` to hash domain, where it is not the column's name.
        interactions: Which interactions count.
        split: How to split them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = ""
    item_features: dict[str, FeatureKind] | None = None
    user_features: dict[str, FeatureKind] | None = None
    item_attributes: dict[str, AttributeKind] | None = None
    domains: dict[str, str] = {}
    interactions: InteractionsConfig = InteractionsConfig()
    split: SplitConfig = SplitConfig()

    @property
    def declares_split(self) -> bool:
        """Whether the file has a `[split]` table."""
        return "split" in self.model_fields_set

    @classmethod
    def read(cls, path: Path) -> DatasetConfig:
        """Reads `path`; a file that does not exist gives the defaults.

        Raises:
            DataError: The file is not TOML, or has an unknown key or a wrong value.
        """
        if not path.exists():
            return cls()
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is not valid TOML: {error}; correct the file") from error
        except ValidationError as error:
            raise DataError(f"{path}: {one_line(error)}") from error
