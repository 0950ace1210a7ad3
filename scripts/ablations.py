"""What each choice of the default recipe is worth: models that differ from it in one setting, side by side.

Every variant is ranked on the validation part, like whatever else chooses settings; its models and figures are kept as
`quality_run` keeps them. Its result is `SET-seedN~VARIANT.json` in the working folder: {"set", "seed", "variant",
"command", "commit", "config_digest", "date", "machine", "training", "size_bytes", "figures"}, with a figure for each of
`FIGURES` that the validation part has: {"figure", "channel", "value", "low", "high", "users", "difference",
"difference_low", "difference_high"}. A difference is that to the default, paired by user, with its 95% interval; only
the default's result has figures of another channel than `served`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kept import Json, keep
from quality_run import Run, candidate_names, evaluated, trained
from recall.errors import ConfigError
from recall.model.features import bag_tokens
from recall.tables import VALIDATION, DataFolder
from training.compare import Difference, compare_files

SETS = ("citeulike-a-dropoutnet", "ml-1m-cold")
DEFAULT = "default"
SERVED, RANDOM = "served", "random"
METRIC, K = "recall", 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Whose Recall@20 is shown.

    Attributes:
        name: In words.
        candidates: What is ranked.
        slice: What of it counts.
    """

    name: str
    candidates: str
    slice: str = "all"


FIGURES = (
    Figure(name="cold", candidates="cold-split"),
    Figure(name="warm", candidates="warm"),
    Figure(name="all", candidates="all"),
    Figure(name="cold among all", candidates="all", slice="cold_items"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The default recipe with one setting changed.

    Attributes:
        title: In words.
        config: Lines of TOML for `recall train --config`, dotted keys only.
        with_features: Whether the model sees features.
        wider_than: It changes only sets of more values than this; 0 for anything else.
    """

    title: str
    config: str = ""
    with_features: bool = True
    wider_than: int = 0

    def config_file(self, file: Path, *, base: str) -> Path:
        """Writes the configuration, below the lines of `base`."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(base + self.config + "\n", encoding="utf-8")
        return file


VARIANTS = {
    DEFAULT: Variant(title="the default recipe"),
    "no-id": Variant(title="no id part", config='towers.id_encoder = "none"'),
    "no-gate": Variant(title="no gate: every id in full, also an unseen one", config="towers.gate = false"),
    "no-token-dropout": Variant(title="no dropout of words and tags", config="token_dropout = 0.0"),
    "no-id-dropout": Variant(title="no dropout of item ids", config="item_id_dropout = 0.0"),
    "id-k-256": Variant(title="id codes of 256", config="towers.id_code = {k = 256}"),
    "id-k-4096": Variant(title="id codes of 4096", config="towers.id_code = {k = 4096}"),
    "id-table": Variant(title="a table of ids instead of DHE", config='towers.id_encoder = "table"'),
    "content-codes": Variant(
        title="pooled token codes instead of the fitted projection", config='towers.content = "codes"'
    ),
    "content-rank-128": Variant(title="projection of rank 128", config="towers.content_projection = {rank = 128}"),
    "content-rank-256": Variant(title="projection of rank 256", config="towers.content_projection = {rank = 256}"),
    "idf-power-1": Variant(title="IDF to the power 1.0", config="towers.idf_power = 1.0"),
    "idf-power-2": Variant(title="IDF to the power 2.0", config="towers.idf_power = 2.0"),
    "minhash-16": Variant(
        title="sets of more than 16 values as 16 MinHash tokens", config="towers.minhash = 16", wider_than=16
    ),
    "minhash-64": Variant(
        title="sets of more than 64 values as 64 MinHash tokens", config="towers.minhash = 64", wider_than=64
    ),
    "depth-0": Variant(
        title="features through a linear map", config="towers.feature_decoder = {width = 512, depth = 0}"
    ),
    "depth-2": Variant(title="two hidden layers", config="towers.feature_decoder = {width = 512, depth = 2}"),
    "width-256": Variant(title="hidden layer of 256", config="towers.feature_decoder = {width = 256, depth = 1}"),
    "width-1024": Variant(title="hidden layer of 1024", config="towers.feature_decoder = {width = 1024, depth = 1}"),
    "dim-64": Variant(title="vectors of 64", config="towers.dim = 64"),
    "dim-256": Variant(title="vectors of 256", config="towers.dim = 256"),
    "fusion-none": Variant(title="learned score alone", config='fusion.content = "none"'),
    "fusion-sparse": Variant(title="exact content match added to the score", config='fusion.content = "sparse"'),
    "fusion-dense": Variant(title="projected content joined to the vectors", config='fusion.content = "dense"'),
    "no-offset": Variant(title="no offset on the scores of unseen items", config="fusion.unseen_offset = 0.0"),
    "id-only": Variant(title="ids alone, by DHE, no features", with_features=False),
    "id-only-table": Variant(
        title="ids alone, by a table, no features", config='towers.id_encoder = "table"', with_features=False
    ),
}


def chosen_variants(names: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the variants named, or all, with the default before them: it is what they are compared with.

    Raises:
        ConfigError: A name is of no variant.
    """
    for name in names or ():
        if name not in VARIANTS:
            raise ConfigError(f"variant {name!r} is unknown; choose from {', '.join(VARIANTS)}")
    return tuple(dict.fromkeys((DEFAULT, *(VARIANTS if names is None else names))))


def changes_nothing(name: str, data: Path) -> bool:
    """Returns whether a variant is the default in this data folder, for want of sets that are wide enough.

    Raises:
        DataError: The data folder cannot be read.
    """
    wider_than = VARIANTS[name].wider_than
    return bool(wider_than) and widest_set(DataFolder.open(data)) <= wider_than


def widest_set(folder: DataFolder) -> int:
    """Returns the most distinct values of any set feature of an item or user; 0 where there is none."""
    sides = ((folder.schema.item_features, folder.items()[1]), (folder.schema.user_features, folder.users()[1]))
    widths = (
        len(set(bag_tokens(spec, row[spec.name])))
        for specs, rows in sides
        for spec in specs
        if spec.kind == "set"
        for row in rows
        if spec.name in row
    )
    return max(widths, default=0)


def variant_run(run: Run, name: str, *, base: str = "") -> Run:
    """Returns what a variant changes in the run of a data set.

    Args:
        run: Data folder, working folder, seed and commit.
        name: The variant.
        base: Lines of TOML that all variants share.
    """
    variant = VARIANTS[name]
    config = variant.config_file(run.work / "configs" / f"{name}.toml", base=base)
    return replace(run, config=config, with_features=variant.with_features, part=VALIDATION)


def measure_variant(default: Run, run: Run, *, name: str, command: str) -> Json:
    """Does what is not done yet of a variant, and keeps and returns its result.

    Args:
        default: The run of the default, measured already.
        run: That of the variant.
        name: The variant.
        command: What makes the result again.

    Raises:
        DataError: The data folder has no validation part and none can be carved out.
        ProcessError: Training or evaluation failed; `TrainingError` where it was interrupted.
    """
    training = trained(run)
    channels = (SERVED, RANDOM) if name == DEFAULT else (SERVED,)
    result: Json = {
        "set": run.data.name,
        "seed": run.seed,
        "variant": name,
        "command": command,
        "commit": run.commit,
        "config_digest": run.config_digest,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": training["machine"],
        "training": training,
        "size_bytes": sum(file.stat().st_size for file in (run.folder / "model").iterdir()),
        "figures": list(_figures(default, run, channels)),
    }
    keep(run.work / f"{run.data.name}-seed{run.seed}~{name}.json", result)
    return result


def _figures(default: Run, run: Run, channels: Sequence[str]) -> Iterator[Json]:
    names = candidate_names(run.data, part=run.part, seed=run.seed)
    for candidates in dict.fromkeys(figure.candidates for figure in FIGURES):
        if candidates not in names:
            continue
        rows = evaluated(run, candidates, channels)["rows"]
        files = (default.figures(candidates, ".parquet"), run.figures(candidates, ".parquet"))
        for channel in channels:
            differences = compare_files(*files, channels=(SERVED, channel)).rows
            for figure in FIGURES:
                if figure.candidates == candidates:
                    of_channel = [row for row in rows if row["channel"] == channel]
                    yield from _figure(figure, channel, rows=of_channel, differences=differences)


def _figure(figure: Figure, channel: str, *, rows: Sequence[Json], differences: Sequence[Difference]) -> Iterator[Json]:
    """Yields the figure; nothing where no user has an item in its slice."""
    wanted = (figure.slice, METRIC, K)
    found = [row for row in rows if (row["slice"], row["metric"], row["k"]) == wanted]
    compared = [row for row in differences if (row.slice, row.metric, row.k) == wanted]
    for row, difference in zip(found, compared, strict=True):
        yield {
            "figure": figure.name,
            "channel": channel,
            **{name: row[name] for name in ("value", "low", "high", "users")},
            "difference": difference.difference,
            "difference_low": difference.low,
            "difference_high": difference.high,
        }
