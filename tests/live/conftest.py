"""A tiny deterministic second model, and catalogues to write to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from index.factory import IndexConfig
from index.protocols import FloatArray
from recall.errors import ArtifactError
from recall.live.catalog import Catalog
from recall.live.config import RebuildConfig, ServeConfig
from recall.live.generation import Generation
from recall.live.rebuild import LoadedModel, generation_in_memory, rebuild_with
from recall.live.records import ItemRecord
from recall.live.service import RecallSystem
from recall.model.audience import AudienceSource
from recall.model.bags import Bags
from recall.model.embedding import UserInput
from recall.model.fusion import FusionWeights, marked
from recall.model.hashing import hash_values
from recall.model.item_encoding import ItemEncoding
from recall.schema import DataSchema, FeatureMap, FeatureSpec

DIM = 16
SCHEMA = DataSchema(
    name="tiny",
    item_features=(
        FeatureSpec(name="topic", kind="category", domain="topic"),
        FeatureSpec(name="tags", kind="set", domain="tags"),
        FeatureSpec(name="price", kind="number", domain="price"),
    ),
    user_features=(FeatureSpec(name="country", kind="category", domain="country"),),
)


def _direction(text: str, salt: str) -> FloatArray:
    digest = hashlib.sha256(f"{salt}/{text}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8])).normal(size=DIM).astype(np.float32)


def _unit(vector: FloatArray) -> FloatArray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashModel:
    """The vector of an item is the unit sum of the directions of its features, its bag holds its tags.

    Its id does not matter. Tags that begin with an underscore are in the bag alone.
    """

    model_id: str = "a" * 64
    schema: DataSchema = SCHEMA
    max_history: int = 3
    dim: int = DIM
    known_users: frozenset[str] = field(default_factory=frozenset)
    known_items: frozenset[str] = field(default_factory=frozenset)
    fusion: FusionWeights = FusionWeights()  # noqa: RUF009  # frozen
    on_embed: Callable[[Sequence[str]], None] | None = None

    def embed_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> FloatArray:
        if self.on_embed is not None:
            self.on_embed(item_ids)
        assert all(name in {s.name for s in self.schema.item_features} for f in features for name in f)
        return np.array([self.vector(f) for f in features], dtype=np.float32).reshape(-1, self.dim)

    def encode_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> ItemEncoding:
        vectors = self.embed_items(item_ids, features)
        tags = [tuple(f.get("tags", ())) for f in features]  # type: ignore[arg-type]  # a set
        bags = Bags(
            tokens=hash_values("tags", [tag for row in tags for tag in row]),
            weights=np.array([len(row) ** -0.5 for row in tags for _ in row], dtype=np.float32),
            offsets=np.cumsum([0, *map(len, tags)], dtype=np.int64),
        )
        unseen = self.item_counts(item_ids) == 0
        return ItemEncoding(vectors=vectors, bags=marked(bags, unseen) if self.fusion.is_on else None)

    def item_counts(self, item_ids: Sequence[str]) -> FloatArray:
        return np.array([item_id in self.known_items for item_id in item_ids], dtype=np.float32)

    def vector(self, features: FeatureMap) -> FloatArray:
        if features.get("price") == -1.0:
            return np.full(self.dim, np.nan, dtype=np.float32)
        texts = [f"{name}={value}" for name in sorted(features) for value in _values(features[name])]
        texts = [text for text in texts if not text.startswith("tags=_")]
        return _unit(np.sum([_direction(text, self.model_id) for text in texts or ["nothing"]], axis=0))

    def with_audiences(self, source: AudienceSource) -> HashModel:
        return self

    def embed_users(self, users: Sequence[UserInput]) -> FloatArray:
        return np.array([self._user(user) for user in users], dtype=np.float32).reshape(-1, self.dim)

    def _user(self, user: UserInput) -> FloatArray:
        assert len(user.history) <= self.max_history
        known = [_direction(f"{name}={value}", self.model_id) * 0.1 for name, value in sorted(user.features.items())]
        parts = [*user.history, *known]
        return _unit(np.sum(parts, axis=0)) if parts else _unit(_direction(f"user={user.user_id}", self.model_id))

    def knows_user(self, user_id: str) -> bool:
        return user_id in self.known_users


def _values(value: object) -> Sequence[object]:
    return value if isinstance(value, tuple) else [value]


@pytest.fixture
def hash_model() -> HashModel:
    return HashModel()


@pytest.fixture
def make_model() -> Callable[..., HashModel]:
    return HashModel


@pytest.fixture
def make_item() -> Callable[..., ItemRecord]:
    """Returns an item of a topic; items of one topic have one vector."""

    def make(item_id: str, topic: str = "", **features: object) -> ItemRecord:
        values = {"topic": topic, **features} if topic else features
        return ItemRecord(item_id=item_id, features=values)  # type: ignore[arg-type]  # values are checked by use

    return make


@pytest.fixture
def catalog_path(tmp_path: Path) -> Path:
    return tmp_path / "catalog.sqlite"


@pytest.fixture
def catalog(catalog_path: Path) -> Iterator[Catalog]:
    with Catalog.create(catalog_path, SCHEMA) as opened:
        yield opened


@pytest.fixture
def make_generation() -> Callable[..., Generation]:
    """Returns an in-memory generation of items by topic."""

    def make(topics: Mapping[str, str], *, model: HashModel | None = None, **counts: int) -> Generation:
        features: list[FeatureMap] = [{"topic": topic} for topic in topics.values()]
        config = IndexConfig(kind="flat")
        return generation_in_memory(model or HashModel(), list(topics), features, counts=counts, config=config)

    return make


def load_hash_model(folder: Path) -> HashModel:
    try:
        return HashModel(model_id=(folder / "model.txt").read_text())
    except OSError as error:
        raise ArtifactError(f"{folder} holds no model") from error


@dataclass(frozen=True, slots=True)
class Deployment:
    """A catalogue and a folder of snapshots, as a server and a rebuild share them."""

    catalog_path: Path
    root: Path

    def model_folder(self, letter: str) -> Path:
        folder = self.root.parent / f"model-{letter}"
        folder.mkdir(exist_ok=True)
        (folder / "model.txt").write_text(letter * 64)
        return folder

    def rebuild(self, letter: str = "a", *, model: HashModel | None = None, **config: Any) -> str:
        files = (self.model_folder(letter) / "model.txt",)
        loaded = LoadedModel(model=model or HashModel(model_id=letter * 64), files=files)
        index = config.pop("index", None) or IndexConfig(kind=config.pop("kind", "flat"))
        settings = RebuildConfig(index=index, **config)
        return rebuild_with(loaded, self.catalog_path, self.root, config=settings).name

    @contextmanager
    def serving(self, *models: HashModel, **config: Any) -> Iterator[RecallSystem]:
        """Serves by `models`, by their ids, instead of those that the artifacts alone make."""
        given = {model.model_id: model for model in models}

        def load(folder: Path) -> HashModel:
            model = load_hash_model(folder)
            return given.get(model.model_id, model)

        settings = ServeConfig(**{"follow_interval_seconds": 0.01, "watch_interval_seconds": 0.01, **config})
        system = RecallSystem.start(self.root, self.catalog_path, settings, load_model=load)
        try:
            yield system
        finally:
            system.close()


@pytest.fixture
def load_model() -> Callable[[Path], HashModel]:
    return load_hash_model


@pytest.fixture
def deployment(tmp_path: Path, catalog: Catalog, catalog_path: Path) -> Deployment:
    return Deployment(catalog_path, tmp_path / "snapshots")


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Returns a wait for something that other threads bring about."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.perf_counter() + 10
        while not condition():
            assert time.perf_counter() < deadline, "it did not happen within 10 s"
            time.sleep(0.002)

    return wait


@pytest.fixture
def flip_byte() -> Callable[[Path], None]:
    """Returns what damages the last byte of a file."""

    def flip(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)

    return flip
