"""The demo on a small shop."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from demo import make_folder
from demo_story import NEW_ITEM
from recall.errors import RecallError


@pytest.mark.slow
def test_demo_ends_with_one_page(demo_run):
    folder, result = demo_run
    assert result.returncode == 0, result.stderr
    page = result.stdout
    assert re.search(r"^-> +\d+  \d\.\d{3}  Hard-bop swing LP", page, re.MULTILINE)
    assert re.search(r"user-\d+  absent  \d+ +absent", page)
    assert f"item '{NEW_ITEM.item_id}' is not stored" in page
    figures = {line.split("  ")[0]: re.findall(r"\d\.\d{3}", line) for line in page.splitlines()}
    for channel in ("served (two towers)", "content kNN", "popularity", "random"):
        assert len(figures[channel]) == 3, channel
    assert re.search(r"^recall +p50 [\d.]+ ms, p99 [\d.]+ ms", page, re.MULTILINE)
    assert (folder / "snapshots" / "CURRENT").is_file()
    activate = Path(sys.prefix) / "bin" / "activate"
    assert (f"{activate.relative_to(sys.prefix)}\n" in page) == activate.is_file()


@pytest.mark.slow
def test_server_and_snapshot_give_the_same_figure(demo_run):
    _, result = demo_run
    (served,) = re.findall(r"^served .*(\d\.\d{3})$", result.stdout, re.MULTILINE)
    assert f"Over gRPC the server's own figure of the last column is {served}." in result.stdout


def test_earlier_demo_goes(tmp_path):
    folder = tmp_path / "demo"
    make_folder(folder)
    (folder / "data").mkdir()
    make_folder(folder)
    assert not (folder / "data").exists()


def test_folder_that_the_demo_did_not_make_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(RecallError, match="not made by the demo"):
        make_folder(tmp_path)
    assert (tmp_path / "mine").read_text() == "precious"
