"""Whether anything acknowledged is missing while a server moves to another snapshot, or to another model.

Writers upsert, replace and delete items without a pause, and readers compare what the server returns with what it
acknowledged, while `recall rebuild` makes one snapshot after another from two models in turn and the server switches.
Then the server is stopped and started again, and everything is compared once more. Exit 1 on any difference.

    python scripts/check_switch.py --switches 6
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from deployment import Data, Deployment, Model, Seed, deployed, train
from job import fail_on, run
from latency import Latencies
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.client import RecallClient
from server_process import wait_for_snapshot
from traffic import Findings, compare, traffic
from workload import workload

_NUM_WRITERS = 2
_SETTLE_SECONDS = 0.5
_SWITCH_SECONDS = 120.0
_TIMEOUT_SECONDS = 60.0


def main(
    switches: Annotated[int, typer.Option("--switches", min=1, help="How many snapshots to build.")] = 6,
    data: Data = None,
    model: Model = None,
    other_model: Annotated[
        Path | None, typer.Option("--other-model", help="Second model; by default one epoch is trained.")
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that nothing acknowledged is missing before, during and after a switch."""
    findings, moves = Findings(), Latencies()
    with deployed(data, model) as deployment:
        models = [other_model or train(deployment.data, deployment.folder / "other-model", seed=1), deployment.model]
        load = workload(deployment, num_writers=_NUM_WRITERS, seed=seed)
        with deployment.serve() as server:
            with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
                with traffic(client, load, findings):
                    for number in range(switches):
                        _switch(client, deployment, models[number % 2], moves)
                        say(f"switch {number + 1} of {switches}")
                compare(client, load, findings)
            server.stop()
        with deployment.serve() as server:
            with RecallClient(server.address, timeout_seconds=_TIMEOUT_SECONDS) as client:
                compare(client, load, findings)
            server.stop()
    counts = {
        "switches": switches,
        "acknowledged_writes": sum(writer.num_acknowledged for writer in load.writers),
        "item_checks": findings.item_checks,
    }
    lines = pair_lines(counts | {"differences": len(findings.differences), "rebuild and switch": moves.line()})
    report(lines, counts | {"differences": findings.differences, "rebuild_and_switch": moves.summary()}, json)
    fail_on(findings.differences)


def _switch(client: RecallClient, deployment: Deployment, model: Path, moves: Latencies) -> None:
    with moves.measured():
        wait_for_snapshot(client, deployment.rebuild(model), timeout_seconds=_SWITCH_SECONDS)
    time.sleep(_SETTLE_SECONDS)


if __name__ == "__main__":
    run(main)
