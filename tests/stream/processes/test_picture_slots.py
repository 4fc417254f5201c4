"""Pictures that cross from one real process to another."""

import subprocess
import sys

import numpy as np
import pytest

from stream.processes.picture_slots import SLOT_BYTES, make_memory, read_picture, write_picture

WRITER = """
import os, sys, numpy as np
from stream.processes.picture_slots import write_picture
for slot in (0, 3):
    write_picture(int(sys.argv[1]), slot, np.full((96, 64), 10 + slot, np.uint8))
os.kill(os.getpid(), 9)
"""


def test_what_a_process_wrote_before_it_was_killed_is_read_by_another_slot_by_slot():
    memory = make_memory()
    done = subprocess.run([sys.executable, "-c", WRITER, str(memory)], pass_fds=[memory], timeout=30)
    assert done.returncode == -9
    for slot, level in ((0, 10), (3, 13)):
        assert (read_picture(memory, slot, (96, 64)) == level).all()


def test_neighbouring_slots_do_not_touch_and_a_picture_read_is_a_copy():
    memory, rng = make_memory(), np.random.default_rng(0)
    largest = rng.integers(0, 255, (1280 * 3 // 2, 1280), np.uint8)
    views = rng.integers(0, 255, (90, 128), np.uint8)[:, ::2]  # not contiguous
    write_picture(memory, 1, largest)
    write_picture(memory, 2, views)
    write_picture(memory, 0, largest // 2)
    first = read_picture(memory, 1, largest.shape)
    write_picture(memory, 1, views)
    np.testing.assert_array_equal(first, largest)
    np.testing.assert_array_equal(read_picture(memory, 2, views.shape), views)


def test_a_picture_larger_than_a_slot_is_refused():
    with pytest.raises(AssertionError):
        write_picture(make_memory(), 0, np.zeros((SLOT_BYTES // 1024 + 1, 1024), np.uint8))
