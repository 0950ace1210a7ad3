from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from index.snapshot import set_current
from recall.live.query import SimilarQuery


def snapshot_of(system):
    return system.status().snapshot


def test_a_new_snapshot_is_served_without_a_restart(deployment, catalog, make_item, until):
    catalog.put_items([make_item("a", "jazz")])
    deployment.rebuild("a")
    with deployment.serving() as system:
        system.upsert([make_item("b", "jazz")])
        name = deployment.rebuild("b")
        until(lambda: snapshot_of(system) == name)
        status = system.status()
        assert (status.model_id, status.num_base, status.num_fresh, status.sequence) == ("b" * 64, 2, 0, 2)
        assert system.similar(SimilarQuery(features={"topic": "jazz"})).item_ids == ["a", "b"]


def test_a_roll_back_is_served_with_every_write_since(deployment, make_item, until):
    first = deployment.rebuild("a")
    with deployment.serving() as system:
        second = deployment.rebuild("b")
        until(lambda: snapshot_of(system) == second)
        system.upsert([make_item("a", "jazz")])
        set_current(deployment.root, first)
        until(lambda: snapshot_of(system) == first)
        assert system.similar(SimilarQuery(features={"topic": "jazz"})).item_ids == ["a"]


def test_a_snapshot_that_cannot_be_loaded_leaves_the_old_one_serving(deployment, make_item, until, flip_byte):
    first, second = deployment.rebuild("a"), deployment.rebuild("b")
    set_current(deployment.root, first)
    flip_byte(deployment.root / second / "rows" / "popularity.npy")
    with deployment.serving(switch_retry_seconds=0.01) as system:
        assert system.status().last_switch_error == ""
        set_current(deployment.root, second)
        until(lambda: system.status().last_switch_error != "")
        assert "popularity.npy" in system.status().last_switch_error
        assert snapshot_of(system) == first
        system.upsert([make_item("a", "jazz")])
        flip_byte(deployment.root / second / "rows" / "popularity.npy")
        until(lambda: snapshot_of(system) == second)
        assert system.status().last_switch_error == ""
        assert system.get("a").retrievable


def test_a_failed_switch_is_forgotten_when_current_names_the_served_one_again(deployment, until, flip_byte):
    first, second = deployment.rebuild("a"), deployment.rebuild("b")
    set_current(deployment.root, first)
    flip_byte(deployment.root / second / "manifest.json")
    with deployment.serving() as system:
        set_current(deployment.root, second)
        until(lambda: system.status().last_switch_error != "")
        set_current(deployment.root, first)
        until(lambda: system.status().last_switch_error == "")


@pytest.mark.slow
def test_a_lost_current_file_is_named_and_leaves_the_served_one_until_it_is_back(deployment, until):
    first = deployment.rebuild("a")
    with deployment.serving() as system:
        (deployment.root / "CURRENT").unlink()
        until(lambda: "CURRENT is missing" in system.status().last_switch_error)
        assert snapshot_of(system) == first
        set_current(deployment.root, first)
        until(lambda: system.status().last_switch_error == "")


def test_nothing_acknowledged_is_missing_before_during_and_after_rebuilds(deployment, catalog, make_item, until):
    catalog.put_items([make_item(f"seed-{n:03}", f"seed-{n}") for n in range(200)])
    deployment.rebuild("a")
    stop = threading.Event()

    def found(system, topic):
        return system.similar(SimilarQuery(features={"topic": topic}, limit=1)).item_ids[0]

    def write(worker, system):
        """Upserts, replaces and deletes items of its own; each is asked for at once and once more later."""
        live = {}
        n = 0
        while not stop.is_set():
            item_id, topic = f"w{worker}-{n % 50}", f"topic-{worker}-{n}"
            written = system.upsert([make_item(item_id, topic)])
            live[item_id] = topic
            assert found(system, topic) == item_id
            assert system.status().sequence >= written.sequence
            earlier = sorted(live)[n % len(live)]
            assert found(system, live[earlier]) == earlier
            if n % 7 == 0:
                system.delete([earlier])
                gone = live.pop(earlier)
                assert found(system, gone) != earlier
                assert earlier not in system.generation.index
            n += 1
        return live

    with deployment.serving() as system, ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, worker, system) for worker in range(4)]
        try:
            for letter in "bcd":
                name = deployment.rebuild(letter, kind="hnsw", batch_size=16)
                until(lambda name=name: snapshot_of(system) == name)
        finally:
            stop.set()
        live = {f"seed-{n:03}": f"seed-{n}" for n in range(200)}
        for writer in writers:
            live |= writer.result(timeout=30)
        assert system.generation.model.model_id == "d" * 64
        assert list(system.generation.index.item_ids()) == sorted(live)
        assert all(found(system, topic) == item_id for item_id, topic in live.items())
    with deployment.serving() as system:
        assert list(system.generation.index.item_ids()) == sorted(live)
