"""Sizes that cannot work are refused before anything is built."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from recall.model.config import TowerConfig


@pytest.mark.parametrize(
    "values",
    [
        {"id_code": {"k": 1023}},
        {"id_code": {"k": 0}},
        {"category_code": {"m": 1}},
        {"content_code": {"m": 2**31 + 1}},
        {"content_code": {"distribution": "normal"}},
        {"dim": 1},
        {"dim": 257},
        {"idf_power": -0.5},
        {"idf_power": float("nan")},
        {"idf_power": float("inf")},
        {"idf_power": 8.5},
        {"id_encoder": "hash"},
        {"id_encoder": "hybrid"},
        {"id_encoder": "table", "hybrid_rows": 3},
        {"hybrid_rows": 3},
        {"hybrid_rows": -1},
        {"content": "words"},
        {"minhash": -1},
        {"minhash": 4097},
        {"content_projection": {"rank": 0}},
        {"content_projection": {"max_buckets": 300}},
        {"content_projection": {"max_buckets": 128}},
        {"id_decoder": {"width": 0}},
        {"feature_decoder": {"depth": -1}},
        {"feature_decoder": {"norm": "group"}},
        {"max_history": 0},
        {"max_sketch_bytes": 4095},
        {"width": 3},
    ],
)
def test_value_out_of_range_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TowerConfig.model_validate(values)


def test_defaults_are_those_of_the_paper() -> None:
    code = TowerConfig().id_code
    assert (code.k, code.m, code.distribution) == (1024, 10**6, "uniform")
