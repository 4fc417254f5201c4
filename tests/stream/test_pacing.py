from hypothesis import given
from hypothesis import strategies as st

from stream.pacing import Pacer, snap, sound_end


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
