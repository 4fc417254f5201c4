import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.rig import SPEECH
from models.system import AudioFeatures
from models.visavis.speech import SpeechNet


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return SpeechNet().eval().requires_grad_(False)


def clip(batch: int, frames: int, seed: int = 1):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(batch, frames, 4, 80, generator=random) * 2


def stream(net: SpeechNet, values: torch.Tensor, lookahead_ms: torch.Tensor, state) -> torch.Tensor:
    frames = [net.step(AudioFeatures(values[:, f], lookahead_ms), state) for f in range(values.shape[1])]
    return torch.stack(frames, 1)


@settings(deadline=None, max_examples=20)
@given(frames=st.integers(1, 30), lookahead_ms=st.sampled_from([0.0, 40.0, 55.0, 200.0]))
def test_frame_by_frame_equals_the_whole_clip(net, frames, lookahead_ms):
    values, ahead = clip(2, frames), torch.full((2,), lookahead_ms)
    state = net.init_state(2)
    streamed = stream(net, values, ahead, state)
    whole, voice = net(values, ahead)
    torch.testing.assert_close(streamed, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state.voice, voice[:, -1], atol=1e-5, rtol=1e-5)
    assert whole.shape == (2, frames, len(SPEECH))


def test_rows_of_a_batch_do_not_touch_each_other(net):
    values, ahead = clip(3, 12), torch.tensor([0.0, 40.0, 120.0])
    together, _ = net(values, ahead)
    for row in range(3):
        alone, _ = net(values[row : row + 1], ahead[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_reset_forgets_the_named_rows_only_and_in_place(net):
    values, ahead = clip(2, 10), torch.full((2,), 40.0)
    state = net.init_state(2)
    stream(net, values, ahead, state)
    address, kept = state.hidden.data_ptr(), state.hidden[1].clone()
    state.reset(torch.tensor([True, False]))
    assert state.hidden.data_ptr() == address
    torch.testing.assert_close(state.hidden[1], kept)
    fresh, _ = net(values[:1], ahead[:1])
    torch.testing.assert_close(stream(net, values, ahead, state)[:1], fresh, atol=1e-5, rtol=1e-5)


def test_the_look_ahead_changes_the_answer(net):
    values = clip(1, 10)
    near, _ = net(values, torch.tensor([0.0]))
    far, _ = net(values, torch.tensor([200.0]))
    assert (near - far).abs().max() > 1e-4
