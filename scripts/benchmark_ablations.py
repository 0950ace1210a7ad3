"""What each choice of the default recipe is worth on the validation part; the figures of docs/ablations.md.

    python scripts/benchmark_ablations.py --page docs/ablations.md
    python scripts/benchmark_ablations.py --only ml-1m-cold --variants id-table,no-gate

A variant is the default recipe with one setting changed (`ablations.VARIANTS`); the default is always measured before
them, and without --only both sets of `ablations.SETS` are. Each takes a training of its own: what is finished is kept,
and the same command goes on where it was stopped. A model counts for one configuration, seed and commit of the code.
A variant that changes nothing in a data set is passed over.
"""

from __future__ import annotations

from typing import Annotated

import typer

from ablations import DEFAULT, SERVED, SETS, VARIANTS, changes_nothing, chosen_variants, measure_variant, variant_run
from ablations_page import HEADER, page, table_rows
from benchmark_options import BENCHMARKS, QUICK_CONFIG, DataRoot, Only, Page, Quick, Seed, Work
from job import run
from kept import Json as Parsed
from provenance import code_commit, machine
from quality_data import DATA_ROOT, data_folders, quick_data
from quality_run import Run
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines

_QUICK_VARIANTS = ("id-only-table",)


def main(
    only: Only = None,
    variants: Annotated[
        str | None, typer.Option("--variants", help=f"Some of {','.join(VARIANTS)}; by default all.")
    ] = None,
    seed: Seed = 0,
    data_root: DataRoot = DATA_ROOT,
    work: Work = BENCHMARKS / "ablations",
    page_file: Page = None,
    quick: Quick = False,
    json: Json = None,
) -> None:
    """Train the default recipe with one setting changed at a time, rank the validation part, keep every step."""
    named = None if variants is None else [name for name in variants.split(",") if name]
    names = chosen_variants(_QUICK_VARIANTS if quick and named is None else named)
    commit = code_commit()
    if quick:
        work = work / "quick"
        folders = [quick_data(work)]
    else:
        folders = data_folders(data_root, SETS if only is None else [only])
    results = []
    for folder in folders:
        shared = Run(data=folder, work=work, seed=seed, commit=commit)
        default = variant_run(shared, DEFAULT, base=QUICK_CONFIG if quick else "")
        command = (
            f"python scripts/benchmark_ablations.py {'--quick' if quick else f'--only {folder.name}'} --seed {seed}"
        )
        for place, name in enumerate(names, start=1):
            if changes_nothing(name, folder):
                say(f"{folder.name}: variant {name} changes nothing here: no set is that wide; it is passed over")
                continue
            say(f"{folder.name}: variant {name}, {place} of {len(names)}")
            one = variant_run(shared, name, base=QUICK_CONFIG if quick else "")
            results.append(measure_variant(default, one, name=name, command=command))
            if page_file is not None:
                page_file.write_text(page(work), encoding="utf-8")
    report(_lines(results), _value(results, commit), json)


def _lines(results: list[Parsed]) -> list[str]:
    sets = dict.fromkeys(result["set"] for result in results)
    rows = [(name, *cells) for name in sets for cells in table_rows([r for r in results if r["set"] == name])]
    return table_lines(("set", *HEADER), rows)


def _value(results: list[Parsed], commit: str) -> dict[str, object]:
    origin = ("set", "seed", "variant", "command", "commit", "config_digest", "date", "size_bytes")
    rows = [
        {**{name: result[name] for name in origin}, "training_seconds": result["training"]["seconds"], **figure}
        for result in results
        for figure in result["figures"]
    ]
    return {"machine": machine(), "commit": commit, "rows": rows, "ratios": _ratios(rows)}


def _ratios(rows: list[Parsed]) -> dict[str, float]:
    """Returns each variant's figures over those of the default."""
    served = {(row["set"], row["figure"], row["variant"]): row["value"] for row in rows if row["channel"] == SERVED}
    return {
        f"{data}_{variant}_over_{DEFAULT}_{figure.replace(' ', '_')}": value / served[data, figure, DEFAULT]
        for (data, figure, variant), value in served.items()
        if variant != DEFAULT and served[data, figure, DEFAULT]
    }


if __name__ == "__main__":
    run(main)
