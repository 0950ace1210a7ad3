from __future__ import annotations

import numpy as np
import pytest

from index.errors import InvalidIndexConfigError, SnapshotDamagedError
from index.flat import FlatIndex
from index.ivf_pq import CODES, IvfPqIndex, IvfPqParameters


def test_rules_take_two_coordinates_a_segment_and_four_bits():
    chosen = IvfPqParameters().resolved(1_000_000, 64)
    assert (chosen.lists, chosen.segments, chosen.bits, chosen.rerank) == (4000, 32, 4, 4)
    assert IvfPqParameters().resolved(1_000_000, 33).segments == 33
    assert IvfPqParameters(segments=11).resolved(100, 33).segments == 11
    with pytest.raises(InvalidIndexConfigError, match="segments is 7; want a divisor of the dimension 64"):
        IvfPqParameters(segments=7).resolved(100, 64)
    with pytest.raises(InvalidIndexConfigError, match="bits is 5; want 4 or 8"):
        IvfPqParameters(bits=5)


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_recall_is_high_in_a_quarter_of_the_bytes(noise):
    generator = np.random.default_rng(0)
    centres = generator.standard_normal((200, 64))
    rows = centres[generator.integers(0, 200, 10_100)] + noise * generator.standard_normal((10_100, 64))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    vectors, queries = np.split(vectors, [10_000])
    index = IvfPqIndex.build(vectors, IvfPqParameters(lists=100, threads=1))
    found, truth = index.search(queries, 100).rows, FlatIndex(vectors).search(queries, 100).rows
    assert np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]) >= 0.95  # against exact search
    assert index.resident_bytes() <= vectors.nbytes / 4


@pytest.mark.parametrize("bits", [4, 8])
def test_resident_bytes_are_codes_rows_and_centroids(bits, unit_vectors):
    index = IvfPqIndex.build(unit_vectors(640), IvfPqParameters(lists=1, segments=4, bits=bits, threads=1))
    tables = 4 * (1 << bits) * 4 * 4
    # Codes of 4 bits lie in blocks of 32 rows, in room rounded up to a power of two: 20 blocks of 64 bytes.
    codes = 2048 if bits == 4 else 640 * 4
    assert index.resident_bytes() == codes + 640 * 8 + 16 * 4 + tables


def test_codes_of_eight_bits_are_read_again(unit_vectors, tmp_path):
    vectors = unit_vectors(900)
    parameters = IvfPqParameters(bits=8, lists=6, segments=8, threads=1)
    index = IvfPqIndex.build(vectors, parameters)
    index.save(tmp_path)
    loaded = IvfPqIndex.load(tmp_path, vectors, parameters)
    np.testing.assert_array_equal(loaded.search(vectors[:9], 10).rows, index.search(vectors[:9], 10).rows)
    assert loaded.parameters() == index.parameters()
    with pytest.raises(SnapshotDamagedError, match=f"{CODES} holds IndexIVFPQ .*; want IndexIVFPQFastScan"):
        IvfPqIndex.load(tmp_path, vectors)
