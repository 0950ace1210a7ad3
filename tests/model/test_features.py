"""Raw features to model inputs: every kind, missing values, statistics, and no trace of other rows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from recall.model.codes import HashFamily
from recall.model.config import TowerConfig
from recall.model.features import FeatureBatch, FeatureEncoder
from recall.schema import FeatureMap, FeatureSpec

TITLE = FeatureSpec(name="title", kind="text", domain="title")
TAGS = FeatureSpec(name="tags", kind="set", domain="tags")
BRAND = FeatureSpec(name="brand", kind="category", domain="brand")
MAKER = FeatureSpec(name="maker", kind="category", domain="brand")
PRICE = FeatureSpec(name="price", kind="number", domain="price")
IMAGE = FeatureSpec(name="image", kind="vector", domain="image", dim=2)
ALL = (TITLE, TAGS, BRAND, PRICE, IMAGE)


def _fit(specs: Sequence[FeatureSpec], rows: Sequence[FeatureMap]) -> FeatureEncoder:
    return FeatureEncoder.fit(specs, rows, family=HashFamily(k=256), config=TowerConfig(max_sketch_bytes=1 << 20))


def _image(*values: float) -> NDArray[np.float32]:
    return np.array(values, dtype=np.float32)


def _same(first: FeatureBatch, second: FeatureBatch) -> None:
    np.testing.assert_array_equal(first.content, second.content)
    np.testing.assert_array_equal(first.categories, second.categories)
    np.testing.assert_array_equal(first.has_category, second.has_category)
    np.testing.assert_array_equal(first.dense, second.dense)


def _full_row(n: int = 0) -> FeatureMap:
    return {
        "title": f"word{n} common",
        "tags": ("Red", f"tag{n}"),
        "brand": f"b{n}",
        "price": 1.0 + n,
        "image": _image(n, -n),
    }


@pytest.mark.parametrize("missing", [(), ("title",), ("tags",), ("title", "tags"), ("brand",), ("price",), ("image",)])
def test_any_feature_may_be_missing_and_shows_as_such(missing: tuple[str, ...]) -> None:
    encoder = _fit(ALL, [_full_row(n) for n in range(8)])
    row = {name: value for name, value in _full_row(3).items() if name not in missing}
    batch, full = encoder.encode([row]), encoder.encode([_full_row(3)])
    assert np.isfinite(batch.content).all()
    assert np.isfinite(batch.dense).all()
    assert bool(batch.has_category[0, 0]) == ("brand" not in missing)
    price, image, has_price, has_image = batch.dense[0, 0], batch.dense[0, 1:3], batch.dense[0, 3], batch.dense[0, 4]
    assert (has_price, has_image) == ("price" not in missing, "image" not in missing)
    assert price == (0 if "price" in missing else full.dense[0, 0])
    assert (image == 0).all() == ("image" in missing)
    assert (batch.content == 0).all() == ({"title", "tags"} <= set(missing))


def test_all_missing_row_differs_from_a_row_of_zeros() -> None:
    rows: list[FeatureMap] = [{"price": -1.0}, {"price": 1.0}]
    batch = _fit([PRICE], rows).encode([{}, {"price": 0.0}])
    assert batch.dense.tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_no_features_and_no_rows_give_empty_batches() -> None:
    assert len(_fit([], [{}, {}]).encode([{"price": 1.0}])) == 1
    assert _fit([], [{}]).encode([{}]).dense.shape == (1, 0)
    empty = _fit(ALL, []).encode([])
    assert len(empty) == 0
    assert empty.dense.shape == (0, 5)
    assert np.isfinite(_fit(ALL, []).encode([_full_row()]).dense).all()


def test_unknown_features_are_ignored() -> None:
    encoder = _fit(ALL, [_full_row(n) for n in range(8)])
    _same(encoder.encode([{**_full_row(3), "colour": "red", "weight": 3.0}]), encoder.encode([_full_row(3)]))


def test_row_is_encoded_alike_alone_and_in_any_batch() -> None:
    rng = np.random.default_rng(0)
    rows = [{"title": " ".join(f"w{w}" for w in rng.integers(0, 500, size=rng.integers(1, 40)))} for _ in range(300)]
    encoder = _fit(ALL, rows)
    batch = encoder.encode(rows)
    for row in range(0, 300, 7):
        _same(encoder.encode(rows[row : row + 1]), batch.take(np.array([row])))


def test_bag_of_weak_tokens_keeps_its_length_behind_strong_ones() -> None:
    # "the" is in 8 of 10 rows, so its weight is a fraction of that of the new words before it.
    rows: list[FeatureMap] = [{"title": "the" if n % 5 else "rare"} for n in range(10_000)]
    encoder = _fit([TITLE], rows)
    strong: list[FeatureMap] = [{"title": " ".join(f"new{n}" for n in range(2000))} for _ in range(50)]
    alone, behind = encoder.encode([{"title": "the"}]), encoder.encode([*strong, {"title": "the"}])
    np.testing.assert_array_equal(alone.content[0], behind.content[-1])
    assert np.linalg.norm(alone.content[0]) == pytest.approx(math.sqrt(256 / 3), rel=0.2)


def test_bag_joins_words_and_set_values_weighted_by_idf() -> None:
    rows: list[FeatureMap] = [{"title": "jazz jazz vinyl", "tags": ("Blue Note",)}, {"title": "vinyl"}, {}, {}]
    encoder = _fit([TITLE, TAGS], rows)
    # Counts in the sketch are levels of 2^(1/8), exact for 1 and 2.
    weights = {"jazz": 2 * math.log(5 / 2), "vinyl": math.log(5 / 3), "blue note": math.log(5 / 2)}
    length = math.sqrt(sum(weight**2 for weight in weights.values()))
    parts = {word: encoder.encode([{"title": word} if " " not in word else {"tags": (word,)}]) for word in weights}
    wanted = sum(parts[word].content[0] * weight / length for word, weight in weights.items())
    np.testing.assert_allclose(encoder.encode(rows).content[0], wanted, atol=1e-4)


def test_equal_tokens_of_text_and_set_share_their_code() -> None:
    encoder = _fit([TITLE, TAGS], [{"title": "x"}, {"tags": ("y",)}])
    batch = encoder.encode([{"title": "Jazz"}, {"tags": ("jazz",)}])
    np.testing.assert_array_equal(batch.content[0], batch.content[1])


def test_declared_domain_keeps_a_sets_values_apart() -> None:
    related = FeatureSpec(name="related", kind="set", domain="item_id")
    encoder = _fit([TITLE, related], [{"title": "x"}, {"related": ("y",)}])
    batch = encoder.encode([{"title": "jazz"}, {"related": ("jazz",)}])
    assert abs(batch.content[0] @ batch.content[1]) < 0.3 * (batch.content[0] @ batch.content[0])


@pytest.mark.parametrize(
    ("first", "second"), [("JAZZ", "jazz"), ("\uff2a\uff41\uff5a\uff5a", "jazz"), ("Straße", "STRASSE")]
)
def test_text_and_sets_are_folded(first: str, second: str) -> None:
    encoder = _fit(ALL, [_full_row(n) for n in range(4)])
    _same(encoder.encode([{"title": first, "tags": (first,)}]), encoder.encode([{"title": second, "tags": (second,)}]))


def test_categories_of_one_domain_share_hashes_and_others_do_not() -> None:
    other = FeatureSpec(name="label", kind="category", domain="label")
    rows: list[FeatureMap] = [{"brand": "acme", "maker": "acme", "label": "acme"}]
    brand, maker, label = _fit([BRAND, MAKER, other], rows).encode(rows).categories[0]
    assert brand == maker != label


def test_numbers_of_any_magnitude_are_standardised() -> None:
    rng = np.random.default_rng(0)
    for offset, spread in ((1.7e9, 3e7), (1.7e18, 1e9), (0.0, 1e-12), (-5.0, 2.0)):
        values = rng.uniform(-1, 1, size=500) * spread + offset
        rows: list[FeatureMap] = [{"price": float(value)} for value in values]
        dense = _fit([PRICE], rows).encode(rows).dense
        assert dense[:, 0].mean() == pytest.approx(0, abs=1e-3), offset
        assert dense[:, 0].std() == pytest.approx(1, abs=1e-3), offset
        assert (dense[:, 1] == 1).all()


def test_far_out_numbers_are_bounded() -> None:
    rows: list[FeatureMap] = [{"price": float(n)} for n in range(100)]
    dense = _fit([PRICE], rows).encode([{"price": value} for value in (1e300, -1e300, 1.7e308)]).dense
    assert np.abs(dense).max() <= 10
    assert dense[0, 0] > 0 > dense[1, 0]


@pytest.mark.filterwarnings("ignore:overflow")
def test_numbers_at_the_end_of_the_range_stay_finite() -> None:
    rows: list[FeatureMap] = [{"price": sign * 1.7e308} for sign in (1, 1, 1, -1)]
    assert np.isfinite(_fit([PRICE], rows).encode([*rows, {"price": 0.0}]).dense).all()


@pytest.mark.parametrize("value", [0.0, 0.1, 1.7e9 + 0.1, 1e18])
def test_constant_number_column_is_zero_and_harmless(value: float) -> None:
    rows: list[FeatureMap] = [{"price": value} for _ in range(33)]
    dense = _fit([PRICE], rows).encode([*rows, {"price": value + 1e6}]).dense
    assert np.abs(dense[:33, 0]).max() < 1e-6
    assert np.isfinite(dense).all()


def test_column_missing_everywhere_is_zero_and_flagged() -> None:
    encoder = _fit([PRICE, IMAGE], [{}, {}])
    assert not encoder.encode([{}]).dense.any()
    assert encoder.encode([{"price": 2.0}]).dense[0, 3] == 1
    assert np.isfinite(encoder.encode([{"price": 2.0, "image": _image(1, 2)}]).dense).all()


def test_statistics_leave_missing_values_out() -> None:
    encoder = _fit([PRICE], [{"price": 1.0}, {}, {"price": 3.0}, {}])
    assert encoder.means.tolist() == [2.0]
    assert encoder.deviations.tolist() == [1.0]


def test_vector_elements_are_standardised_one_by_one() -> None:
    encoder = _fit([IMAGE], [{"image": _image(0, 100)}, {"image": _image(2, 300)}])
    assert encoder.encode([{"image": _image(2, 100)}]).dense.tolist() == [[1.0, -1.0, 1.0]]


def test_take_returns_rows_in_their_order() -> None:
    encoder = _fit(ALL, [_full_row(n) for n in range(6)])
    batch = encoder.encode([_full_row(n) for n in range(6)])
    _same(batch.take(np.array([4, 1, 4])), encoder.encode([_full_row(4), _full_row(1), _full_row(4)]))


def test_wide_set_enters_as_a_bounded_number_of_tokens_and_a_text_as_all_its_words() -> None:
    rows: list[FeatureMap] = [{"tags": tuple(f"t{n}" for n in range(row, row + 40))} for row in range(30)]
    rows += [{"title": " ".join(f"t{n}" for n in range(40))}, {"tags": ("t1", "t2")}] * 2
    config = TowerConfig(max_sketch_bytes=1 << 20, minhash=8)
    encoder = FeatureEncoder.fit((TITLE, TAGS), rows, family=HashFamily(k=256), config=config)
    widths = np.diff(encoder.bags([*rows, rows[0]]).offsets)
    assert widths[:30].max() <= 8
    assert widths[30:34].tolist() == [40, 2, 40, 2]
    # What stands for a wide set does not depend on the rows beside it, nor on being asked for later.
    _same(encoder.encode(rows).take(np.array([3])), encoder.encode([rows[3]]))
    # Neighbours have 39 of 41 tags in common, rows 29 apart 11 of 69.
    content = encoder.encode(rows).content
    near, far = (np.corrcoef(content[0], content[row])[0, 1] for row in (1, 29))
    assert near > far
