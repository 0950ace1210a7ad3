"""Two real servers on one catalogue, right and broken on purpose: what clients record tells them apart."""

from __future__ import annotations

import contextlib

import pytest

from consistency import Kind, problems
from history import ABSENT, PRESENT, History
from recall.client import ItemRecord, RecallClient
from recall.live.writes import DeleteResult
from recorded import RecordedReads, RecordedWrites

ITEMS = ["a0", "a1", "new"]


class TwoServers:
    """Two servers in this process, which look for each other's writes only when they are asked to."""

    names = ("server 0", "server 1")

    def __init__(self, systems, clients):
        self.systems = systems
        self._clients = clients

    def client(self, number):
        return self._clients[number]


@pytest.fixture
def servers(open_system, start_server):
    systems = [open_system(follow_interval_seconds=60.0) for _ in range(2)]
    with contextlib.ExitStack() as stack:
        clients = []
        for system in systems:
            stack.callback(system.close)
            server = start_server()
            server.attach(system)
            clients.append(stack.enter_context(RecallClient(server.address, reads_own_writes=False)))
        yield TwoServers(systems, clients)


def recorded(servers):
    """Writes to either server, and asks both after each write, with `min_sequence` and without."""
    history = History({"a0": {"topic": "a"}, "a1": {"topic": "a"}, "new": None})
    writes = RecordedWrites(servers, history, seed=0)
    reads = RecordedReads(servers, history, probe="b3", seed=0)
    steps = [lambda: writes.delete(["a1"])]
    for topic in "cdefgh":
        steps += [lambda t=topic: writes.upsert([ItemRecord(item_id=i, features={"topic": t + i}) for i in ITEMS[:2]])]
    for step in [*steps, lambda: writes.delete(["a0", "new"])]:
        step()
        for number in range(2):
            for fresh in (True, False):
                reads.recall(number, ITEMS, fresh=fresh)
                for item_id in ITEMS:
                    reads.get(number, item_id, fresh=fresh)
    return history


def test_servers_that_wait_for_each_others_writes_are_right(servers):
    history = recorded(servers)
    assert problems(history) == []
    assert [write.count for write in history.writes] == [1, *[2] * 6, 1]
    assert {write.server for write in history.writes} == set(servers.names)
    assert history.reads[-4].seen == {"a0": ABSENT, "a1": PRESENT, "new": ABSENT}
    assert history.reads[-2].seen == {"a1": 7}


def test_a_server_that_does_not_wait_is_found(servers, monkeypatch):
    monkeypatch.setattr(servers.systems[1], "wait_for", lambda sequence, timeout_seconds: None)
    assert Kind.STALE_READ in {problem.kind for problem in problems(recorded(servers))}


def test_a_server_that_acknowledges_a_deletion_and_forgets_it_is_found(servers, monkeypatch):
    def forget(item_ids, *, request):
        sequence = system.generation.index.sequence
        return DeleteResult(sequence=sequence, model_id="", num_deleted=len(set(item_ids) & {"a0", "a1"}))

    for system in servers.systems:
        monkeypatch.setattr(system, "delete", forget)
    kinds = {problem.kind for problem in problems(recorded(servers))}
    assert kinds & {Kind.RESURRECTED_DELETE, Kind.LOST_WRITE}
