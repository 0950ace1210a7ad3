import numpy as np

from index.growing_arrays import with_room


def test_an_array_with_room_enough_is_returned_as_it_is():
    array = np.array([1, 2, 3])
    assert with_room(array, 3) is array


def test_a_longer_array_is_another_that_begins_alike_and_is_at_least_twice_as_long():
    array = np.array([1, 2, 3], dtype=np.int32)
    for size, length in ((4, 6), (10, 10)):
        longer = with_room(array, size)
        assert (longer.size, longer.dtype, longer[:3].tolist()) == (length, array.dtype, [1, 2, 3])
        longer[0] = 9
    assert array.tolist() == [1, 2, 3]
