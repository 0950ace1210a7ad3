from __future__ import annotations

from dataclasses import replace

import faiss
import numpy as np
import pytest

from index.errors import SnapshotDamagedError
from index.graph import Graph
from index.graph_file import read_lists, write_lists


def _faiss_graph(num_rows, m, *, dim=4):
    index = faiss.IndexHNSWFlat(dim, m, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = 20
    if num_rows:
        faiss.omp_set_num_threads(1)
        index.add(np.random.default_rng(1).standard_normal((num_rows, dim)).astype(np.float32))
    return index


@pytest.fixture(scope="module")
def lists(tmp_path_factory):
    """Of 400 rows with m = 3, so of several layers."""
    path = tmp_path_factory.mktemp("graph") / "g.faiss"
    faiss.write_index(_faiss_graph(400, 3), str(path), faiss.IO_FLAG_SKIP_STORAGE)
    return read_lists(path)


@pytest.mark.parametrize(("num_rows", "m"), [(0, 4), (1, 2), (300, 2), (400, 3), (500, 32)])
def test_files_of_faiss_are_read_and_written_byte_for_byte(tmp_path, num_rows, m):
    faiss.write_index(_faiss_graph(num_rows, m), str(tmp_path / "theirs"), faiss.IO_FLAG_SKIP_STORAGE)
    lists = read_lists(tmp_path / "theirs")
    write_lists(tmp_path / "ours", lists)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    assert (lists.m, lists.dim, lists.layers.size) == (m, 4, num_rows)


def test_faiss_reads_what_is_written(tmp_path, lists):
    write_lists(tmp_path / "ours", lists)
    index = faiss.read_index(str(tmp_path / "ours"), faiss.IO_FLAG_SKIP_STORAGE)
    assert isinstance(index, faiss.IndexHNSWFlat)
    np.testing.assert_array_equal(faiss.vector_to_array(index.hnsw.neighbors), lists.links)
    assert index.hnsw.entry_point == lists.entry


def test_graph_keeps_every_link(lists):
    graph = Graph.of(lists)
    again = graph.lists(dim=4, ef_construction=20)
    np.testing.assert_array_equal(again.links, lists.links)
    np.testing.assert_array_equal(again.layers, lists.layers)
    assert (graph.m, graph.entry, graph.top) == (3, lists.entry, int(lists.layers.max()) - 1)
    assert graph.resident_bytes() >= 4 * lists.links.size


def test_layers_hold_links_of_their_rows_only(lists):
    for layer in range(1, lists.num_layers()):
        linked = lists.of_layer(np.flatnonzero(lists.layers > layer), layer)
        assert (lists.layers[linked[linked >= 0]] > layer).all()


def _faulty(lists, fault):
    links, layers = lists.links.copy(), lists.layers.copy()
    upper = int(np.flatnonzero(layers > 1)[0])
    if fault == "beyond":
        links[7] = layers.size
    elif fault == "before":
        links[7] = -2
    elif fault == "upper":
        links[lists.offsets[upper] + 2 * lists.m] = int(np.flatnonzero(layers == 1)[0])
    elif fault == "entry":
        return replace(lists, entry=int(np.flatnonzero(layers == 1)[0]))
    elif fault == "no entry":
        return replace(lists, entry=-1)
    else:
        layers[0] = {"layers": 0, "many layers": 70}[fault]
    return replace(lists, links=links, layers=layers)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("beyond", "links to rows -1 to 400; want -1 to 399"),
        ("before", "links to rows -2 to"),
        ("upper", r"links in layer 1 to row \d+, which is not in it"),
        ("entry", r"begins at row \d+ in layer"),
        ("no entry", "begins at row -1"),
        ("layers", "in 0 to"),
        ("many layers", "to 70 layers; want 1 to 64"),
    ],
)
def test_links_that_lead_nowhere_are_refused(tmp_path, lists, fault, message):
    write_lists(tmp_path / "g", _faulty(lists, fault))
    with pytest.raises(SnapshotDamagedError, match=message):
        read_lists(tmp_path / "g")


def test_a_cut_or_longer_or_foreign_file_is_refused(tmp_path, lists):
    path = tmp_path / "g"
    write_lists(path, lists)
    content = path.read_bytes()
    for size in (0, 3, 4, 20, 40, 100, 1000, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(SnapshotDamagedError, match="is no FAISS index"):
            read_lists(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(SnapshotDamagedError, match="goes on where it should end"):
        read_lists(path)
    faiss.write_index(faiss.IndexFlatIP(4), str(path))
    with pytest.raises(SnapshotDamagedError, match="want b'IHNf'"):
        read_lists(path)
    faiss.write_index(faiss.IndexHNSWFlat(4, 3), str(path), faiss.IO_FLAG_SKIP_STORAGE)
    with pytest.raises(SnapshotDamagedError, match="has metric 1; want 0"):
        read_lists(path)


def test_a_changed_byte_is_refused_or_leads_to_rows_of_the_layer(tmp_path, lists):
    path = tmp_path / "g"
    write_lists(path, lists)
    content = bytearray(path.read_bytes())
    generator = np.random.default_rng(0)
    num_read = 0
    for place in [*range(130), *generator.integers(0, len(content), 200).tolist()]:
        changed = content.copy()
        changed[place] ^= 1 << int(generator.integers(0, 8))
        path.write_bytes(changed)
        try:
            read = read_lists(path)
        except SnapshotDamagedError:
            continue
        num_read += 1
        for layer in range(read.num_layers()):
            linked = read.of_layer(np.flatnonzero(read.layers > layer), layer)
            assert (read.layers[linked[linked >= 0]] > layer).all()
    assert num_read > 0  # another row of the same layer, say
