"""What the cap on a profile's tokens costs in recall and saves in time; the figures of docs/benchmarks/profiles.md.

    python scripts/benchmark_profiles.py --data DIR --model MODEL --page docs/benchmarks/profiles.md

MODEL is an artifact of `recall train --data DIR`. The validation part is ranked, as for whatever else chooses settings;
recall is kept by model and commit of the code, and times are taken anew by each run. Set OMP_NUM_THREADS=1 where other
work runs beside it.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmark_options import BENCHMARKS, QUICK_CONFIG, Page, Quick, Work
from job import run
from kept import Json as Parsed
from kept import keep, kept
from profile_caps import Served, recall_rows, sparse_times
from profiles_page import RECALL_HEADER, TIMES_HEADER, page, time_rows
from profiles_page import recall_rows as recall_cells
from provenance import code_commit, machine, short
from quality_data import quick_data
from quality_run import Run, candidate_names, trained
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from recall.live.profiles import PROFILE_TOKENS
from recall.tables import VALIDATION

_NUM_USERS = 300
_QUICK_USERS = 30
_QUICK_FUSION = "fusion.seen = 1.0\nfusion.unseen = 1.0\n"  # of a fit to so little data 0 may come


def main(
    data: Annotated[Path | None, typer.Option("--data", help="Data folder that the model was trained on.")] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Artifact folder.")] = None,
    work: Work = BENCHMARKS / "profiles",
    page_file: Page = None,
    quick: Quick = False,
    json: Json = None,
) -> None:
    """Rank the validation part and time the sparse part of queries, with one cap on profiles after the other."""
    commit = code_commit()
    if quick:
        work = work / "quick"
        data, model = _quick_model(work, commit)
    if data is None or model is None:
        raise typer.BadParameter("give --data and --model, or --quick alone")
    say(f"{data.name}: embedding and indexing its items")
    served = Served.of(data, model)
    say(f"{served.name}: timing the sparse part of queries")
    times = sparse_times(served, num_users=_QUICK_USERS if quick else _NUM_USERS)
    name = f"{served.name}-{served.generation.model.model_id[:12]}"
    (work / "recall").mkdir(parents=True, exist_ok=True)
    recalls = kept(work / "recall" / f"{name}-{short(commit)}.json", partial(_recalls, served, data))
    result: Parsed = {
        "set": served.name,
        "model_id": served.generation.model.model_id,
        "seed": served.seed,
        "command": f"python scripts/benchmark_profiles.py {'--quick' if quick else '--data DIR --model MODEL'}",
        "commit": commit,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine(),
        "rows": recalls["rows"],
        "times": times,
    }
    keep(work / f"{name}.json", result)
    if page_file is not None:
        page_file.write_text(page(work), encoding="utf-8")
    lines = table_lines(RECALL_HEADER, list(recall_cells(result)))
    report([*lines, "", *table_lines(TIMES_HEADER, list(time_rows(result)))], _value(result), json)


def _recalls(served: Served, data: Path) -> Parsed:
    say(f"{served.name}: ranking the validation part")
    return {"rows": list(recall_rows(served, candidate_names(data, part=VALIDATION, seed=served.seed)))}


def _quick_model(work: Path, commit: str) -> tuple[Path, Path]:
    data, config = quick_data(work), work / "quick.toml"
    config.write_text(QUICK_CONFIG + _QUICK_FUSION, encoding="utf-8")
    one = Run(data=data, work=work, seed=0, commit=commit, config=config)
    trained(one)
    return data, one.folder / "model"


def _value(result: Parsed) -> dict[str, object]:
    origin = {name: result[name] for name in ("set", "model_id", "seed", "command", "date")}
    by_cap = {row["tokens"]: row for row in result["times"]}
    name = f"{result['set']}_cap_{PROFILE_TOKENS}_over_no_cap"
    all_users = [by_cap[cap]["profile_us"] + by_cap[cap]["scoring_us"] for cap in (None, PROFILE_TOKENS)]
    heaviest = [by_cap[cap]["heaviest_us"] for cap in (None, PROFILE_TOKENS)]
    return {
        "machine": result["machine"],
        "commit": result["commit"],
        "rows": [{**origin, **row} for row in (*result["rows"], *result["times"])],
        "ratios": {name: all_users[0] / all_users[1], f"{name}_heaviest_tenth": heaviest[0] / heaviest[1]},
    }


if __name__ == "__main__":
    run(main)
