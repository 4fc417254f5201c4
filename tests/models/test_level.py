import math

import numpy as np
import pytest
import torch

from models.audio import LwsMel80
from models.audio.level import FixedGain, RunningRms, clip_gain


def gains_of(level, powers, live=None):
    power = torch.tensor([powers], dtype=torch.float64)
    heard = torch.ones_like(power, dtype=torch.bool) if live is None else torch.tensor([live])
    return level.gains(power, heard, level.init_memory(1))[0].tolist()


def test_the_running_rms_forgets_exponentially_from_the_target_on():
    # halves per hop, and starts with two hops at the target's mean square of 0.01: 0.02 of weight 2
    level = RunningRms(0.01, memory_s=0.01 / math.log(2), start_s=0.02)
    means = [(0.02 / 2 + 0.04) / 2, (0.05 / 2 + 0.01) / 2]  # the weight stays 2 / 2 + 1 = 2
    assert gains_of(level, [0.04, 0.01]) == pytest.approx([0.1 / math.sqrt(mean) for mean in means])


def test_a_voice_not_yet_heard_is_left_as_it_is():
    assert gains_of(RunningRms(0.01), [0.0, 1e-7]) == pytest.approx([1.0, 1.0])


def test_pauses_and_windows_that_do_not_exist_change_nothing():
    level = RunningRms(0.01)
    spoken = gains_of(level, [0.2, 0.3, 0.1])
    paused = gains_of(level, [0.2, 0.0, 2e-6, 0.3, 0.9, 0.1], [True, True, True, True, False, True])
    assert [paused[hop] for hop in (0, 3, 5)] == pytest.approx(spoken)
    assert paused[1] == paused[2] == paused[0]


def test_the_clips_gain_is_the_published_one():
    assert clip_gain(torch.tensor([0.02, -0.02])) == pytest.approx(5.0)
    assert clip_gain(torch.zeros(100)) == pytest.approx(1000.0)


@pytest.mark.parametrize("rms", [0.01, 0.4])
def test_a_steady_voice_ends_up_at_the_published_level(rms):
    noise = np.random.default_rng(0).standard_normal(8 * 16_000).astype(np.float32)
    sound = torch.from_numpy(noise * np.float32(rms))
    published = LwsMel80(FixedGain(clip_gain(sound)))(sound[None])[0, 600:800]
    running = LwsMel80()(sound[None])[0, 600:800]
    untouched = LwsMel80(FixedGain())(sound[None])[0, 600:800]
    assert (running - published).abs().max() < 0.01  # 1 dB: after 6 s the start still weighs 0.6 dB
    assert (untouched - published).abs().mean() > 0.1  # 12 dB and more without the policy
