"""A deployment in a temporary folder, for checks that write to it: data, model, catalogue and snapshots.

What is not given is made: synthetic data, and a model of one epoch, since no check depends on its quality.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from recall.cli.output import say
from recall.live.records import ItemRecord
from recall.schema import FeatureSpec
from recall.tables import DataFolder
from server_process import ServerProcess, kill_recall, run_recall
from training.synthetic import write_synthetic

Data: TypeAlias = Annotated[Path | None, typer.Option("--data", help="Data folder; by default a synthetic one.")]
Model: TypeAlias = Annotated[Path | None, typer.Option("--model", help="Model; by default one epoch is trained.")]
Seed: TypeAlias = Annotated[int, typer.Option("--seed", help="Seed of everything that is drawn.")]

_NUM_USERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where everything lies.

    Attributes:
        folder: Holds catalogue, snapshots and logs, and goes away at the end.
        data: Data folder.
        model: Model of the first snapshot.
    """

    folder: Path
    data: Path
    model: Path

    @property
    def catalog(self) -> Path:
        """The catalogue file."""
        return self.folder / "catalog.sqlite"

    @property
    def snapshots(self) -> Path:
        """The folder of snapshots."""
        return self.folder / "snapshots"

    def items(self) -> tuple[list[ItemRecord], tuple[FeatureSpec, ...]]:
        """Returns the items of the data folder and their feature columns."""
        opened = DataFolder.open(self.data)
        records = [ItemRecord(item_id=i, features=f, attributes=a) for i, f, a in zip(*opened.items(), strict=True)]
        return records, opened.schema.item_features

    def rebuild(self, model: Path, *, kind: str = "auto", parameters: str = "") -> str:
        """Builds a snapshot with the `recall` command and returns its name.

        Args:
            model: Embeds the items.
            kind: Kind of the base index.
            parameters: Lines of TOML, those of the kind that are not to be the default.
        """
        arguments = self._rebuild_arguments(model, kind, parameters)
        return Path(run_recall(arguments, log=self.folder / "rebuild.log").strip()).name

    def kill_rebuild(self, model: Path, *, after_seconds: float) -> bool:
        """Does what `rebuild` does, and ends it with SIGKILL; returns whether it was under way then."""
        arguments = self._rebuild_arguments(model, "auto")
        return kill_recall(arguments, after_seconds=after_seconds, log=self.folder / "rebuild.log")

    def _rebuild_arguments(self, model: Path, kind: str, parameters: str = "") -> tuple[object, ...]:
        config = self.folder / "rebuild.toml"
        config.write_text(f'[index]\nkind = "{kind}"\n[index.parameters]\n{parameters}')
        paths = ("--model", model, "--catalog", self.catalog, "--out", self.snapshots)
        return ("rebuild", *paths, "--config", config)

    def log(self, name: str = "serve") -> str:
        """Returns what the last server of a name has written to its log."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def serve(self, *, name: str = "serve", config: str = "") -> ServerProcess:
        """Starts a server.

        Args:
            name: Of its configuration and its log.
            config: Lines of `serve.toml`.
        """
        file = self.folder / f"{name}.toml"
        file.write_text(config)
        return ServerProcess(self.snapshots, self.catalog, log=file.with_suffix(".log"), config=file)


@contextmanager
def deployed(data: Path | None, model: Path | None) -> Iterator[Deployment]:
    """Does what `loaded` does, and builds the first snapshot."""
    with loaded(data, model) as made:
        say("building a snapshot")
        made.rebuild(made.model)
        yield made


@contextmanager
def loaded(data: Path | None, model: Path | None) -> Iterator[Deployment]:
    """Yields a deployment of its own with a catalogue and no snapshot yet; the folders given are only read.

    Args:
        data: Data folder; None makes one.
        model: Model artifact; None trains one on the data.

    Raises:
        ProcessError: A step failed.
    """
    with tempfile.TemporaryDirectory(prefix="recall-check-") as name:
        folder = Path(name)
        if data is None:
            data = folder / "data"
            say("making synthetic data")
            write_synthetic(data, seed=0, num_users=_NUM_USERS)
        made = Deployment(folder=folder, data=data, model=model or train(data, folder / "model", seed=0))
        say("loading the catalogue")
        run_recall(("load", "--data", data, "--catalog", made.catalog), log=folder / "load.log")
        yield made


def train(data: Path, out: Path, *, seed: int = 0, config: str = "epochs = 1\n") -> Path:
    """Trains a model and returns its folder.

    Args:
        data: Data folder.
        out: The folder; configuration and log lie beside it.
        seed: Seed of the training.
        config: Lines of TOML.
    """
    say(f"training a model on {data.name} with seed {seed} and {', '.join(config.splitlines())}")
    file = out.with_suffix(".toml")
    file.write_text(config)
    run_recall(("train", "--data", data, "--out", out, "--config", file, "--seed", seed), log=out.with_suffix(".log"))
    return out
