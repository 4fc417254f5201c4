import pytest

from stream.jitter import RtpAudio
from stream.voice import EARLY_S, MAX_HOLD_S, MAX_PACKETS, SMOOTH, UNSEEN_S, VoiceLine


def wall_s(position: float) -> float:
    return position / 48_000


def packet(number: int) -> RtpAudio:
    return RtpAudio(1, (65_530 + number) % 65_536, 960 * number, bytes([number % 256]), 960, 0.0)


def test_a_packet_goes_back_when_the_face_of_its_media_time_does():
    line = VoiceLine(0.05)
    line.push(packet(10), 9600)
    assert line.deadline_s(wall_s) == 0.25
    assert line.due(0.2499, wall_s) == []
    [due] = line.due(0.25, wall_s)
    assert (due.position, due.payload, due.skip) == (9600, bytes([10]), 0)


def test_packets_go_back_in_order_and_losses_stay_visible():
    line = VoiceLine(0.05)
    for number in (1, 0, 2, 5, 7):
        line.push(packet(number), 960 * number)
    due = line.due(1.0, wall_s)
    assert [one.payload[0] for one in due] == [0, 1, 2, 5, 7]
    assert [one.skip for one in due] == [0, 0, 0, 2, 1]
    assert [one.marker for one in due] == [True, False, False, True, True]


def test_a_packet_older_than_what_was_sent_is_left_out():
    line = VoiceLine(0.05)
    line.push(packet(5), 4800)
    line.due(1.0, wall_s)
    line.push(packet(4), 3840)
    assert line.due(2.0, wall_s) == []
    assert line.dropped == 1


def test_two_packets_for_one_place_are_sent_once():
    line = VoiceLine(0.05)
    line.push(packet(1), 4800)
    line.push(packet(2), 4800)  # the clock was moved between the two
    assert [one.payload[0] for one in line.due(1.0, wall_s)] == [1]
    assert line.dropped == 1


def test_a_pause_of_the_source_is_no_loss():
    line = VoiceLine(0.05)
    line.push(packet(0), 0)
    line.push(RtpAudio(1, 65_531, 960 * 500, b"x", 960, 10.0), 960 * 500)  # the next sequence number, 10 s later
    assert [one.skip for one in line.due(20.0, wall_s)] == [0, 0]


def test_one_slow_frame_moves_it_little_and_many_move_it_slowly():
    line = VoiceLine(0.06)
    line.due(0.0, wall_s)
    line.note_face(0.3)  # the first frame of a call often takes long
    line.due(10.0, wall_s)
    assert abs(line.delay_s - (0.06 + SMOOTH * 0.24)) < 1e-9
    for _ in range(300):
        line.note_face(0.2)
    line.due(10.1, wall_s)
    assert line.delay_s == pytest.approx(0.06 + SMOOTH * 0.24 + 0.005)  # 50 ms a second at most
    line.due(20.0, wall_s)
    assert abs(line.delay_s - 0.2) < 1e-3


def test_what_the_browser_reports_is_trimmed_away():
    line = VoiceLine(0.1)
    line.note_face(0.1)
    heard_late_ms = 60.0
    for second in range(1, 20):
        line.due(float(second), wall_s)
        line.trim(heard_late_ms + 1000 * (line.delay_s - 0.1))
    line.due(30.0, wall_s)
    assert abs(1000 * (line.delay_s - 0.1) + heard_late_ms) < 1.0


def test_a_face_waits_for_a_voice_that_cannot_come_sooner():
    line = VoiceLine(0.1)
    line.note_face(0.1)
    buffered_ms = 150.0  # the browser plays the voice so much after the face of the same media time, undelayed
    for second in range(1, 40):
        line.due(float(second), wall_s)
        line.trim(buffered_ms + 1000 * (line.delay_s - 0.1 - line.face_hold_s))
    assert line.delay_s == 0.0
    assert 0.0 <= 0.05 - line.face_hold_s <= UNSEEN_S


def test_a_held_face_keeps_its_cadence_however_long_a_frame_took():
    line = VoiceLine(0.1)
    assert line.face_due_s(7.0) == 7.0  # at once
    assert line.face_due_s(7.0, repeated_by_s=8.0) == pytest.approx(7.0 + 0.1)  # as late as a face that is drawn
    assert line.face_due_s(7.0, repeated_by_s=7.06) == pytest.approx(7.06 - EARLY_S)  # before it would be late
    line.trim(2 * 1000 * (0.1 + 0.05))
    line.due(0.0, wall_s)
    assert line.face_due_s(7.0) == pytest.approx(7.0 + 0.1 + 0.05)


def test_a_face_is_not_held_for_what_nobody_sees():
    line = VoiceLine(0.0)
    for _ in range(20):
        line.trim(1000 * UNSEEN_S)
    line.due(60.0, wall_s)
    assert (line.delay_s, line.face_hold_s) == (0.0, 0.0)


def test_no_more_than_a_face_may_be_held_is_remembered_as_a_debt():
    line = VoiceLine(0.1)
    line.note_face(0.1)
    for _ in range(20):
        line.trim(500.0)
    line.due(0.0, wall_s)
    line.due(60.0, wall_s)
    assert (line.delay_s, line.face_hold_s) == (0.0, pytest.approx(MAX_HOLD_S))
    line.trim(-1000 * 2 * (MAX_HOLD_S + 0.02))  # now it comes too early
    line.due(120.0, wall_s)
    assert line.face_hold_s == 0.0
    assert abs(line.delay_s - 0.02) < 1e-9


def test_the_line_is_bounded_and_can_be_cleared():
    line = VoiceLine(0.05)
    for number in range(MAX_PACKETS + 10):
        line.push(packet(number), 960 * number)
    assert line.dropped == 10
    line.clear()
    assert line.deadline_s(wall_s) is None
