"""Whether a served deployment is what a dictionary would be, step by step and under many readers and writers.

First a state machine (scripts/service_machine.py) upserts, updates, deletes and records, recalls with filters and
without, merges, switches between models, rebuilds, restarts and kills; after every step the answers of the server
process must be those of plain Python. Then readers compare what it returns with what it has acknowledged, while
writers upsert, replace and delete without a pause. Exit 1 on any difference.

    python scripts/check_service.py --steps 5000 --seconds 60
"""

from __future__ import annotations

import math
import shutil
import tempfile
import time
import traceback
from pathlib import Path
from typing import Annotated

import polars as pl
import typer
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from deployment import Data, Deployment, Model, Seed, deployed, train
from job import fail_on, run
from recall.cli.arguments import Json
from recall.cli.output import pair_lines, report, say
from recall.errors import RecallError
from recall.tables import CONFIG_FILE, ITEMS_FILE
from service import Service
from service_machine import ServiceMachine
from traffic import Findings, compare, traffic
from training.synthetic import write_synthetic
from workload import workload

_STEPS_A_RUN = 50
_NUM_USERS = 400
_NUM_READERS, _NUM_WRITERS = 8, 2


def main(
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the state machine, about.")] = 5_000,
    seconds: Annotated[float, typer.Option("--seconds", min=0.0, help="How long readers and writers go on.")] = 60.0,
    data: Data = None,
    model: Model = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check that a service agrees with a dictionary, and stays right under readers and writers."""
    with tempfile.TemporaryDirectory(prefix="recall-check-") as name:
        folder = _with_stock(data, Path(name) / "data")
        with deployed(folder, model) as deployment:
            other = train(deployment.data, deployment.folder / "other-model", seed=1)
            findings = Findings()
            with Service(deployment, [deployment.model, other]) as service:
                findings.differences += _differences(service, steps=steps, seed=seed)
                num_writes = _under_traffic(service, deployment, findings, seconds=seconds)
    counts = {"steps": service.num_steps, "acknowledged_writes": num_writes, "item_checks": findings.item_checks}
    lines = pair_lines(counts | {"differences": len(findings.differences)})
    report(lines, counts | {"differences": findings.differences}, json)
    fail_on(findings.differences)


def _with_stock(source: Path | None, out: Path) -> Path:
    """Makes a data folder with the attributes that random filters are about: a shop, and how much it has of an item."""
    if source is None:
        write_synthetic(out, seed=0, num_users=_NUM_USERS)
    else:
        shutil.copytree(source, out)
    items = pl.read_parquet(out / ITEMS_FILE).with_columns(stock=pl.int_range(pl.len()) % 4)
    items.write_parquet(out / ITEMS_FILE)
    config = (out / CONFIG_FILE).read_text()
    (out / CONFIG_FILE).write_text(config.replace("[item_attributes]", '[item_attributes]\nstock = "number"'))
    return out


def _differences(service: Service, *, steps: int, seed: int) -> list[str]:
    """Runs the state machine until it has taken so many steps, or found a difference."""
    ServiceMachine.service = service
    while service.num_steps < steps:
        seed += 1
        try:
            run_state_machine_as_test(
                seeded(seed)(ServiceMachine),
                settings=settings(
                    max_examples=math.ceil((steps - service.num_steps) / _STEPS_A_RUN),
                    stateful_step_count=min(steps, _STEPS_A_RUN),
                    phases=[Phase.generate],  # a smaller example would take hundreds of runs
                    database=None,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        except (AssertionError, RecallError, Flaky) as error:
            return ["".join(traceback.format_exception(error))]
        say(f"{service.num_steps:,} of {steps:,} steps")
    return []


def _under_traffic(service: Service, deployment: Deployment, findings: Findings, *, seconds: float) -> int:
    """Has readers and writers go on for so long; returns how many writes were acknowledged."""
    load = workload(deployment, num_writers=_NUM_WRITERS, seed=0)
    with traffic(service.client, load, findings, num_readers=_NUM_READERS):
        time.sleep(seconds)
    compare(service.client, load, findings)
    return sum(writer.num_acknowledged for writer in load.writers)


if __name__ == "__main__":
    run(main)
