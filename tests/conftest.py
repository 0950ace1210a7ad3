"""A tiny system behind a real server on a free port, and a channel and client to it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from index.protocols import FloatArray
from recall.model.audience import AudienceSource
from recall.model.fusion import FusionWeights
from recall.model.item_encoding import ItemEncoding
from recall.schema import DataSchema, FeatureMap, FeatureSpec

if TYPE_CHECKING:  # the fixtures import what they need, so that other tests do not load torch
    import trustme

    from recall.client import RecallClient
    from recall.live.service import RecallSystem
    from recall.model.embedding import UserInput
    from recall.serving.server import RecallServer
    from recall.v1 import recall_pb2_grpc

# As the `recall` command does, and before any test loads torch or FAISS.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

DIM = 8
SCHEMA = DataSchema(
    name="tiny",
    item_features=(
        FeatureSpec(name="topic", kind="category", domain="topic"),
        FeatureSpec(name="tags", kind="set", domain="tags"),
        FeatureSpec(name="price", kind="number", domain="price"),
        FeatureSpec(name="image", kind="vector", domain="image", dim=3),
    ),
    user_features=(FeatureSpec(name="country", kind="category", domain="country"),),
    item_attributes=(
        FeatureSpec(name="price", kind="number", domain="price"),
        FeatureSpec(name="shop", kind="category", domain="shop"),
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicModel:
    """An item points where its topic does; a user points to the mean of the history."""

    model_id: str = "b" * 64
    schema: DataSchema = SCHEMA
    max_history: int = 5
    dim: int = DIM
    fusion: FusionWeights = FusionWeights()  # noqa: RUF009  # frozen

    def encode_items(self, item_ids: Sequence[str], features: Sequence[FeatureMap]) -> ItemEncoding:
        vectors = np.array([_direction(str(f.get("topic", ""))) for f in features], np.float32).reshape(-1, DIM)
        return ItemEncoding(vectors=vectors, bags=None)

    def with_audiences(self, source: AudienceSource) -> TopicModel:
        return self

    def embed_users(self, users: Sequence[UserInput]) -> FloatArray:
        return np.array([self._user(user) for user in users], dtype=np.float32).reshape(-1, DIM)

    def _user(self, user: UserInput) -> FloatArray:
        total = np.sum(user.history, axis=0) if len(user.history) else _direction(str(user.features))
        return (total / np.linalg.norm(total)).astype(np.float32)

    def knows_user(self, user_id: str) -> bool:
        return False

    def item_counts(self, item_ids: Sequence[str]) -> FloatArray:
        return np.zeros(len(item_ids), dtype=np.float32)


def _direction(text: str) -> FloatArray:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    vector = np.random.default_rng(seed).normal(size=DIM)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """PEM files of one run: a CA, and certificate and key of a server on loopback and of a client of it."""

    authority: trustme.CA
    folder: Path
    ca: Path
    server: tuple[Path, Path]
    client: tuple[Path, Path]

    @property
    def tls(self) -> dict[str, Path]:
        """The table `[tls]` of a server."""
        return {"certificate": self.server[0], "key": self.server[1]}


def _issued(authority: trustme.CA, folder: Path, host: str, *hosts: str) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    made = authority.issue_cert(host, *hosts)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return certificate, key


@pytest.fixture(scope="session")
def issue() -> Callable[..., tuple[Path, Path]]:
    """Writes a certificate of a CA and its key into a folder; those that are there are replaced."""
    return _issued


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    import trustme

    folder = tmp_path_factory.mktemp("certificates")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return Certificates(
        authority=authority,
        folder=folder,
        ca=folder / "ca.pem",
        server=_issued(authority, folder / "server", "127.0.0.1", "localhost"),
        client=_issued(authority, folder / "client", "caller@example.org"),
    )


@pytest.fixture
def write_tokens(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of tokens, each given by name as token, scopes and quota; replaces the one before."""
    from recall.serving.tokens import TokenEntry, token_hash

    def entry(name: str, token: str, scopes: str, quota: float | None = None) -> TokenEntry:
        names = tuple(scopes.split(","))
        return TokenEntry(name=name, sha256=token_hash(token), scopes=names, requests_per_second=quota)

    def write(**tokens: tuple[object, ...]) -> Path:
        sibling, file = tmp_path / ".tokens.toml", tmp_path / "tokens.toml"
        sibling.write_text("\n".join(entry(name, *token).to_toml() for name, token in tokens.items()))
        return sibling.replace(file)

    return write


@pytest.fixture(scope="session")
def topic_direction() -> Callable[[str], FloatArray]:
    return _direction


@pytest.fixture(scope="session")
def topic_model() -> TopicModel:
    return TopicModel()


@pytest.fixture
def open_system(tmp_path: Path) -> Callable[..., RecallSystem]:
    """Builds catalogue and snapshot: items a0..a3 about a, b0..b3 about b; user u1 took a0 and a1."""
    from recall.live.catalog import Catalog
    from recall.live.config import ServeConfig
    from recall.live.rebuild import LoadedModel, rebuild_with
    from recall.live.records import InteractionRecord, ItemRecord, UserRecord
    from recall.live.service import RecallSystem

    items = [ItemRecord(item_id=f"{topic}{n}", features={"topic": topic}) for topic in "ab" for n in range(4)]
    path, model = tmp_path / "catalog.sqlite", TopicModel()
    with Catalog.create(path, SCHEMA) as catalog:
        catalog.put_items(items)
        catalog.put_users([UserRecord(user_id="u1", features={"country": "nl"})])
        catalog.add_interactions([InteractionRecord(user_id="u1", item_id=i, timestamp=1) for i in ("a0", "a1")])
    manifest = tmp_path / "model" / "manifest.json"
    manifest.parent.mkdir()
    manifest.write_text("{}")
    rebuild_with(LoadedModel(model=model, files=(manifest,)), path, tmp_path / "snapshots")

    def start(**config: float) -> RecallSystem:
        settings = ServeConfig.model_validate(config)
        return RecallSystem.start(tmp_path / "snapshots", path, settings, load_model=lambda folder: model)

    return start


@pytest.fixture
def start_server() -> Iterator[Callable[..., RecallServer]]:
    """Starts servers without a system on free ports; stops them after the test."""
    from recall.serving.config import ServerConfig
    from recall.serving.server import RecallServer

    servers: list[RecallServer] = []

    def start(**settings: object) -> RecallServer:
        config = ServerConfig.model_validate({"port": 0, "grace_seconds": 5.0, "threads": 4, **settings})
        servers.append(RecallServer(config))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def system(open_system: Callable[[], RecallSystem]) -> Iterator[RecallSystem]:
    opened = open_system()
    yield opened
    opened.close()


@pytest.fixture
def server(system: RecallSystem, start_server: Callable[..., RecallServer]) -> RecallServer:
    started = start_server()
    started.attach(system)
    return started


@pytest.fixture
def stub(server: RecallServer) -> Iterator[recall_pb2_grpc.RecallServiceStub]:
    from recall.v1 import recall_pb2_grpc

    with grpc.insecure_channel(server.address) as channel:
        yield recall_pb2_grpc.RecallServiceStub(channel)


@pytest.fixture
def client(server: RecallServer) -> Iterator[RecallClient]:
    from recall.client import RecallClient

    with RecallClient(server.address) as connected:
        yield connected
