import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.ring import AudioRing


@given(
    capacity=st.integers(1, 50),
    writes=st.lists(st.integers(0, 120), max_size=20),
    start=st.integers(-20, 300),
    length=st.integers(0, 80),
)
def test_reading_gives_what_was_written_or_zeros_where_it_is_gone(capacity, writes, start, length):
    ring, told = AudioRing(capacity), np.zeros(0, np.float32)
    for count in writes:
        samples = np.arange(told.size + 1, told.size + count + 1, dtype=np.float32)
        ring.write(samples)
        told = np.concatenate([told, samples])
    assert ring.end == told.size
    want = [told[i] if max(0, told.size - capacity) <= i < told.size else 0.0 for i in range(start, start + length)]
    assert ring.read(start, start + length).tolist() == want


def test_an_empty_ring_cannot_be_made():
    with pytest.raises(ValueError, match="capacity must be positive, got 0"):
        AudioRing(0)
