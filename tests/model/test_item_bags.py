"""Bags of items that are matched exactly: weighted by hand, the same from everywhere, kept in the artifact."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from recall.column_names import ITEM_ID
from recall.errors import ArtifactError
from recall.live.convert import item_from_message, item_to_message
from recall.model.artifact import GOLDEN, MANIFEST, load_artifact, save_artifact
from recall.model.bags import Bags
from recall.model.codes import HashFamily
from recall.model.config import TowerConfig
from recall.model.embedding import EmbeddingModel
from recall.model.features import TOKEN_DOMAIN, FeatureEncoder
from recall.model.fusion import FusionWeights, marked
from recall.model.hashing import hash_values
from recall.schema import DataSchema, FeatureMap, FeatureSpec
from recall.v1 import recall_pb2 as pb
from training.dataset import TrainingData
from training.setup import golden_inputs

TITLE = FeatureSpec(name="title", kind="text", domain="title")
TAGS = FeatureSpec(name="tags", kind="set", domain="tags")
RELATED = FeatureSpec(name="related", kind="set", domain=ITEM_ID)


@pytest.fixture
def sparse_model(model: EmbeddingModel) -> EmbeddingModel:
    model.fusion = FusionWeights(seen=1.5, unseen=2.5, unseen_offset=-0.5)
    return model


def _by_token(bags: Bags, row: int) -> dict[int, float]:
    part = slice(bags.offsets[row], bags.offsets[row + 1])
    return dict(zip(bags.tokens[part].tolist(), bags.weights[part].tolist(), strict=True))


def _token(text: str, domain: str = TOKEN_DOMAIN) -> int:
    return int(hash_values(domain, [text])[0])


def _equal(first: Bags, second: Bags) -> None:
    np.testing.assert_array_equal(first.offsets, second.offsets)
    np.testing.assert_array_equal(first.tokens, second.tokens)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_bag_holds_damped_counts_by_idf_and_leaves_out_tokens_of_one_row() -> None:
    rows: list[FeatureMap] = [
        {"title": "jazz jazz vinyl once", "tags": ("Blue Note",)}, {"title": "vinyl"}, {"title": "jazz"},
        {"tags": ("blue note",)}, {},
    ]  # fmt: skip
    encoder = FeatureEncoder.fit(
        (TITLE, TAGS), rows, family=HashFamily(k=16), config=TowerConfig(max_sketch_bytes=1 << 16)
    )
    bags = encoder.bags([*rows, {"title": "never once"}])
    # Each of the three is in two of five rows; counts in the sketch are exact for 1 and 2.
    idf = math.log(6 / 3) ** 1.5
    weights = {"jazz": math.log(3) * idf, "vinyl": math.log(2) * idf, "blue note": math.log(2) * idf}
    length = math.sqrt(sum(weight**2 for weight in weights.values()))
    seen = _by_token(bags, 0)
    assert seen == pytest.approx({_token(word): weight / length for word, weight in weights.items()}, abs=1e-6)
    assert np.diff(bags.offsets).tolist() == [3, 1, 1, 1, 0, 0]


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_idf_is_raised_to_the_power_of_the_config(power: float) -> None:
    rows: list[FeatureMap] = [{"title": "jazz vinyl"}, {"title": "vinyl"}, {"title": "vinyl"}, {"title": "jazz vinyl"}]
    rows += [{}] * 11
    config = TowerConfig(max_sketch_bytes=1 << 16, idf_power=power)
    encoder = FeatureEncoder.fit((TITLE,), rows, family=HashFamily(k=16), config=config)
    seen = _by_token(encoder.bags(rows), 0)
    # Counts in the sketch are levels of 2^(1/8), exact for 2 and 4.
    ratio = seen[_token("jazz")] / seen[_token("vinyl")]
    assert ratio == pytest.approx((math.log(16 / 3) / math.log(16 / 5)) ** power, rel=1e-4)


def test_token_of_every_row_weighs_nothing_and_is_dropped() -> None:
    rows: list[FeatureMap] = [{"title": "all a"}, {"title": "all a"}, {"title": "all"}]
    encoder = FeatureEncoder.fit((TITLE,), rows, family=HashFamily(k=16), config=TowerConfig(max_sketch_bytes=1 << 16))
    assert encoder.bags(rows).tokens.tolist() == [_token("a"), _token("a")]


def test_only_a_seen_item_that_sets_refer_to_is_a_token_itself(
    build_data: Callable[..., TrainingData], fresh_model: Callable[..., EmbeddingModel]
) -> None:
    data = build_data(schema=DataSchema(name="linked", item_features=(RELATED,)))
    data.items[:] = [{"related": ("i3", "i7")} if row % 2 else {} for row in range(len(data.items))]
    model = fresh_model(data)
    features: list[FeatureMap] = [{"related": ("i3",)}] * 3
    bags = model.bag_items(["i7", "i55", ""], features)
    assert set(_by_token(bags, 0)) == {_token("i3", ITEM_ID), _token("i7", ITEM_ID)}
    assert _by_token(bags, 1) == _by_token(bags, 2) == {_token("i3", ITEM_ID): pytest.approx(1)}


def test_encoding_gives_the_vectors_and_bags_that_are_asked_for_alone(
    sparse_model: EmbeddingModel, data: TrainingData
) -> None:
    ids = [*data.item_ids * 20, "new"]
    features = [*data.items * 20, data.items[0]]
    encoded = sparse_model.encode_items(ids, features)
    assert encoded.bags is not None
    assert len(encoded.bags) == len(ids)
    _equal(encoded.bags, marked(sparse_model.bag_items(ids, features), sparse_model.item_counts(ids) == 0))
    np.testing.assert_array_equal(encoded.vectors, sparse_model.embed_items(ids, features))
    sparse_model.fusion = FusionWeights()
    assert sparse_model.encode_items(ids, features).bags is None
    np.testing.assert_array_equal(encoded.vectors, sparse_model.embed_items(ids, features))


@pytest.mark.parametrize("content", ["svd", "codes"])
def test_bags_are_the_same_however_content_enters_the_towers(
    content: str, data: TrainingData, model: EmbeddingModel, fresh_model: Callable[..., EmbeddingModel], towers
) -> None:
    other = fresh_model(data, towers=towers.model_copy(update={"content": content}))
    other.fusion = model.fusion = FusionWeights(seen=1.0)
    encoded = other.encode_items(data.item_ids, data.items)
    assert encoded.bags is not None
    again = model.encode_items(data.item_ids, data.items).bags
    assert again is not None
    _equal(encoded.bags, again)


def test_bags_of_no_item_and_of_a_model_without_content_are_empty(
    sparse_model: EmbeddingModel, build_data: Callable[..., TrainingData], fresh_model: Callable[..., EmbeddingModel]
) -> None:
    none = sparse_model.encode_items([], [])
    assert none.bags is not None
    assert (len(none.bags), none.vectors.shape) == (0, (0, 16))
    bare = fresh_model(build_data(schema=DataSchema(name="bare")))
    assert bare.bag_items(["i1", "new"], [{}, {"title": "x"}]).offsets.tolist() == [0, 0, 0]


def test_bag_of_a_table_row_is_that_of_the_request(model: EmbeddingModel, data: TrainingData) -> None:
    requests = []
    for item_id, row in zip(data.item_ids, data.items, strict=True):
        message = item_to_message(item_id, row, attributes={})
        record, violations, _ = item_from_message(
            pb.Item.FromString(message.SerializeToString()), data.schema, path="item"
        )
        assert not violations
        requests.append(record.features)
    _equal(model.bag_items(data.item_ids, data.items), model.bag_items(data.item_ids, requests))


def test_counts_of_many_ids_are_those_one_by_one(model: EmbeddingModel, data: TrainingData) -> None:
    counts = model.item_counts([*data.item_ids, "never"])
    assert [round(float(count)) for count in counts[:-1]] == [model.item_count(i) for i in data.item_ids]
    assert counts[-1] == 0
    assert model.item_counts([]).shape == (0,)


def test_artifact_keeps_the_weight_under_its_digest(
    model: EmbeddingModel, sparse_model: EmbeddingModel, data: TrainingData, saved: Path, tmp_path: Path
) -> None:
    model_id = save_artifact(sparse_model, tmp_path / "model", golden_inputs(data), training={"epoch": 1})
    loaded = load_artifact(tmp_path / "model")
    assert loaded.fusion == sparse_model.fusion
    assert loaded.model_id == model_id != load_artifact(saved).model_id
    encoded = loaded.encode_items(data.item_ids, data.items)
    assert encoded.bags is not None
    again = model.encode_items(data.item_ids, data.items).bags
    assert again is not None
    _equal(encoded.bags, again)
    manifest = json.loads((tmp_path / "model" / MANIFEST).read_bytes())
    (tmp_path / "model" / MANIFEST).write_text(
        json.dumps(manifest | {"fusion": {"seen": 2.0}}, indent=1, sort_keys=True)
    )
    with pytest.raises(ArtifactError, match="its own checksum does not fit"):
        load_artifact(tmp_path / "model")


def test_artifact_without_a_weight_has_no_sparse_part(saved: Path) -> None:
    assert load_artifact(saved).fusion == FusionWeights()
    assert "item_bags" not in json.loads((saved / GOLDEN).read_bytes())


@pytest.mark.parametrize(
    ("field", "words"), [("tokens", "tokens of item_bags differ"), ("weights", "item_bags differ")]
)
def test_golden_bag_that_differs_is_refused(
    field: str, words: str, sparse_model: EmbeddingModel, data: TrainingData, tmp_path: Path
) -> None:
    from recall.model.golden import check_golden, make_golden

    record = json.loads(make_golden(sparse_model, golden_inputs(data)))
    check_golden(sparse_model, json.dumps(record).encode(), tmp_path)
    row = next(row for row in record["item_bags"] if row["tokens"])
    row[field][0] += 1
    with pytest.raises(ArtifactError, match=words):
        check_golden(sparse_model, json.dumps(record).encode(), tmp_path)


def test_joined_bags_keep_every_row_and_its_order() -> None:
    first = Bags(
        tokens=np.array([3, 1], dtype=np.uint64),
        weights=np.array([0.5, 0.0], dtype=np.float32),
        offsets=np.array([0, 0, 2], dtype=np.int64),
    )
    joined = Bags.joined([first, first.without_zeros(), first])
    assert joined.offsets.tolist() == [0, 0, 2, 2, 3, 3, 5]
    assert joined.tokens.tolist() == [3, 1, 3, 3, 1]
    assert len(Bags.joined([])) == 0
