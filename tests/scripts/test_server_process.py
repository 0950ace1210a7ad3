"""Processes that fail say why, and leave nothing running."""

from __future__ import annotations

import pytest

from server_process import ProcessError, ServerProcess, run_recall, wait_for_snapshot


@pytest.mark.slow
def test_server_that_cannot_start_is_an_error_with_the_end_of_its_log(tmp_path):
    with pytest.raises(ProcessError, match=r"exited with 1 before it served; the end of its log:(.|\n)*error: .*none"):
        ServerProcess(tmp_path / "snapshots", tmp_path / "none.sqlite", log=tmp_path / "serve.log")


@pytest.mark.slow
def test_command_that_fails_is_an_error_with_the_end_of_its_log(tmp_path):
    with pytest.raises(ProcessError, match=r"recall load exited with 1; the end of its log:(.|\n)*error: .*nowhere"):
        run_recall(
            ("load", "--data", tmp_path / "nowhere", "--catalog", tmp_path / "c.sqlite"), log=tmp_path / "load.log"
        )


def test_wait_for_a_snapshot_ends_with_it_and_names_both_where_it_does_not_come(client):
    served = client.status().snapshot
    wait_for_snapshot(client, served, timeout_seconds=0.0)
    with pytest.raises(ProcessError, match=f"still serves {served} instead of 000009-none: no reason is given"):
        wait_for_snapshot(client, "000009-none", timeout_seconds=0.0)
