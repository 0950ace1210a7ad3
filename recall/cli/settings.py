"""Configuration of a command: file < environment < flag, read strictly.

A file is TOML with the names of the configuration class; tables are nested classes. The environment variable of key `a`
of the command `serve` is `RECALL_SERVE_A`, that of key `b` of table `t` is `RECALL_SERVE_T__B`; a list or table is
written as in TOML. An unknown key is an error wherever it comes from.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from recall.errors import ConfigError

_ConfigT = TypeVar("_ConfigT", bound=BaseModel)
_Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Settings:
    """Values by path, and where each came from, in words."""

    values: dict[_Path, object] = field(default_factory=dict)
    origins: dict[_Path, str] = field(default_factory=dict)

    def put(self, path: _Path, value: object, origin: str) -> None:
        self.values[path] = value
        self.origins[path] = origin

    def tree(self) -> dict[str, object]:
        root: dict[str, object] = {}
        for path, value in self.values.items():
            node = root
            for name in path[:-1]:
                child = node.setdefault(name, {})
                if not isinstance(child, dict):
                    raise ConfigError(f"{self.origins[path]}: {name!r} is set as a value elsewhere; set one of them")
                node = child
            node[path[-1]] = value
        return root

    def origin(self, path: _Path) -> str:
        for known, origin in self.origins.items():
            length = min(len(known), len(path))
            if known[:length] == path[:length]:
                return origin
        return "default"

    def key(self, path: _Path) -> _Path:
        """Returns the path as its author wrote it: below a single value pydantic names the alternatives of its type."""
        for length in range(len(path)):
            if not isinstance(self.values.get(path[:length], {}), dict | list):
                return path[:length]
        return path


def resolve(
    kind: type[_ConfigT],
    command: str,
    *,
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
) -> _ConfigT:
    """Returns the configuration of one command.

    Args:
        kind: Configuration class; refuses unknown keys itself.
        command: Name of the command, which stands in the environment variables.
        file: TOML file, or None.
        flags: Values by key; None means that the flag was not given.
        environ: Environment; None means that of the process.

    Raises:
        ConfigError: The file cannot be read, a key is unknown, or a value does not fit.
    """
    settings = _Settings()
    if file is not None:
        for path, value in _leaves(_toml(file)):
            settings.put(path, value, str(file))
    prefix = f"RECALL_{command.upper()}_"
    for name, text in sorted((os.environ if environ is None else environ).items()):
        if name.startswith(prefix):
            path = tuple(name.removeprefix(prefix).lower().split("__"))
            settings.put(path, _parsed(text, name), f"environment variable {name}")
    for key, value in (flags or {}).items():
        if value is not None:
            settings.put((key,), value, f"--{key.replace('_', '-')}")
    try:
        return kind.model_validate(_in_place(settings.tree(), _defaults(kind)))
    except ValidationError as error:
        raise ConfigError("; ".join(_problems(error.errors(), kind, settings))) from error


def _in_place(tree: dict[str, object], defaults: Mapping[str, object]) -> dict[str, object]:
    """Returns the tree with its tables completed by what stands in their place, which may differ from their class."""
    completed = dict(tree)
    for key, value in tree.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, BaseModel):
            completed[key] = default.model_dump() | _in_place(value, dict(default))
    return completed


def _defaults(kind: type[BaseModel]) -> dict[str, object]:
    return {name: field.default for name, field in kind.model_fields.items()}


def _toml(file: Path) -> dict[str, object]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}; name a TOML file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is no valid TOML: {error}") from error


def _leaves(tree: Mapping[str, object], above: _Path = ()) -> Iterable[tuple[_Path, object]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _parsed(text: str, name: str) -> object:
    if not text.lstrip().startswith(("[", "{")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"environment variable {name}: {text!r} is no valid TOML value: {error}") from error


def _problems(errors: list[ErrorDetails], kind: type[BaseModel], settings: _Settings) -> list[str]:
    """Returns one line a wrong key or value; what a value might have been instead stands in its line."""
    wanted: dict[str, list[str]] = {}
    for error in errors:
        path = settings.key(tuple(str(part) for part in error["loc"]))
        key = ".".join(path)
        what = f"{settings.origin(path)}: {key} = {error['input']!r}"
        if error["type"] == "extra_forbidden":
            what = f"{settings.origin(path)}: {key} is no known key"
        elif not path:  # of several keys, which the message names
            what = " and ".join(dict.fromkeys(settings.origins.values()))
        wanted.setdefault(" ".join(what.split()), []).append(_wanted(error, kind, path))
    return [_joined(what, alternatives) for what, alternatives in wanted.items()]


def _wanted(error: ErrorDetails, kind: type[BaseModel], path: _Path) -> str:
    if error["type"] == "extra_forbidden":
        return f"; known keys are {', '.join(_known_keys(kind, path[:-1]))}"
    return ": " + " ".join(error["msg"].removeprefix("Value error, ").split())


def _joined(what: str, alternatives: list[str]) -> str:
    first, *others = dict.fromkeys(alternatives)
    return what + first + "".join(f", or {text.removeprefix(': ').removeprefix('Input should be ')}" for text in others)


def _known_keys(kind: type[BaseModel], path: _Path) -> list[str]:
    for name in path:
        nested = kind.model_fields[name].annotation if name in kind.model_fields else None
        if not (isinstance(nested, type) and issubclass(nested, BaseModel)):
            break
        kind = nested
    return sorted(kind.model_fields)
