import pytest

from stream.costs import Costs
from stream.ladder import Ladder

CPU = {1: 16.0, 2: 31.0}
GPU = {1: 2.5, 2: 2.7, 4: 3.0, 8: 3.6, 16: 5.0, 32: 8.0, 64: 15.5}


@pytest.mark.parametrize(
    ("step_ms", "rows"),
    [(CPU, 1), (GPU, 32), ({1: 15.0, 2: 21.0}, 1), ({1: 9.0, 2: 17.0}, 1), ({1: 9.0, 2: 16.0}, 2), ({1: 0.0}, 1)],
    ids=["one by one", "as long as it is worth it", "not over half a frame", "for a twentieth", "for a ninth", "free"],
)
def test_a_batch_is_as_large_as_is_measured_to_be_cheaper(step_ms, rows):
    assert Costs(step_ms).rows == rows


def test_the_first_caller_is_always_let_in_and_the_next_as_long_as_there_is_time():
    costs = Costs(CPU, row_ms=2.0)
    assert Costs({1: 60.0}, row_ms=2.0).has_room([])
    assert costs.has_room([1.0])  # 18 + 11.6 of 40 ms, and 34 may be given away
    assert not costs.has_room([1.0, 0.2])  # + 5.2
    assert costs.has_room([0.2, 0.2, 0.2])
    assert not costs.has_room([0.2, 0.2, 0.2, 0.2, 0.2])
    assert not costs.has_room([], elsewhere=0.6)  # 11.6, and 24 of another system's streams
    assert costs.has_room([], elsewhere=0.5)
    assert costs.sessions() == 2
    assert Costs({1: 60.0}).sessions() == 1
    assert Costs(GPU, row_ms=0.11).sessions() == 130  # 34 / (0.6 * 8 / 32 + 0.11)


def test_a_machine_that_has_become_slower_lets_in_fewer_and_one_that_recovers_more():
    costs = Costs(GPU)
    before = costs.sessions()
    for _ in range(100):
        costs.note(20, 16.0)  # as 32 rows: twice as slow
    assert costs.sessions() == pytest.approx(before / 2, rel=0.02)
    for _ in range(100):
        costs.note(1, 2.5)
    assert costs.sessions() == pytest.approx(before, rel=0.02)


def seconds(ladder: Ladder, begin_s: float, count: int, missed: int, load) -> list[str]:
    """Where the ladder stands after each of `count` seconds with `missed` of 50 frames missed."""
    rungs = []
    for second in range(count):
        for frame in range(50):
            ladder.note(missed=frame < missed)
        ladder.tick(begin_s + second + 1.0, load)
        rungs.append(ladder.rung)
    return rungs


def test_missed_frames_lead_down_rung_by_rung_and_time_to_spare_leads_up_again():
    ladder = Ladder(0.0, batches=True)
    assert seconds(ladder, 0.0, 8, 25, lambda share: 2 * share) == [
        *("full", "no_wait", "no_wait", "half", "half", "still", "still", "still")
    ]
    assert set(seconds(ladder, 8.0, 20, 0, lambda share: 2 * share)) == {"still"}  # half would take all the time
    up = seconds(ladder, 28.0, 24, 0, lambda share: 0.5 * share)
    assert [rung for n, rung in enumerate(up) if n == 0 or up[n - 1] != rung] == ["still", "half", "no_wait", "full"]
    assert min(up.count(rung) for rung in ("half", "no_wait")) >= 5  # stays a while on each


def test_where_no_frame_waits_for_others_not_to_wait_is_no_rung():
    assert seconds(Ladder(0.0, batches=False), 0.0, 2, 25, lambda share: 2.0) == ["full", "half"]


def test_a_few_missed_frames_change_nothing():
    assert set(seconds(Ladder(0.0, batches=True), 0.0, 10, 14, lambda share: 2.0)) == {"full"}
