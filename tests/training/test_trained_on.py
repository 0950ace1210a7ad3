"""Models that may have seen what is asked of them: told by a digest of the train part, and refused."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recall.errors import DataError
from recall.live.load import load
from recall.live.rebuild import rebuild
from recall.model.artifact import read_manifest
from recall.tables import DataFolder
from training.config import TrainConfig
from training.evaluate import EvaluationRequest, evaluate
from training.train import RunOptions, train
from training.trained_on import EvaluatedPart, pairs_sha256, refuse_other_split

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "v1" / "model"


def _pairs(*rows: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema={"user_id": pl.String, "item_id": pl.String}, orient="row")


def _resplit(data: Path, out: Path) -> Path:
    """Copies a data folder; what was test is train, and some of what was train is test."""
    shutil.copytree(data, out)
    table = pl.read_parquet(out / "interactions.parquet")
    parts = {"test": "train", "train": "test", "validation": "validation"}
    table.with_columns(pl.col("split").replace(parts)).write_parquet(out / "interactions.parquet")
    return out


# The digest


def test_digest_does_not_depend_on_order_or_repetition() -> None:
    digest = pairs_sha256(_pairs(("u", "a"), ("v", "b"), ("ü", "c")))
    assert pairs_sha256(_pairs(("ü", "c"), ("v", "b"), ("u", "a"), ("v", "b"))) == digest


def test_digest_tells_where_an_id_ends() -> None:
    digests = {
        pairs_sha256(_pairs(*rows))
        for rows in (
            [("ab", "c")],
            [("a", "bc")],
            [("a", "b"), ("a", "c")],
            [("a", "b1:a1:c")],
            [("a", "b"), ("b", "c")],
            [("a", "c"), ("b", "b")],
            [],
        )
    }
    assert len(digests) == 7


def test_digest_is_that_of_the_written_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.trained_on._CHUNK", 3)
    rng = np.random.default_rng(0)
    ids = ["", "a", "aa", "b" * 12, "é", "1:a"]
    pairs = [(ids[user], ids[item]) for user, item in rng.integers(len(ids), size=(60, 2)).tolist()]
    written = sorted(b"".join(b"%d:%b" % (len(one.encode()), one.encode()) for one in pair) for pair in set(pairs))
    assert pairs_sha256(_pairs(*pairs)) == hashlib.sha256(b"".join(written)).hexdigest()


# Evaluation


@pytest.mark.slow
def test_artifact_names_its_train_part(trained: Any) -> None:
    table = DataFolder.open(trained.data).interactions()
    facts = read_manifest(trained.model).training
    assert facts["train_sha256"] == pairs_sha256(table.filter(pl.col("split") == "train"))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["model", "snapshot"])
@pytest.mark.parametrize("part", ["test", "validation"])
def test_model_of_another_split_of_the_same_data_is_refused(
    trained: Any, tmp_path: Path, source: str, part: str
) -> None:
    path = trained.model
    if source == "snapshot":
        load(DataFolder.open(trained.data), tmp_path / "catalog.sqlite")
        path = rebuild(trained.model, tmp_path / "catalog.sqlite", tmp_path / "snapshots")
    other = _resplit(trained.data, tmp_path / trained.data.name)
    request = EvaluationRequest(data=other, ks=(5,), split=part, channels=("served",), **{source: path})
    with pytest.raises(DataError, match=r"trained on another train part of 'checkerboard'.*; train on this folder, or"):
        evaluate(request)


@pytest.mark.slow
def test_data_of_another_name_and_baselines_beside_a_model_are_not_refused(
    trained: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = _resplit(trained.data, tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        assert evaluate(EvaluationRequest(data=other, ks=(5,), model=trained.model, channels=("exact",))).rows
    (record,) = caplog.records
    assert "was trained on the data 'checkerboard', not on 'elsewhere'; if these are the same" in record.message
    same_name = _resplit(trained.data, tmp_path / trained.data.name)
    assert evaluate(EvaluationRequest(data=same_name, ks=(5,), model=trained.model, channels=("content",))).rows


@pytest.mark.slow
@pytest.mark.parametrize("refit", [False, True])
def test_model_of_carved_train_is_evaluated_on_test(
    refit: bool, make_checkerboard: Callable[..., Path], make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    data = make_checkerboard(tmp_path / "data", parts={"train": 12, "test": 3}, cold=False)
    train(data, tmp_path / "model", make_config(epochs=1, refit=refit), options=RunOptions(seed=3, device="cpu"))
    requests = {
        part: EvaluationRequest(data=data, ks=(5,), model=tmp_path / "model", channels=("exact",), split=part)
        for part in ("test", "validation")
    }
    assert evaluate(requests["test"]).rows
    if refit:
        with pytest.raises(DataError, match=r"\(refit\), which holds the validation part .*; evaluate --split test"):
            evaluate(requests["validation"])
    else:
        assert evaluate(requests["validation"]).rows


def test_artifact_that_does_not_say_is_let_pass_with_a_notice(caplog: pytest.LogCaptureFixture) -> None:
    manifest = read_manifest(SAMPLE)
    assert "train_sha256" not in manifest.training
    split = _pairs(("u", "a"), ("u", "b")).with_columns(split=pl.Series(["train", "test"]))
    part = EvaluatedPart(data=manifest.schema_.name, path=SAMPLE.parent, split=split, part="test")
    with caplog.at_level(logging.WARNING):
        refuse_other_split(SAMPLE, part)
    (record,) = caplog.records
    assert "does not say which interactions it was trained on" in record.message
