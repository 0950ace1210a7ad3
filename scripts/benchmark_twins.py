"""What twins cost: signing and tables at a rebuild, bytes an item, time of a search, and which share of them is found.

    OMP_NUM_THREADS=1 python scripts/benchmark_twins.py --json twins.json

Items are sets of words drawn with the frequencies of Zipf's law; half of the items are copies of others in which a part
of the words is drawn anew. Times are those of the processor in one thread, medians of searches that take turns.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import numpy as np
import typer
from datasketch import MinHash
from numpy.typing import NDArray

from job import run
from provenance import code_commit, machine
from recall.cli.arguments import Json
from recall.cli.output import report, say, table_lines
from recall.live.twin_tables import BANDING, TwinTables
from recall.live.twins import LiveTwins
from recall.model.codes import mixed
from recall.model.signatures import signatures
from recall.model.token_sets import TokenSets

NUM_ITEMS, QUICK_ITEMS = 100_000, 3_000
WORDS_PER_ITEM, NUM_WORDS = 25, 50_000
_LEAST_KEPT = 0.3
_NUM_QUERIES, _NUM_SIGNED, _ROUNDS, _K = 300, 1_000, 5, 100
_FRESH_PERCENT = (1, 10)

Row = dict[str, object]
_Made = TypeVar("_Made")


def main(
    quick: Annotated[bool, typer.Option("--quick", help=f"{QUICK_ITEMS:,} items instead of {NUM_ITEMS:,}.")] = False,
    json: Json = None,
) -> None:
    """Make items, sign and store them, and search for the twins of some."""
    rows, ratios = measured(QUICK_ITEMS if quick else NUM_ITEMS)
    value = {"machine": machine(), "commit": code_commit(), "rows": rows, "ratios": ratios}
    lines = table_lines(("what", "value"), [(row["what"], row["value"]) for row in rows])
    report([*lines, "", *table_lines(("ratio", "value"), list(ratios.items()))], value, json)


def measured(num_items: int, seed: int = 0) -> tuple[list[Row], dict[str, float]]:
    """Returns what was measured on so many items, and ratios of speeds, ours over the other."""
    say(f"making {num_items:,} items")
    sets = item_sets(num_items, seed)
    found: Row = {"items": num_items, "words_per_item": len(sets.tokens) / num_items}
    sign_us, sign_datasketch_us = _signing(sets)
    say("building tables")
    build_seconds, tables = _timed(lambda: TwinTables.build((), sets))
    found |= {
        "sign_items_per_second": 1e6 / sign_us,
        "datasketch_items_per_second": 1e6 / sign_datasketch_us,
        "build_items_per_second": num_items / build_seconds,
    }
    with tempfile.TemporaryDirectory() as name:
        tables.save(Path(name))
        found["bytes_per_item"] = sum(file.stat().st_size for file in Path(name).iterdir()) / num_items
        searches = _searches(TwinTables.load(Path(name), num_rows=num_items), seed)
    found |= searches
    ratios = {
        "signing_over_datasketch": sign_datasketch_us / sign_us,
        "tables_over_exact": _number(searches["exact_us"]) / _number(searches["tables_us"]),
    }
    return [{"what": name, "value": value} for name, value in found.items()], ratios


def item_sets(num_items: int, seed: int) -> TokenSets:
    """Returns the items: the second half copies of the first, in which at most `1 - _LEAST_KEPT` is drawn anew."""
    rng = np.random.default_rng(seed)
    chances = 1.0 / np.arange(1, NUM_WORDS + 1)
    words = mixed(np.arange(1, NUM_WORDS + 1, dtype=np.uint64))
    drawn = rng.choice(NUM_WORDS, size=(num_items, WORDS_PER_ITEM), p=chances / chances.sum())
    half = num_items // 2
    kept = rng.random((half, WORDS_PER_ITEM)) < rng.uniform(_LEAST_KEPT, 1, size=(half, 1))
    drawn[-half:][kept] = drawn[:half][kept]
    return TokenSets.of(list(words[drawn]))


def _signing(sets: TokenSets) -> tuple[float, float]:
    """Returns microseconds an item: ours, and by datasketch with an object for each set."""
    some = sets.take(np.arange(min(_NUM_SIGNED, len(sets))))
    lists = [(some.row(row) & np.uint64(0xFFFFFFFF)).tolist() for row in range(len(some))]
    permutations = BANDING.permutations()
    settings = {"num_perm": BANDING.num_permutations, "seed": BANDING.seed, "scheme": "affine32", "hashfunc": int}

    def ours() -> NDArray[np.uint32]:
        return signatures(some, permutations)

    def theirs() -> NDArray[np.uint32]:
        return np.array([sketch.hashvalues for sketch in MinHash.generator(lists, **settings)])

    assert np.array_equal(ours(), theirs())
    times = [(_timed(ours)[0], _timed(theirs)[0]) for _ in range(_ROUNDS)]
    medians = np.median(times, axis=0) * 1e6 / len(some)
    return float(medians[0]), float(medians[1])


def _searches(tables: TwinTables, seed: int) -> Row:
    """Returns times of searches in microseconds, without and with fresh rows, and the share of twins that is found."""
    say("searching")
    item_ids = [f"i{row:09}" for row in range(tables.num_rows)]
    live = LiveTwins(item_ids, tables)
    asked = np.random.default_rng(seed).choice(tables.num_rows, min(_NUM_QUERIES, tables.num_rows), replace=False)

    pairs = [(_search(live, row, exact=False), _search(live, row, exact=True)) for row in asked]
    twins = sum(len(exact) for _, (_, exact) in pairs)
    found = sum(len(some & exact) for (_, some), (_, exact) in pairs)
    times = {
        "tables_us": _median_us([seconds for (seconds, _), _ in pairs]),
        "exact_us": _median_us([seconds for _, (seconds, _) in pairs]),
    }
    for percent in _FRESH_PERCENT:
        live, num_fresh = LiveTwins(item_ids, tables), tables.num_rows * percent // 100
        live.apply([f"f{row:09}" for row in range(num_fresh)], item_sets(num_fresh, seed + 1))
        seconds = [_search(live, row, exact=False)[0] for row in asked]
        times[f"tables_and_{percent}_percent_fresh_us"] = _median_us(seconds)
    return {**times, "twins": twins, "share_of_twins_found": found / max(twins, 1)}


def _search(live: LiveTwins, row: int, *, exact: bool) -> tuple[float, set[str]]:
    """Returns the seconds of a search for the twins of a row of the snapshot, and these."""
    view = live.view()
    tokens, itself = view.tables.sets.row(row), view.item_ids[row]
    seconds, hits = _timed(lambda: view.search(tokens, _K, exclude=[itself], exact=exact))
    return seconds, set(hits.item_ids)


def _timed(work: Callable[[], _Made]) -> tuple[float, _Made]:
    start = time.thread_time()
    done = work()
    return time.thread_time() - start, done


def _median_us(seconds: Sequence[float]) -> float:
    return float(np.median(seconds)) * 1e6


def _number(value: object) -> float:
    assert isinstance(value, float)
    return value


if __name__ == "__main__":
    run(main)
