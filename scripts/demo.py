"""The whole system on a synthetic shop, from training to a clean stop, in a few minutes on two cores: `make demo`.

Every step is a real one: the `recall` command trains, loads, rebuilds and evaluates, a `recall serve` process answers
over gRPC. Progress goes to stderr; the page at the end goes to stdout. Everything lies in one folder, which each run
makes anew; a folder that the demo did not make is left alone.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from demo_page import Facts, page
from demo_story import Shop, Story, measure, tell
from job import run
from latency import Latencies
from recall.cli.output import print_lines, say
from recall.client import RecallClient, StatusReply
from recall.errors import RecallError
from recall.tables import DataFolder
from server_process import ServerProcess, run_recall
from training.synthetic import write_synthetic

_DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / ".demo"
_MARKER = "made-by-the-demo"
_DATA_SEED = 7
_TIMEOUT_SECONDS = 30.0
_CANDIDATES = ("all", "cold-split")
_CHANNELS = "served,content,popularity,random"


@dataclass(frozen=True, slots=True)
class _Demo:
    """Where everything lies, and how long each step took."""

    folder: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def at(self, name: str) -> Path:
        return self.folder / name

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        say(f"[{len(self.seconds) + 1}] {name}")
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def recall(self, *arguments: object) -> str:
        return run_recall(arguments, log=self.at(f"{arguments[0]}.log"))

    def evaluate(self, *arguments: object) -> list[dict[str, object]]:
        """Runs `recall evaluate` and returns the rows of its report."""
        file = self.at("evaluation.json")
        self.recall("evaluate", "--data", self.at("data"), "--k", 20, "--json", file, *arguments)
        rows: list[dict[str, object]] = json.loads(file.read_text(encoding="utf-8"))["rows"]
        return rows


def main(
    folder: Annotated[Path, typer.Option("--folder", help="Folder to make; an earlier demo there goes.")] = (
        _DEFAULT_FOLDER
    ),
    items: Annotated[int, typer.Option("--items", min=300, help="Items of the shop.")] = 3000,
    users: Annotated[int, typer.Option("--users", min=100, help="Users of the shop.")] = 2500,
    epochs: Annotated[int | None, typer.Option("--epochs", min=1, help="Most epochs of training.")] = None,
) -> None:
    """Show the whole path: data, training, catalogue, snapshot, server, a cold item, evaluation."""
    demo = _Demo(folder)
    make_folder(folder)
    with demo.step("making a synthetic shop"):
        write_synthetic(demo.at("data"), seed=_DATA_SEED, num_items=items, num_users=users)
    _build(demo, epochs)
    shop = Shop.open(DataFolder.open(demo.at("data")))
    with demo.step("starting a server"):
        server = ServerProcess(demo.at("snapshots"), demo.at("catalog.sqlite"), log=demo.at("serve.log"))
    with server:
        status, story, latencies = _ask(demo, server, shop)
        rows, remote = _evaluate(demo, server)
        with demo.step("stopping the server"):
            server.stop()
    facts = Facts(
        folder=folder,
        seconds=demo.seconds,
        training=json.loads(demo.at("training.json").read_text(encoding="utf-8")),
        status=status,
        evaluation=rows,
        remote=remote,
        latencies=latencies,
    )
    print_lines(page(facts, shop, story))


def make_folder(folder: Path) -> None:
    """Makes an empty folder for a run; one of an earlier run goes.

    Raises:
        RecallError: The folder is there and not from a demo.
    """
    if folder.exists() and not (folder / _MARKER).is_file():
        raise RecallError(f"{folder} is there already and was not made by the demo; move it, or name another --folder")
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARKER).touch()


def _build(demo: _Demo, epochs: int | None) -> None:
    model, catalog, snapshots = demo.at("model"), demo.at("catalog.sqlite"), demo.at("snapshots")
    with demo.step("training the two towers"):
        arguments: list[object] = ["train", "--data", demo.at("data"), "--out", model]
        arguments += ["--json", demo.at("training.json")]
        if epochs is not None:
            config = demo.at("train.toml")
            config.write_text(f"epochs = {epochs}\n", encoding="utf-8")
            arguments += ["--config", config]
        run_recall(arguments)
    with demo.step("loading the catalogue"):
        demo.recall("load", "--data", demo.at("data"), "--catalog", catalog)
    with demo.step("embedding and indexing every item into a snapshot"):
        demo.recall("rebuild", "--model", model, "--catalog", catalog, "--out", snapshots)


def _ask(demo: _Demo, server: ServerProcess, shop: Shop) -> tuple[StatusReply, Story, dict[str, Latencies]]:
    with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
        status = client.status()
        with demo.step("upserting an item never seen, recalling it, deleting it"):
            story = tell(client, shop)
        with demo.step("measuring single calls"):
            latencies = measure(client, shop)
    return status, story, latencies


def _evaluate(demo: _Demo, server: ServerProcess) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    snapshots, rows = demo.at("snapshots"), list[dict[str, object]]()
    for candidates in _CANDIDATES:
        with demo.step(f"evaluating, candidates {candidates}"):
            rows += demo.evaluate("--snapshot", snapshots, "--candidates", candidates, "--channels", _CHANNELS)
    with demo.step("evaluating the server over gRPC, candidates cold-split"):
        remote = demo.evaluate("--target", server.address, "--candidates", "cold-split", "--channels", "served")
    return rows, remote


if __name__ == "__main__":
    run(main)
