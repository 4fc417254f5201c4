import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.jitter import GRID_SAMPLES, JitterBuffer, RtpAudio

STEP_S = 0.02
SAMPLES = 960


def packet(number: int, arrival_s: float, *, ssrc: int = 1, first: int = 4_294_967_000) -> RtpAudio:
    timestamp = (first + SAMPLES * number) % 2**32
    return RtpAudio(ssrc, (65_530 + number) % 65_536, timestamp, bytes([number % 256]), SAMPLES, arrival_s)


def run(buffer: JitterBuffer, arrivals: list[RtpAudio], until_s: float):
    """Feed packets by arrival time, poll at every arrival and deadline; returns [(poll time, chunk)]."""
    out = []
    queue = sorted(arrivals, key=lambda p: p.arrival_s)
    while True:
        now_s = min(buffer.deadline_s, queue[0].arrival_s if queue else until_s + 1)
        if now_s > until_s:
            return out
        if queue and queue[0].arrival_s <= now_s:
            buffer.push(queue.pop(0))
        out += [(now_s, chunk) for chunk in buffer.poll(now_s)]


def assert_unbroken(out):
    position = 0
    for _, chunk in out:
        assert chunk.position == position
        assert chunk.packet is None or chunk.packet.samples == chunk.samples
        position += chunk.samples


def test_packets_in_turn_are_handed_on_the_moment_they_come():
    out = run(JitterBuffer(0.0), [packet(n, 0.005 + STEP_S * n) for n in range(200)], 4.1)
    handed = [(now_s, chunk) for now_s, chunk in out if chunk.packet is not None]
    assert len(handed) == 200
    assert all(now_s == chunk.packet.arrival_s for now_s, chunk in handed)
    assert_unbroken(out)


def test_a_lost_packet_is_waited_for_no_longer_than_the_delay():
    buffer = JitterBuffer(0.0, min_delay_ms=20, max_delay_ms=120)
    out = run(buffer, [packet(n, STEP_S * n) for n in range(100) if n != 50], 2.0)
    gaps = [(now_s, chunk) for now_s, chunk in out if chunk.packet is None and chunk.ready_s > 0.5]
    [(now_s, gap)] = [(t, c) for t, c in gaps if t < 1.9]
    assert gap.samples == SAMPLES
    assert abs(now_s - (STEP_S * 50 + 0.020)) < 1e-6  # it should have come at 1.0 s
    assert (buffer.lost, buffer.late) == (1, 0)
    assert_unbroken(out)


def test_swapped_packets_come_out_in_order_and_none_is_lost():
    arrivals = [packet(n, STEP_S * n + (0.015 + STEP_S if n % 10 == 5 else 0.0)) for n in range(300)]
    buffer = JitterBuffer(0.0)
    out = run(buffer, arrivals, 5.9)
    numbers = [c.packet.payload[0] for _, c in out if c.packet is not None]
    # the delay adapts to the disorder at its first appearance
    assert all((b - a) % 256 == 1 for a, b in itertools.pairwise(numbers[20:]))
    assert len(numbers) >= 293
    assert buffer.late <= 1
    assert buffer.concealed <= 6
    assert_unbroken(out)


@given(seed=st.integers(0, 10_000), loss=st.floats(0, 0.3), jitter_s=st.floats(0, 0.06))
def test_whatever_the_network_does_the_sound_has_no_hole_and_keeps_the_pace(seed, loss, jitter_s):
    draw = random.Random(seed)
    arrivals = [packet(n, STEP_S * n + jitter_s * draw.random()) for n in range(150) if draw.random() >= loss]
    buffer = JitterBuffer(0.0)
    out = run(buffer, arrivals, 3.0)
    assert_unbroken(out)
    heard_s = sum(chunk.samples for _, chunk in out) / 48_000
    assert 3.0 - 0.120 - 2 * STEP_S - 0.06 <= heard_s <= 3.0 + 2 * STEP_S
    longest = max(b - a for (a, _), (b, _) in itertools.pairwise(out))
    assert longest <= 0.120 + 2 * STEP_S


def test_sixty_ms_of_jitter_loses_almost_nothing_once_learnt():
    draw = random.Random(1)
    buffer = JitterBuffer(0.0)
    out = run(buffer, [packet(n, STEP_S * n + 0.06 * draw.random()) for n in range(500)], 9.9)
    late_half = [c for t, c in out if t > 2.0]
    assert sum(c.packet is None for c in late_half) <= 0.02 * len(late_half)
    assert 40 <= buffer.delay_ms <= 70


def test_silence_before_the_first_packet_is_concealed_in_real_time():
    buffer = JitterBuffer(0.0, min_delay_ms=20)
    out = run(buffer, [packet(n, 1.0 + STEP_S * n) for n in range(10)], 1.2)
    before = [chunk for now_s, chunk in out if now_s < 1.0]
    assert abs(sum(chunk.samples for chunk in before) / 48_000 - 1.0) <= 0.04
    first = next(chunk for _, chunk in out if chunk.packet is not None)
    assert first.position % GRID_SAMPLES == 0
    assert buffer.concealed <= 2
    assert_unbroken(out)


def test_after_a_pause_the_sound_goes_on_at_the_time_of_its_timestamps():
    buffer = JitterBuffer(0.0)
    talk = [n for n in range(200) if n < 50 or n >= 150]  # two seconds of DTX between
    out = run(buffer, [packet(n, STEP_S * n) for n in talk], 3.9)
    start = next(chunk.position for _, chunk in out if chunk.packet is not None)
    places = {chunk.packet.payload[0]: chunk.position for _, chunk in out if chunk.packet is not None}
    assert places[150] == start + 150 * SAMPLES
    assert buffer.moved == 1
    assert_unbroken(out)


def test_a_path_that_becomes_slower_for_good_is_followed():
    buffer = JitterBuffer(0.0)
    arrivals = [packet(n, STEP_S * n + (1.0 if n >= 100 else 0.0)) for n in range(300)]
    out = run(buffer, arrivals, 6.9)
    heard = [c for t, c in out if t > 3.8]
    assert buffer.moved == 2
    assert sum(c.packet is None for c in heard) <= 2
    assert_unbroken(out)


def test_a_burst_after_a_stall_does_not_move_the_clock():
    buffer = JitterBuffer(0.0)
    arrivals = [packet(n, max(STEP_S * n, 2.5 if 100 <= n < 125 else 0.0)) for n in range(200)]
    out = run(buffer, arrivals, 3.9)
    start = next(c.position for _, c in out if c.packet is not None)
    places = {c.packet.payload[0]: c.position for _, c in out if c.packet is not None}
    assert places[190] == start + 190 * SAMPLES
    assert buffer.moved == 1


def test_a_new_source_takes_over_where_the_old_one_ended():
    buffer = JitterBuffer(0.0)
    arrivals = [packet(n, STEP_S * n) for n in range(50)]
    arrivals += [packet(n, 1.0 + STEP_S * n, ssrc=2, first=77) for n in range(50)]
    out = run(buffer, arrivals, 1.99)
    assert sum(c.packet is not None for _, c in out) >= 99
    assert buffer.lost == 0
    assert_unbroken(out)


def test_duplicates_and_a_wild_timestamp_are_ignored():
    buffer = JitterBuffer(0.0)
    arrivals = [packet(n, STEP_S * n) for n in range(100)]
    arrivals += [packet(n, STEP_S * n + 0.001) for n in range(100)]
    wild = RtpAudio(1, (65_530 + 100) % 65_536, (4_294_967_000 + 48_000 * 500) % 2**32, b"w", SAMPLES, 1.5)
    out = run(buffer, [*arrivals, wild], 1.99)
    assert buffer.received == 101
    assert buffer.late == 0
    assert all(c.packet is None or c.packet.payload != b"w" for _, c in out)
    assert_unbroken(out)


def test_a_clock_that_drifts_by_200_ppm_is_followed():
    buffer = JitterBuffer(0.0)
    run(buffer, [packet(n, STEP_S * n * 1.0002) for n in range(15_000)], 299.0)  # 60 ms in 5 minutes
    assert buffer.concealed <= 2
    assert buffer.moved == 1
    assert buffer.delay_ms == 20.0


@pytest.mark.parametrize("choice", [0, 1])
def test_a_source_gets_the_place_that_is_chosen_for_it(choice):
    asked = []

    def place(packet: RtpAudio, offered: tuple[int, int]) -> int:
        asked.append(offered)
        return choice

    buffer = JitterBuffer(0.0, place=place)
    position = buffer.push(RtpAudio(1, 1, 5000, b"x", 960, 0.010))
    assert asked == [(0, 960)]
    assert position == 960 * choice
    assert buffer.wall_s(position) == pytest.approx(0.010)  # it came in time, wherever it lies
    chunks = buffer.poll(0.010)
    assert [(chunk.position, chunk.packet is not None) for chunk in chunks][-1] == (960 * choice, True)
    assert len(chunks) == 1 + choice  # what is left out is silent at once
