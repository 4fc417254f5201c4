import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmarks.faces import demo_photos
from models.audio.log_mel import BANDS
from models.training.sync_clips import SyncClip, draw
from models.training.sync_expert import MOUTH_PX, SEEN_PX, SPAN_FRAMES, SyncExpert, mel_of, mouths_of
from models.training.train_sync import TrainConfig, loss_of, offset_test, train, write_weights
from models.visavis.enrol import find_face


class KnowsTheFrame(SyncExpert):
    """Reads the number of its middle frame off the level of a crop and of a mel row."""

    def __init__(self):
        super().__init__()
        self.places = F.normalize(torch.randn(256, 128, generator=torch.Generator().manual_seed(0)), dim=-1)

    def see(self, mouths):
        return self.places[(mouths[:, 2:-2, 0, 0] * 255).round().long()]

    def hear(self, mel):
        return self.places[mel[:, 8:-8:4, 0].long()]


def clip(frames=75, held_out=True):
    number = np.arange(frames)
    mouths = np.broadcast_to(number[:, None, None], (frames, MOUTH_PX, MOUTH_PX)).astype(np.uint8)
    mel = np.broadcast_to(number.repeat(4)[:, None], (4 * frames, BANDS)).astype(np.float32)
    return SyncClip(mouths, mel, held_out)


@pytest.mark.parametrize("late", [-7, 0, 3])
def test_lips_that_are_late_have_a_positive_offset(late):
    whole = clip()
    # pictures from frame 20 - late on, sound from frame 20 on
    found = KnowsTheFrame().judge(whole.mouths[20 - late : 60 - late], whole.mel[80:240])
    assert found.offset_frames == late
    assert found.confidence > 1.0
    assert len(found.distances) == 31


def test_a_clip_too_short_to_be_shifted_is_refused():
    whole = clip()
    with pytest.raises(ValueError, match="39 frames, want at least 40"):
        KnowsTheFrame().judge(whole.mouths[:39], whole.mel[:156])


def test_the_offset_test_shifts_as_it_says():
    found = offset_test(KnowsTheFrame(), [clip()])
    assert (found.trials, found.exact, found.within_one) == (11, 1.0, 1.0)


def test_row_t_looks_at_frames_t_to_t_plus_4_and_their_sound_alone():
    torch.manual_seed(0)
    net = SyncExpert().eval()
    mouths, mel = torch.rand(1, 9, SEEN_PX, SEEN_PX), torch.rand(1, 36, BANDS)
    other_mouths, other_mel = mouths.clone(), mel.clone()
    other_mouths[:, SPAN_FRAMES:] = 0.5
    other_mel[:, 4 * SPAN_FRAMES :] = 0.5
    with torch.no_grad():
        for run, one, other in ((net.see, mouths, other_mouths), (net.hear, mel, other_mel)):
            a, b = run(one), run(other)
            assert a.shape == (1, 5, 128)
            torch.testing.assert_close(a[:, 0], b[:, 0])
            assert (a[:, 1:] - b[:, 1:]).abs().amax() > 1e-3
            torch.testing.assert_close(a.norm(dim=-1), torch.ones(1, 5))


def test_the_light_of_a_picture_does_not_matter():
    torch.manual_seed(0)
    net, mouths = SyncExpert().eval(), torch.rand(1, 6, SEEN_PX, SEEN_PX)
    with torch.no_grad():
        torch.testing.assert_close(net.see(mouths), net.see(mouths * 0.8 + 0.1), atol=0.02, rtol=0)


def test_sound_is_cut_or_filled_to_the_pictures():
    sound = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    np.testing.assert_array_equal(mel_of(sound, 10), mel_of(sound[:6400], 10))
    longer = mel_of(sound, 30)
    assert longer.shape == (120, BANDS)
    assert not longer[105:].any()


def test_a_mouth_is_cut_alike_wherever_the_head_is():
    photo = demo_photos()[0]
    points = find_face(photo)
    moved = np.roll(photo, (7, -12), axis=(0, 1))
    one, other = mouths_of([photo, photo], np.stack([points] * 2)), mouths_of([moved], points[None] + (-12, 7))
    np.testing.assert_array_equal(one[0], one[1])
    assert np.abs(one[0].astype(int) - other[0]).mean() < 0.5
    assert one[0].std() > 10.0


def test_learning_sees_other_light_and_voices_but_the_same_moment():
    mouths, mel = draw([clip(30)], 4, 30, np.random.default_rng(0))
    assert mouths.shape == (4, 30, SEEN_PX, SEEN_PX)
    assert mel.shape == (4, 120, BANDS)
    # levels rise from frame to frame in pictures and in sound
    assert (mouths.mean((2, 3)).diff(dim=1) > 0).float().mean() > 0.8
    assert (mel[:, ::4].mean(2).diff(dim=1) > 0).float().mean() > 0.8
    assert (mouths[0] - mouths[1]).abs().mean() > 0.005
    assert (mel[0] - mel[1]).abs().mean() > 0.005


def test_the_loss_is_least_where_pictures_and_sounds_agree():
    torch.manual_seed(0)
    seen = F.normalize(torch.randn(2, 20, 128), dim=-1)
    matched, off_by_one, strange = loss_of(seen, seen), loss_of(seen, seen.roll(1, 1)), loss_of(seen, seen.roll(7, 1))
    assert matched < off_by_one - 1.0 < strange - 2.0  # one frame off is half right


def test_a_run_goes_on_from_its_checkpoint_and_its_weights_load(tmp_path):
    clips = [clip(held_out=False)]
    config = TrainConfig(tmp_path, tmp_path, tmp_path / "sync.safetensors", minutes=0.005, batch=1, frames=12)
    first = train(config, clips)
    again = train(config, clips)  # the minutes are used up: nothing more is learned
    for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)
    write_weights(again, config.out)
    loaded = SyncExpert.load(config.out)
    for a, b in zip(again.parameters(), loaded.parameters(), strict=True):
        torch.testing.assert_close(a.half().float(), b)
