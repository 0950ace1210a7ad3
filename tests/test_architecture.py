"""Layers, third-party fences and sizes, read from the source of every module (imports for type checkers included)."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("index", "recall", "training", "scripts")
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
MAX_PARAMETERS = 5
VAGUE_NAMES = {"utils", "util", "common", "misc", "helpers", "helper"}
UNSAFE_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}


@dataclass(frozen=True)
class Part:
    """A part of the system: which other parts and which third-party packages its modules may import."""

    imports: frozenset[str]
    third_party: frozenset[str]


def _part(imports: str, third_party: str) -> Part:
    return Part(frozenset(imports.split()), frozenset(third_party.split()))


# `recall` stands for the files right below recall/: schema, values, tables, errors and the like. A nested part names
# its own folder or files; the longest name that fits a module wins.
GRPC = "grpc grpc_health grpc_reflection grpc_status google.protobuf google.rpc"
EVERY_PART = "index recall recall.model recall.v1 recall.live recall.client recall.serving recall.cli"
PARTS = {
    "index": _part("index", "numpy scipy faiss numba hnswlib usearch pymilvus"),
    "recall": _part("recall", "numpy polars pydantic pydantic_core xxhash"),
    "recall.model": _part(
        "recall recall.model", "numpy scipy numba polars torch xxhash safetensors datasketch pydantic"
    ),
    "recall.live": _part("index recall recall.model recall.v1 recall.live", "numpy polars pydantic google.protobuf"),
    "recall.client": _part("index recall recall.v1 recall.live recall.client", f"numpy {GRPC}"),
    "recall.serving": _part(
        "index recall recall.v1 recall.live recall.serving",
        f"numpy pydantic prometheus_client opentelemetry starlette uvicorn {GRPC}",
    ),
    "recall.cli": _part(f"{EVERY_PART} training", "typer rich pydantic pydantic_core numpy polars"),
    "training": _part(
        "index recall recall.model recall.live recall.client training",
        "torch polars numpy scipy implicit threadpoolctl pydantic safetensors",
    ),
}
# Scripts import anything; nobody imports them or the tests.
UNFENCED = ("scripts", "tests")
# What the command line imports before it knows the command: itself and the errors it turns into exit codes.
CLI_AT_START = ("recall.cli", "recall.errors", "index.errors")


@dataclass(frozen=True)
class Module:
    """One parsed source file."""

    name: str
    path: Path
    tree: ast.Module
    num_lines: int

    @property
    def place(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def _modules() -> tuple[Module, ...]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if path.parts[-2] == "v1":
                continue  # generated
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found.append(Module(name, path, ast.parse(text, str(path)), len(text.splitlines())))
    return tuple(found)


def _imports(nodes: Iterator[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yields line and full name of everything imported; `from a import b` gives `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = "." * node.level + (node.module or "")
            yield from ((node.lineno, f"{prefix}.{alias.name}") for alias in node.names)


def _part_of(name: str) -> str | None:
    """Returns the part that a module or a name in it belongs to, None for third parties and the standard library."""
    names = [*PARTS, *UNFENCED, "recall.v1"]
    fitting = [part for part in names if name == part or name.startswith(part + ".")]
    return max(fitting, key=len, default=None)


def _is_within(name: str, prefixes: frozenset[str] | tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def _at_module_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Yields the statements that run on import: not those in functions or under `if TYPE_CHECKING`."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for_checkers = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if not (is_function or for_checkers):
            waiting.extend(ast.iter_child_nodes(node))


def _violations(module: Module) -> Iterator[str]:
    part_name = _part_of(module.name)
    assert part_name is not None
    part = PARTS[part_name]
    for line, name in _imports(ast.walk(module.tree)):
        target = _part_of(name)
        place = f"{module.place}:{line} imports {name}"
        if name.startswith("."):
            yield f"{place}: write the full name"
        elif target is not None and target not in part.imports:
            yield f"{place}: {part_name} may import {sorted(part.imports)}"
        elif target is None and not _is_standard(name) and not _is_within(name, part.third_party):
            yield f"{place}: {part_name} may use {sorted(part.third_party)}"


def _is_standard(name: str) -> bool:
    return name.split(".")[0] in sys.stdlib_module_names


def test_every_package_is_looked_at() -> None:
    names = {module.name for module in _modules()}
    assert {"index.protocols", "recall.schema", "recall.tables", "training.metrics", "scripts.generate_proto"} <= names


def test_imports_keep_to_layers_and_fences() -> None:
    fenced = [module for module in _modules() if not _is_within(module.name, UNFENCED)]
    assert [line for module in fenced for line in _violations(module)] == []


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("index.flat", "import recall.schema"),
        ("index.flat", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from recall import schema"),
        ("index.flat", "def f():\n    import torch"),
        ("recall.tables", "from index import topk"),
        ("recall.schema", "import torch"),
        ("recall.model.towers", "import index"),
        ("recall.live.retriever", "import training"),
        ("recall.live.retriever", "import torch"),
        ("recall.serving.server", "from training.metrics import recall_at_k"),
        ("recall.client", "from recall.model import embedding"),
        ("training.train", "from recall.serving import server"),
        ("training.train", "from recall import cli"),
        ("training.train", "from . import metrics"),
        ("training.train", "import pandas"),
        ("training.train", "import tests.conftest"),
        ("training.train", "from scripts import generate_proto"),
        ("recall.live.convert", "from google.rpc import status_pb2"),
    ],
)
def test_a_forbidden_import_is_seen(name: str, source: str) -> None:
    path = ROOT / f"{name.replace('.', '/')}.py"
    assert len(list(_violations(Module(name, path, ast.parse(source), 1)))) == 1


def test_command_line_imports_the_system_inside_functions_only() -> None:
    early = [
        f"{module.place}:{line} imports {name} at its top; import it in the function that needs it"
        for module in _modules()
        if _is_within(module.name, ("recall.cli",))
        for line, name in _imports(_at_module_level(module.tree))
        if _part_of(name) is not None and not _is_within(name, CLI_AT_START)
    ]
    assert early == []


def test_extras_of_the_server_are_imported_where_they_are_asked_for() -> None:
    early = [
        f"{module.place}:{line} imports {name} at its top; import it in the function that needs it"
        for module in _modules()
        if _is_within(module.name, ("recall",)) and not _is_within(module.name, ("recall.serving.console",))
        for line, name in _imports(_at_module_level(module.tree))
        if _is_within(name, ("opentelemetry", "starlette", "uvicorn", "recall.serving.console"))
    ]
    assert early == []


def test_modules_begin_with_a_docstring() -> None:
    without = [module.place for module in _modules() if not ast.get_docstring(module.tree)]
    assert without == []


def test_files_and_functions_keep_to_their_size() -> None:
    tests = [path for path in (ROOT / "tests").rglob("*.py") if len(path.read_text().splitlines()) > MAX_FILE_LINES]
    long_files = [module.place for module in _modules() if module.num_lines > MAX_FILE_LINES]
    long_functions = [
        f"{module.place}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for module in _modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    assert (tests, long_files, long_functions) == ([], [], [])


def _num_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Counts parameters without `self` and `cls`; 0 for a command, whose flags they are, and for a kernel."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    is_command = any(a.annotation is not None and "typer." in ast.unparse(a.annotation) for a in named)
    is_kernel = any(ast.unparse(decorator).startswith("njit") for decorator in function.decorator_list)
    is_bound = bool(named) and named[0].arg in ("self", "cls")
    return 0 if is_command or is_kernel else len(named) - is_bound


def test_functions_keep_to_their_number_of_parameters() -> None:
    wide = [
        f"{module.place}:{node.lineno} {node.name} has {_num_parameters(node)} parameters; make them a dataclass"
        for module in _modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _num_parameters(node) > MAX_PARAMETERS
    ]
    assert wide == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f(a, b, *, c, d, e, f): ...", 6),
        ("def f(self, a, /, b, *rest, c, d, e, **more): ...", 5),
        ("def f(a: Annotated[int, typer.Option()], b, c, d, e, f): ...", 0),
        ("@njit(cache=True)\ndef f(a, b, c, d, e, f): ...", 0),
    ],
)
def test_parameters_are_counted_as_the_style_means_it(source: str, expected: int) -> None:
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    assert _num_parameters(function) == expected


def test_no_module_has_a_vague_name() -> None:
    vague = [module.place for module in _modules() if VAGUE_NAMES & set(module.name.split("."))]
    assert vague == []


def test_nothing_is_pickled_or_imported_by_string() -> None:
    found = [
        f"{module.place}:{line} imports {name}"
        for module in _modules()
        for line, name in _imports(ast.walk(module.tree))
        if name.split(".")[0] in UNSAFE_MODULES
        or (name == "importlib.import_module" and module.path.name != "__init__.py")
    ]
    assert found == []


def _loaded_after(source: str) -> set[str]:
    """Returns the top-level packages that a fresh interpreter has loaded after running `source`."""
    code = f"{source}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.slow
def test_index_needs_neither_torch_nor_grpc() -> None:
    names = [module.name for module in _modules() if module.name.split(".")[0] == "index"]
    assert not {"torch", "grpc", "polars", "pydantic", "recall"} & _loaded_after(f"import {', '.join(names)}")


@pytest.mark.slow
def test_recall_alone_loads_nothing_heavy() -> None:
    assert not {"torch", "grpc", "polars", "numpy", "faiss", "numba"} & _loaded_after("import recall, index, training")


@pytest.mark.slow
def test_client_never_loads_torch_nor_the_index() -> None:
    assert not {"torch", "faiss", "numba", "polars"} & _loaded_after("import recall.client")


@pytest.mark.slow
def test_command_line_starts_without_anything_heavy() -> None:
    assert not {"torch", "grpc", "polars", "faiss", "numba"} & _loaded_after("import recall.cli.main")
