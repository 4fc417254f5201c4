from hypothesis import given
from hypothesis import strategies as st

from stream.clock import RtpClock, to_ms


@given(first=st.integers(0, 2**32 - 1), start=st.integers(0, 10**9), steps=st.lists(st.integers(-(10**6), 10**8)))
def test_positions_follow_timestamps_across_wraps_and_disorder(first, start, steps):
    clock = RtpClock()
    clock.anchor(first, start)
    truth = 0
    newest = 0
    for step in steps:
        truth = newest + step  # a packet's distance from the newest one, late or early
        newest = max(newest, truth)
        assert clock.position((first + truth) % 2**32) == start + truth


def test_ten_hours_of_packets_keep_every_sample():
    clock = RtpClock()
    clock.anchor(2**32 - 480, 0)
    for second in range(36_000):
        assert clock.position((2**32 - 480 + 48_000 * second) % 2**32) == 48_000 * second


def test_a_late_packet_does_not_move_the_clock_back():
    clock = RtpClock()
    clock.anchor(100, 0)
    clock.position(100 + 48_000)
    assert clock.position(100 + 960) == 960
    assert clock.position(100 + 96_000) == 96_000


def test_media_time_is_48_samples_a_millisecond():
    assert to_ms(48_000 * 3600) == 3_600_000.0
