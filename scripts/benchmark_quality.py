"""How good the default recipe is beside the baselines, on public data; the figures of docs/quality.md.

    python scripts/benchmark_quality.py --only ml-1m-cold
    python scripts/benchmark_quality.py --only ml-1m-cold --seed 1 --page docs/quality.md
    python scripts/benchmark_quality.py --only citeulike-a-cold --features items.title,items.citations

Hours of work may be in it: what is finished is kept, and the same command goes on where it was stopped. A model counts
for one configuration, seed and commit of the code. Settings are chosen with `recall evaluate --split validation`, not
here: this ranks the test part.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark_options import BENCHMARKS, QUICK_CONFIG, DataRoot, Only, Page, Quick, Seed, Work
from job import run
from kept import Json as Parsed
from provenance import code_commit, machine
from quality_data import DATA_ROOT, data_folders, narrowed, quick_data
from quality_page import HEADER, page, table_rows
from quality_run import Run, measure
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from training.baselines.linear import require_implicit


def main(
    only: Only = None,
    features: Annotated[
        str | None,
        typer.Option("--features", help="items.title,users.age,..., or none, for model and baselines; by default all."),
    ] = None,
    seed: Seed = 0,
    data_root: DataRoot = DATA_ROOT,
    work: Work = BENCHMARKS / "quality",
    page_file: Page = None,
    quick: Quick = False,
    json: Json = None,
) -> None:
    """Train with the default recipe, rank the test part beside the baselines, keep every finished step."""
    require_implicit()
    commit = code_commit()
    if quick:
        runs = [_quick_run(work / "quick", seed, commit)]
    else:
        folders = data_folders(data_root, None if only is None else [only])
        if features is not None:
            named = [] if features == "none" else features.split(",")
            folders = [narrowed(folder, named, root=work / "data") for folder in folders]
        runs = [Run(data=folder, work=work, seed=seed, commit=commit) for folder in folders]
    results = []
    for one in runs:
        results.append(measure(one, command=_command(one, quick=quick, features=features)))
        if page_file is not None:
            page_file.write_text(page(one.work), encoding="utf-8")
            say(f"{page_file} is written anew")
    report(_lines(results), _value(results, commit), json)


def _quick_run(work: Path, seed: int, commit: str) -> Run:
    data, config = quick_data(work), work / "quick.toml"
    config.write_text(QUICK_CONFIG, encoding="utf-8")
    return Run(data=data, work=work, seed=seed, commit=commit, config=config)


def _command(one: Run, *, quick: bool, features: str | None) -> str:
    chosen = "--quick" if quick else f"--only {one.data.name.partition('~')[0]}"
    narrowed_to = f" --features {features}" if features else ""
    return f"python scripts/benchmark_quality.py {chosen}{narrowed_to} --seed {one.seed}"


def _lines(results: list[Parsed]) -> list[str]:
    rows = [(str(result["set"]), *cells) for result in results for cells in table_rows([result])]
    return table_lines(("set", *HEADER), rows)


def _value(results: list[Parsed], commit: str) -> dict[str, object]:
    return {
        "machine": machine(),
        "commit": commit,
        "rows": [row for result in results for row in result["rows"]],
        "ratios": {f"{r['set']}_{name}": ratio for r in results for name, ratio in r["ratios"].items()},
    }


if __name__ == "__main__":
    run(main)
