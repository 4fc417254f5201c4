import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.pacing import Pacer, Phases, frame_wait_s, snap, sound_end


@given(steps=st.lists(st.integers(0, 5000), max_size=60), lookahead_ms=st.sampled_from([0, 40, 80, 120, 200]))
def test_each_frame_is_due_once_in_order_as_soon_as_its_sound_is_complete(steps, lookahead_ms):
    pacer, heard, numbers = Pacer(lookahead_ms), 0, []
    for step in steps:
        before, heard = heard, heard + step
        for frame in pacer.due(heard):
            numbers.append(frame)
            assert before < sound_end(frame, lookahead_ms) <= heard or sound_end(frame, lookahead_ms) == 0
    complete = [frame for frame in range(10_000) if sound_end(frame, lookahead_ms) <= heard]
    assert numbers == (complete if steps else [])


@given(changes=st.lists(st.tuples(st.sampled_from([0, 40, 120, 200]), st.integers(0, 3000)), min_size=1, max_size=30))
def test_turning_the_dial_neither_repeats_nor_skips_a_number(changes):
    pacer, heard, numbers = Pacer(40), 0, []
    for lookahead_ms, step in changes:
        pacer.lookahead_ms = lookahead_ms
        heard += step
        numbers += pacer.due(heard)
    assert numbers == list(range(len(numbers)))


def test_packets_of_10_ms_give_a_frame_at_every_fourth():
    pacer = Pacer(40)
    due = [len(pacer.due(160 * packet)) for packet in range(1, 41)]
    assert due == [0, 0, 0, 1] * 10


def test_the_look_ahead_snaps_to_the_nearest_and_to_the_shorter_of_two():
    offered = (0, 40, 80, 120, 200)
    assert [snap(ms, offered) for ms in (0, 19, 20, 21, 60, 61, 160, 500)] == [0, 0, 0, 40, 40, 80, 120, 200]


def test_a_new_stream_comes_when_the_others_do_not():
    phases = Phases[str](0.04)
    assert phases.roomiest([0.005, 0.025], "new") == 0
    phases.note("one", 7.0 + 0.003)
    assert phases.roomiest([0.005, 0.025], "new") == 1
    assert phases.roomiest([0.039, 0.019], "new") == 1  # 3 ms and 39 ms are neighbours
    phases.note("two", 3.0 + 0.024)
    assert phases.roomiest([0.010, 0.028], "new") == 0
    assert phases.roomiest([0.003, 0.023], "one") == 0  # its own time is no obstacle
    phases.forget("two")
    assert phases.roomiest([0.010, 0.028], "new") == 1


def test_a_packet_knows_how_long_its_frame_still_waits():
    waits = [frame_wait_s(end, 960, lookahead_ms=40) for end in (960, 1920, 2880, 3840)]
    assert waits == [0.02, 0.0, 0.02, 0.0]
    assert frame_wait_s(1920, 960, lookahead_ms=135) == pytest.approx(0.02)  # 15 ms, and packets come every 20
    assert frame_wait_s(1920, 480, lookahead_ms=135) == pytest.approx(0.02)
    assert frame_wait_s(480, 480, lookahead_ms=0) == pytest.approx(0.03)
