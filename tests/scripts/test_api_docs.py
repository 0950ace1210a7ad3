"""The page of the API is up to date, and what it shows runs: each example, in its order, against a server."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import runpy
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recall.cli.main import main
from recall.client import RecallClient
from recall.serving.server import RecallServer

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
ADDRESS = "localhost:50051"


def test_page_is_what_the_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    script = runpy.run_path(str(ROOT / "scripts" / "generate_api_docs.py"))
    assert script["page"](script["compiled"]()) == PAGE, "run scripts/generate_api_docs.py and commit docs/api.md"


def test_every_link_within_the_page_has_its_heading() -> None:
    headings = {line.lstrip("# ").lower() for line in PAGE.splitlines() if line.startswith("#")}
    links = set(re.findall(r"\]\(#([^)]+)\)", PAGE))
    assert {"filter", "channel", "featurevalue"} <= links
    assert links <= headings


@pytest.fixture
def address(tmp_path: Path, start_server: Callable[..., RecallServer]) -> Iterator[str]:
    """A server of the samples' model and catalogue, rebuilt so that the snapshot has all that one can have."""
    from recall.live.rebuild import rebuild
    from recall.live.service import RecallSystem

    shutil.copytree(ROOT / "tests" / "samples" / "v1-fused", tmp_path, dirs_exist_ok=True)
    rebuild(tmp_path / "model", tmp_path / "catalog.sqlite", tmp_path / "new")
    system = RecallSystem.start(tmp_path / "new", tmp_path / "catalog.sqlite")
    server = start_server()
    server.attach(system)
    yield server.address
    system.close()


@pytest.mark.slow
def test_examples_run_in_the_order_of_the_page(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, object] = {}
    printed: dict[str, list[str]] = {"python": [], "bash": []}
    for language, code in re.findall(r"```(python|bash)\n(.*?)```", PAGE, re.DOTALL):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            if language == "python":
                exec(code.replace(ADDRESS, address), names)
            elif code.startswith("export "):
                name, _, value = code.removeprefix("export ").strip().partition("=")
                monkeypatch.setenv(name, value.replace(ADDRESS, address))
            else:
                _run(code)
        printed[language].append(out.getvalue())
    assert len(printed["python"]) == len(printed["bash"]) == 13  # 12 calls, after what comes before the first
    assert [place for place, text in enumerate(printed["bash"][1:]) if not text] == []
    *scored, brands, others, channels = printed["python"][4].splitlines()
    assert (len(scored), brands, len(ast.literal_eval(others))) == (5, "['acme']", 5)
    assert not {"atlas", "atlas-2"} & set(ast.literal_eval(others))
    assert (channels.count("Channel.SERVED"), channels.count("Channel.POPULARITY")) == (6, 6)  # 12 items
    client = names["client"]
    assert isinstance(client, RecallClient)
    client.close()


def _run(command: str) -> None:
    program, *arguments = shlex.split(command)
    assert program == "recall"
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert exit_.value.code in (0, None), command
