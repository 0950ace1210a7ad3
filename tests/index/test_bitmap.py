from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from index import bitmap


def test_row_r_is_bit_r_and_7_of_byte_r_over_8():
    assert bitmap.from_rows(np.array([0, 3, 8, 15]), 17).tolist() == [0b1001, 0b10000001, 0]


def test_full_has_no_bit_past_the_last_row():
    assert bitmap.full(11).tolist() == [255, 7]
    assert bitmap.full(0).size == 0


@given(mask=st.lists(st.booleans(), max_size=70), changes=st.sets(st.integers(0, 69)), data=st.data())
def test_operations_agree_with_a_set(mask, changes, data):
    num_rows = len(mask)
    rows = {row for row, there in enumerate(mask) if there}
    packed = bitmap.from_mask(np.array(mask, dtype=np.bool_))
    changed = np.array(sorted(row for row in changes if row < num_rows), dtype=np.int64)
    start = data.draw(st.integers(0, num_rows))
    stop = data.draw(st.integers(start, num_rows))
    assert set(bitmap.to_rows(packed, num_rows).tolist()) == rows
    assert bitmap.count(packed, stop) == len([row for row in rows if row < stop])
    assert bitmap.to_mask(packed, start, stop).tolist() == mask[start:stop]
    assert set(bitmap.to_rows(bitmap.with_rows(packed, changed), num_rows).tolist()) == rows | set(changed.tolist())
    assert set(bitmap.to_rows(bitmap.without_rows(packed, changed), num_rows).tolist()) == rows - set(changed.tolist())
    assert bitmap.to_rows(bitmap.resized(packed, num_rows + 9), num_rows + 9).tolist() == sorted(rows)
    assert all(bitmap.contains(packed, row) == (row in rows) for row in range(num_rows))
