"""Who takes part in the index benchmark, and what was built for each, kept below the folder of a set.

One folder a contender, `built/<name>/`: what it saved, and `built.json` with the version that built it, the seconds it
took, how many cores it kept busy, and its parameters. A contender of another version is built anew.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path

from index.factory import IndexConfig, build_index
from index.kinds import KINDS, BaseIndex, load_kind
from index.protocols import FloatArray, Parameters
from index_data import K, VectorSet
from index_faiss import FaissFlat, FaissHnsw, FaissHnswSq, FaissIvf, FaissLsh
from index_rivals import (
    EF_CONSTRUCTION,
    LINKS,
    Built,
    DatasketchHnsw,
    Hnswlib,
    Search,
    Setting,
    Usearch,
    ladder,
)
from kept import Json, keep
from provenance import code_commit
from recall.errors import DataError

OURS, THEIRS = "ours", "theirs"
SUBSET_ROWS = 20_000
"""Most rows of a contender that is written in Python."""
EXACT, GRAPH, INVERTED, HASHED, QUANTISED = "exact", "graph", "inverted lists", "hashed", "quantised"
_FAMILIES = {
    "flat": EXACT,
    "hnsw": GRAPH,
    "ivf_flat": INVERTED,
    "ivf_pq": QUANTISED,
    "scalar": QUANTISED,
    "lsh": HASHED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to search vectors.

    Attributes:
        name: As it stands in tables; also names its folder.
        side: `ours` or `theirs`.
        family: What it is compared with.
        version: Of the code that builds it.
        build: From vectors, [n, dim] float32.
        load: From a folder and the vectors.
        most_rows: More are not put in.
    """

    name: str
    side: str
    family: str
    version: str
    build: Callable[[FloatArray], Built]
    load: Callable[[Path, FloatArray], Built]
    most_rows: int = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A contender with its structure over one set.

    Attributes:
        contender: Who it is.
        built: Its structure.
        facts: Seconds of the build, cores it kept busy, parameters, bytes of its files.
    """

    contender: Contender
    built: Built = field(repr=False)
    facts: Json


class OwnKind:
    """A kind of this repository, searched through its interface."""

    def __init__(self, index: BaseIndex) -> None:
        """Takes a built index."""
        self.index = index

    @classmethod
    def build(cls, vectors: FloatArray, *, kind: str) -> OwnKind:
        """Builds with the default parameters."""
        return cls(build_index(vectors, IndexConfig(kind=kind)))

    @classmethod
    def load(cls, folder: Path, vectors: FloatArray, *, kind: str) -> OwnKind:
        """Reads what `save` wrote, with the vectors mapped as in a snapshot."""
        parameters: Parameters = json.loads((folder / "parameters.json").read_text(encoding="ascii"))
        return cls(load_kind(kind, folder, vectors, parameters))

    def axes(self) -> Mapping[str, Sequence[int]]:
        """Returns those of the kind."""
        return _axes(self.index.kind, self.index.parameters())

    def at(self, setting: Setting, *, threads: int) -> Search:
        """Returns the search with other parameters."""
        index = self.index.retuned(**setting) if setting else self.index
        return lambda queries, k: index.search(queries, k).rows

    def save(self, folder: Path) -> None:
        """Writes the index without its vectors, as a snapshot does."""
        self.index.save(folder)
        keep(folder / "parameters.json", dict(self.index.parameters()))


def contenders(*, without: Sequence[str] = ()) -> tuple[list[Contender], list[str]]:
    """Returns those that can take part here, and a line for each that is left out.

    Args:
        without: Names of contenders that need not take part.

    Raises:
        DataError: There is no contender of such a name.
    """
    found, notes = _installed()
    unknown = sorted(set(without) - {one.name for one in found})
    if unknown:
        raise DataError(f"contender is {unknown[0]!r}; want one of {', '.join(one.name for one in found)}")
    notes += [f"{name} is left out as asked" for name in without]
    return [one for one in found if one.name not in without], notes


def _installed() -> tuple[list[Contender], list[str]]:
    found, notes = list(_ours()), []
    distributions = packages_distributions()
    for library, made in _rivals().items():
        if library not in distributions:
            notes.append(f"{library} is not installed and left out; pip install 'dhe-recall[benchmark]'")
            continue
        number = f"{distributions[library][0]} {version(distributions[library][0])}"
        found += [_rival(number, *parts) for parts in made]
    return found, notes


def opened(data: VectorSet, contender: Contender) -> Opened:
    """Returns a contender over a set, built once."""
    folder = built_folder(data, contender)
    record = folder / "built.json"
    facts: Json = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    if facts.get("version") == contender.version:
        return Opened(contender=contender, built=contender.load(folder, data.vectors), facts=facts)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    wall, cpu = time.perf_counter(), time.process_time()
    built = contender.build(data.vectors)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    built.save(folder)
    facts = {
        "version": contender.version,
        "build_seconds": wall,
        "build_cores": cpu / wall,
        "file_bytes": sum(file.stat().st_size for file in folder.iterdir()),
        "parameters": dict(built.index.parameters()) if isinstance(built, OwnKind) else {},
    }
    keep(record, facts)
    return Opened(contender=contender, built=built, facts=facts)


def built_folder(data: VectorSet, contender: Contender) -> Path:
    """Returns where a contender's structure over a set is kept."""
    return data.folder / "built" / contender.name.replace(" ", "-")


def _axes(kind: str, chosen: Parameters) -> dict[str, Sequence[int]]:
    """Returns what a search of a kind may vary, from coarse to fine, around what the build chose."""
    match kind:
        case "hnsw":
            return {"ef_search": ladder(40, 2_000)}
        case "ivf_flat":
            return {"nprobe": ladder(1, int(chosen["lists"]))}
        case "ivf_pq":
            return {"rerank": (2, 3, 4, 6, 8, 12), "nprobe": ladder(1, int(chosen["lists"]))}
        case "scalar":
            return {"rerank": (1, 2), "nprobe": ladder(1, int(chosen["lists"]))}
        case "lsh":
            rerank, tables = int(chosen["rerank"]), int(chosen["tables"])
            return {
                "min_hits": (1, 2, 3),
                "rerank": (max(int(0.8 * rerank), K), rerank, int(1.3 * rerank), int(1.7 * rerank)),
                "probes": ladder(tables, 64 * tables),
            }
        case _:
            return {}


def _ours() -> Iterator[Contender]:
    commit = code_commit("index")
    for kind, family in _FAMILIES.items():
        if kind in KINDS:
            yield Contender(
                name=f"index {kind}",
                side=OURS,
                family=family,
                version=commit,
                build=partial(OwnKind.build, kind=kind),
                load=partial(OwnKind.load, kind=kind),
            )


_Parts = tuple[str, str, Callable[[FloatArray], Built], Callable[[Path, FloatArray], Built]]


def _rivals() -> dict[str, tuple[_Parts, ...]]:
    lsh = tuple(
        (f"faiss IndexLSH {bits}x", HASHED, partial(FaissLsh.build, bits_per_dim=bits), FaissLsh.load)
        for bits in (2, 4, 8)
    )
    return {
        "faiss": (
            ("faiss IndexFlat", EXACT, FaissFlat.build, FaissFlat.load),
            ("faiss HNSW", GRAPH, FaissHnsw.build, FaissHnsw.load),
            ("faiss HNSW SQ8 re-ranked", GRAPH, FaissHnswSq.build, FaissHnswSq.load),
            ("faiss IVF", INVERTED, FaissIvf.build, FaissIvf.load),
            *lsh,
        ),
        "hnswlib": (("hnswlib", GRAPH, Hnswlib.build, Hnswlib.load),),
        "usearch": tuple(
            (f"usearch {dtype}", GRAPH, partial(Usearch.build, dtype=dtype), Usearch.load) for dtype in ("f32", "bf16")
        ),
        "datasketch": (("datasketch HNSW", GRAPH, DatasketchHnsw.build, DatasketchHnsw.load),),
    }


def _rival(library: str, name: str, family: str, *made: Callable[..., Built]) -> Contender:
    build, load = made
    return Contender(
        name=name,
        side=THEIRS,
        family=family,
        version=f"{library}, {LINKS} links, {EF_CONSTRUCTION} candidates",
        build=build,
        load=load,
        most_rows=SUBSET_ROWS if build == DatasketchHnsw.build else 1 << 62,
    )
