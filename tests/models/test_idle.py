import numpy as np
import pytest
import torch

from models.idle import IdleLife
from models.rig import INDEX, LIMITS

FRAME_MS = 40.0


def film(seed: int, seconds: float, voice: float = 0.0, step_ms: float = FRAME_MS) -> torch.Tensor:
    life = IdleLife(seed)
    return torch.stack([life.controls(i * step_ms, voice) for i in range(int(seconds * 1000 / step_ms))])


def blink_times_ms(seed: int, seconds: float) -> np.ndarray:
    lids = film(seed, seconds, step_ms=10.0)[:, INDEX["eyeBlinkLeft"]].numpy()
    return np.flatnonzero((lids[1:] > 0.5) & (lids[:-1] <= 0.5)) * 10.0


def test_the_same_seed_lives_the_same_life_whatever_was_asked_before():
    asked_before = IdleLife(3)
    for pts_ms in (500_000.0, 10.0, 61_000.0):
        asked_before.controls(pts_ms, 1.0)
    for pts_ms in (0.0, 59_990.0, 60_010.0, 130_000.0):
        torch.testing.assert_close(asked_before.controls(pts_ms, 0.3), IdleLife(3).controls(pts_ms, 0.3))


def test_different_seeds_blink_at_different_times():
    assert not np.array_equal(blink_times_ms(1, 30), blink_times_ms(2, 30))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_blinks_come_as_often_as_a_persons(seed):
    gaps_s = np.diff(blink_times_ms(seed, 180)) / 1000
    single = gaps_s[gaps_s > 1.0]
    assert 10 <= len(blink_times_ms(seed, 180)) / 3 <= 28
    assert 2.0 <= np.median(single) <= 6.0
    assert single.max() < 11.0  # around a minute's end two gaps may meet


def test_a_blink_shuts_the_eye_and_opens_slower_than_it_closes():
    lids = film(0, 60, step_ms=5.0)[:, INDEX["eyeBlinkLeft"]].numpy()
    peak = int(lids.argmax())
    closing = peak - max(i for i in range(peak) if lids[i] < 0.1)
    opening = min(i for i in range(peak, len(lids)) if lids[i] < 0.1) - peak
    assert lids.max() > 0.9
    assert 12 <= closing <= 24  # 60 to 120 ms
    assert closing < opening <= 40


def test_both_lids_blink_together():
    frames = film(4, 20)
    assert torch.equal(frames[:, INDEX["eyeBlinkLeft"]], frames[:, INDEX["eyeBlinkRight"]])


def test_the_head_sways_by_a_degree_or_so_smoothly_and_more_in_speech():
    angles = [INDEX[name] for name in ("headYaw", "headPitch", "headRoll")]
    resting, speaking = film(5, 120)[:, angles], film(5, 120, voice=1.0)[:, angles]
    assert 0.3 < resting[:, 0].abs().max() < 2.0
    assert speaking.abs().max() < 3.0
    assert speaking.diff(dim=0).abs().mean() > 1.2 * resting.diff(dim=0).abs().mean()
    assert speaking.diff(dim=0).abs().max() < 0.4  # degrees a frame


def test_gaze_holds_still_between_shifts_and_stays_near_the_listener():
    gaze = film(6, 120)[:, INDEX["gazeYaw"]]
    assert (gaze.diff().abs() < 1e-6).float().mean() > 0.9
    assert 1.0 < gaze.abs().max() <= 10.0
    assert gaze.abs().median() < 2.0


def test_the_gaze_does_not_jump_at_a_minutes_end():
    life = IdleLife(7)
    before, after = (life.controls(pts_ms, 0.0)[INDEX["gazeYaw"]] for pts_ms in (59_999.9, 60_000.0))
    assert abs(before - after) < 1e-3


def test_nothing_but_lids_gaze_and_head_moves_and_all_stays_in_limits():
    frames = film(8, 60, voice=0.7)
    moved = {name for name, i in INDEX.items() if frames[:, i].abs().max() > 0}
    assert moved == {"eyeBlinkLeft", "eyeBlinkRight", "gazeYaw", "gazePitch", "headYaw", "headPitch", "headRoll"}
    for name, i in INDEX.items():
        low, high = LIMITS[name]
        assert low <= frames[:, i].min()
        assert frames[:, i].max() <= high
