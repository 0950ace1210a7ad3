"""The model artifact: a folder that holds a trained model, checked when it is loaded.

Format version 1:

    manifest.json         format_version, schema, config, seed, metric, dim, num_documents of items and users, sketch
                          seeds, fusion (all 0 where it is absent), content_part (none where it is null or absent),
                          training (free facts), files: name -> {sha256, size_bytes}, manifest_sha256: digest of the
                          manifest with this value empty. Keys sorted, no clock time.
    weights.safetensors   `towers.*` network weights, `item.*` and `user.*` fitted arrays (token and id counts, moments,
                          projections of content and of audiences; hashes of the ids of a table)
    golden.json           inputs with their expected hashes and vectors, see golden.py

The id of a model is the SHA-256 of manifest.json; as the manifest holds the digests of the other files, it names
every byte. No clock time and no path is in it, so equal training gives an equal id.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors.numpy import load, save

from recall.column_names import ITEM_ID, USER_ID
from recall.durable import sync
from recall.errors import ArtifactError
from recall.model.audience import AudienceEncoder
from recall.model.config import TowerConfig
from recall.model.content_part import ContentPart
from recall.model.embedding import EmbeddingModel
from recall.model.features import FeatureEncoder
from recall.model.fusion import FusionWeights
from recall.model.golden import Golden, check_golden, make_golden
from recall.model.id_table import IdTable
from recall.model.inputs import SideEncoder, hash_family
from recall.model.minhash import SetLimit
from recall.model.projection import ContentProjection
from recall.model.sketch import CountSketch
from recall.schema import DataSchema
from recall.validation import one_line

FORMAT_VERSION = 1
MANIFEST, WEIGHTS, GOLDEN = "manifest.json", "weights.safetensors", "golden.json"

Arrays: TypeAlias = dict[str, NDArray[Any]]


class FileEntry(BaseModel):
    """Digest and size of one file of the artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str
    size_bytes: int


class ArtifactManifest(BaseModel):
    """What `manifest.json` holds; see the module's description."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int
    schema_: DataSchema
    config: TowerConfig
    seed: int
    metric: str
    dim: int
    num_item_documents: int
    num_user_documents: int
    fusion: FusionWeights = FusionWeights()
    content_part: ContentPart | None = None
    training: dict[str, str | int | float | bool]
    files: dict[str, FileEntry]
    manifest_sha256: str = ""

    def sealed(self) -> bytes:
        """Returns the bytes of `manifest.json`, its own digest filled in."""
        return _sealed(self.model_dump(mode="json"))


def _sealed(body: Mapping[str, object]) -> bytes:
    digest = hashlib.sha256(_rendered({**body, "manifest_sha256": ""})).hexdigest()
    return _rendered({**body, "manifest_sha256": digest})


def _rendered(body: Mapping[str, object]) -> bytes:
    return json.dumps(body, indent=1, sort_keys=True).encode()


def save_artifact(
    model: EmbeddingModel, out: Path, golden: Golden, *, training: Mapping[str, str | int | float | bool]
) -> str:
    """Writes `model` to the new folder `out`, whole or not at all, and returns its id.

    Args:
        model: A trained model; its `model_id` is set.
        out: A folder that does not exist yet.
        golden: Raw inputs whose vectors every later load must reproduce.
        training: Facts about the training run; part of the identity, so no clock times.

    Raises:
        ArtifactError: `out` exists.
    """
    if out.exists():
        raise ArtifactError(f"{out} exists; choose another folder or remove it")
    files = {WEIGHTS: save(_arrays(model)), GOLDEN: make_golden(model, golden)}
    manifest = ArtifactManifest(
        format_version=FORMAT_VERSION,
        schema_=model.schema,
        config=model.config,
        seed=model.seed,
        metric="cosine",
        dim=model.dim,
        num_item_documents=model.items.features.num_documents,
        num_user_documents=model.users.features.num_documents,
        fusion=model.fusion,
        content_part=model.content_part,
        training=dict(training),
        files={name: _entry(data) for name, data in files.items()},
    )
    data = manifest.sealed()
    _write_folder(out, {**files, MANIFEST: data})
    model.model_id = hashlib.sha256(data).hexdigest()
    return model.model_id


def load_artifact(folder: Path, *, device: str = "cpu") -> EmbeddingModel:
    """Loads a model, checks every file's digest and re-encodes the golden inputs.

    Raises:
        ArtifactError: A file is missing, damaged or of another format, or the golden vectors differ; names the file.
    """
    data = _read(folder / MANIFEST)
    manifest = _parsed(data, folder / MANIFEST)
    files = {name: _checked(folder / name, entry) for name, entry in manifest.files.items()}
    arrays = load(files[WEIGHTS])
    model = EmbeddingModel(
        manifest.schema_,
        manifest.config,
        items=_side(arrays, "item", manifest, manifest.num_item_documents),
        users=_side(arrays, "user", manifest, manifest.num_user_documents),
    )
    weights = {name.removeprefix("towers."): array for name, array in arrays.items() if name.startswith("towers.")}
    model.towers.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    model.model_id = hashlib.sha256(data).hexdigest()
    model.fusion, model.content_part = manifest.fusion, manifest.content_part
    model.to(torch.device(device))
    check_golden(model, files[GOLDEN], folder / GOLDEN)
    return model


def artifact_files(folder: Path) -> tuple[Path, ...]:
    """Returns the files that make up an artifact; whatever else lies in its folder is not part of it.

    Raises:
        ArtifactError: The manifest is missing or damaged.
    """
    manifest = _parsed(_read(folder / MANIFEST), folder / MANIFEST)
    return (folder / MANIFEST, *(folder / name for name in sorted(manifest.files)))


def read_manifest(folder: Path) -> ArtifactManifest:
    """Returns what an artifact says of itself, without loading its weights.

    Raises:
        ArtifactError: The manifest is missing or damaged.
    """
    return _parsed(_read(folder / MANIFEST), folder / MANIFEST)


def training_seed(folder: Path) -> int:
    """Returns the seed that a model was trained with; it chose the carved validation part, where there was none.

    Raises:
        ArtifactError: The manifest is missing or damaged.
    """
    return read_manifest(folder).seed


def _arrays(model: EmbeddingModel) -> Arrays:
    weights = {f"towers.{name}": tensor.cpu().numpy() for name, tensor in model.towers.state_dict().items()}
    return {**weights, **_side_arrays("item", model.items), **_side_arrays("user", model.users)}


def _side_arrays(prefix: str, side: SideEncoder) -> Arrays:
    projection = side.features.projection
    projected = {} if projection is None else {f"{prefix}.{name}": a for name, a in projection.stored().items()}
    audience = side.audience
    heard = {} if audience is None else {f"{prefix}.audience_{n}": a for n, a in audience.projection.stored().items()}
    table = side.id_table
    known = {} if table is None else {f"{prefix}.id_table": table.hashes}
    return {
        **projected,
        **heard,
        **known,
        f"{prefix}.token_counts": side.features.document_counts.levels,
        f"{prefix}.id_counts": side.id_counts.levels,
        f"{prefix}.means": side.features.means,
        f"{prefix}.deviations": side.features.deviations,
    }


def _side(arrays: Arrays, prefix: str, manifest: ArtifactManifest, num_documents: int) -> SideEncoder:
    schema, config, seed = manifest.schema_, manifest.config, manifest.seed
    features = FeatureEncoder(
        specs=schema.item_features if prefix == "item" else schema.user_features,
        family=hash_family(config.content_code, seed),
        set_limit=SetLimit(num_permutations=config.minhash, seed=seed),
        idf_power=config.idf_power,
        projection=_projection(arrays, f"{prefix}.", seed),
        document_counts=CountSketch(levels=arrays[f"{prefix}.token_counts"], seed=seed),
        num_documents=num_documents,
        means=arrays[f"{prefix}.means"],
        deviations=arrays[f"{prefix}.deviations"],
    )
    known = arrays.get(f"{prefix}.id_table")
    return SideEncoder(
        id_domain=ITEM_ID if prefix == "item" else USER_ID,
        features=features,
        id_counts=CountSketch(levels=arrays[f"{prefix}.id_counts"], seed=seed),
        id_table=None if known is None else IdTable(hashes=known),
        audience=_audience(arrays, manifest) if prefix == "item" else None,
        config=config,
        seed=seed,
    )


def _audience(arrays: Arrays, manifest: ArtifactManifest) -> AudienceEncoder | None:
    projection = _projection(arrays, "item.audience_", manifest.seed)
    if projection is None:
        return None
    return AudienceEncoder(
        projection=projection,
        user_counts=CountSketch(levels=arrays["user.id_counts"], seed=manifest.seed),
        max_users=manifest.config.max_audience,
    )


def _projection(arrays: Arrays, prefix: str, seed: int) -> ContentProjection | None:
    return ContentProjection.restored({name.removeprefix(prefix): array for name, array in arrays.items()}, seed=seed)


def _entry(data: bytes) -> FileEntry:
    return FileEntry(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: {error.strerror}; name the folder of a trained model") from error


def _parsed(data: bytes, file: Path) -> ArtifactManifest:
    try:
        raw = json.loads(data)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{file} is damaged: {error}; copy the artifact again or train anew") from error
    version = raw.get("format_version") if isinstance(raw, dict) else None
    if version != FORMAT_VERSION:
        raise ArtifactError(f"{file} has format version {version}, this release reads {FORMAT_VERSION}; train anew")
    # The seal is of what stands there: a setting that this release has besides must not make it look damaged.
    if _sealed(raw) != data:
        raise ArtifactError(f"{file} is damaged: its own checksum does not fit; copy the artifact again or train anew")
    if isinstance(raw.get("config"), dict):
        for name, before in (("audience", False), ("pooling", "mean")):  # of releases that had nothing else
            raw["config"].setdefault(name, before)
    try:
        manifest = ArtifactManifest.model_validate(raw)
    except ValidationError as error:
        raise ArtifactError(
            f"{file} is of another release: {one_line(error)}; use that release, or train anew"
        ) from error
    if set(manifest.files) != {WEIGHTS, GOLDEN}:
        raise ArtifactError(f"{file} names the files {sorted(manifest.files)}, not {WEIGHTS} and {GOLDEN}; train anew")
    return manifest


def _checked(file: Path, entry: FileEntry) -> bytes:
    data = _read(file)
    if _entry(data) != entry:
        raise ArtifactError(
            f"{file} is damaged: {len(data)} bytes with another checksum, wanted {entry.size_bytes} bytes with SHA-256"
            f" {entry.sha256[:16]}...; copy the artifact again or train anew"
        )
    return data


def _write_folder(out: Path, files: Mapping[str, bytes]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.tmp-{os.getpid()}")
    temporary.mkdir()
    try:
        for name, data in files.items():
            (temporary / name).write_bytes(data)
            sync(temporary / name)
        sync(temporary)
        temporary.rename(out)
        sync(out.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
