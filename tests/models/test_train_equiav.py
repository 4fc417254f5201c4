import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import models.equiav
from models.equiav.config import SMALL
from models.equiav.scorer import Scorer
from models.errors import CheckpointError
from models.training.clips import ClipSet
from models.training.equiav_batches import views
from models.training.equiav_score import offset_scores, retrieval, right_share, score
from models.training.equiav_windows import MouthSet, cut, mouth_boxes, windows
from models.training.recipes.equiav import PlainRecipe, rate
from models.training.stages import Judges
from models.training.systems import make_recipe
from models.training.train_system import RunConfig, Trainer, train
from stream import cli
from tests.models.talking import talking_clip, write_clips


def talking(count=8):
    """Clips whose mouths are as bright as their sound is loud."""
    rng = torch.Generator().manual_seed(0)
    loud = torch.rand(count, 75, generator=rng)
    mouths = (255 * loud)[:, :, None, None, None].expand(count, 75, 3, *SMALL.video.patch).byte()
    sound = (8 * loud - 11.5).repeat_interleave(4, 1)[:, :, None].expand(count, 300, 128)
    return list(zip(mouths, sound, strict=True))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


def test_the_rate_rises_then_falls_as_published():
    rates = [1e-4 * rate(step / 200) for step in range(201)]
    assert rates[0] == pytest.approx(2e-7)
    assert max(rates) == rates[20] == pytest.approx(1e-4)
    assert rates[110] == pytest.approx((1e-4 + 1e-6) / 2)
    assert rates[200] == pytest.approx(1e-6)


def test_plain_training_leaves_what_only_equivariance_needs(data, tmp_path):
    torch.manual_seed(0)
    recipe = PlainRecipe(ClipSet(data, held_out=False, frames=32), SMALL, Judges())
    before = {name: value.clone() for name, value in recipe.networks.state_dict().items()}
    trainer = Trainer(recipe, RunConfig(tmp_path, steps=10, batch=2))
    for _ in range(3):
        trainer.step(trainer.prepare(trainer.done))
    now = recipe.networks.state_dict()
    changed = {name.split(".")[1] for name, value in now.items() if not value.equal(before[name])}
    assert changed == {"patch_embed", "modality", "blocks", "norm", "pred_inter"}


def test_both_objectives_write_weights_that_the_scorer_tells_apart(data, tmp_path, capsys):
    files: dict[str, str] = {}
    for system in ("equiav", "equiav-plain"):
        recipe, fingerprint = make_recipe(system, "small", data, Judges())
        train(recipe, RunConfig(tmp_path, steps=1, batch=2, data=fingerprint, quiet=True))
        (tmp_path / "checkpoint.pt").unlink()
        files[system] = str(tmp_path / f"{system}.safetensors")
    assert Scorer.load(tmp_path / "equiav.safetensors").transforms is not None
    assert Scorer.load(tmp_path / "equiav-plain.safetensors", plain=True).transforms is None
    with pytest.raises(CheckpointError, match="weights of equiav-plain"):
        Scorer.load(tmp_path / "equiav-plain.safetensors")
    for seed in (1, 2):
        talking_clip("milo", seed, held_out=True, frames=60).save(tmp_path / "held-out" / "milo" / f"{seed}.npz")
    systems = [word for name in files for word in ("--system", name, "--weights", files[name])]
    assert cli.main(["eval", *systems, "--videos", str(tmp_path / "held-out"), "--json", "-"]) == 0
    told = json.loads(capsys.readouterr().out)["equiav"]
    shown = {name.split(",")[0]: of for name, of in told.items()}
    assert set(shown) == {"equiav", "equiav-plain"}
    assert (shown["equiav"]["clips"], shown["equiav"]["windows"]) == (2, 6)
    assert shown["equiav"]["chance_sync"] == pytest.approx(3 / 31)


def test_the_bundled_weights_embed_both_sides(data):
    scorer = Scorer.load(Path(models.equiav.__file__).parent / "weights" / "equiav.safetensors")
    mouths, rows = MouthSet(ClipSet(data, held_out=False, frames=32))[0]
    starts = torch.tensor([[0], [12], [24]])
    sound = scorer.embed_sound(rows[4 * starts + torch.arange(64)])
    seen = scorer.embed_mouths(mouths[starts + torch.arange(16)].float() / 255)
    assert sound.shape == seen.shape == (3, 128)
    torch.testing.assert_close(torch.cat([sound, seen]).norm(dim=1), torch.ones(6))
    assert (sound @ seen.T).std() > 0.01  # not one answer for everything


def test_a_window_shows_and_sounds_the_same_time():
    mouths, rows = talking(1)[0]
    sound, seen = windows(mouths, rows, torch.tensor([7, 30]))
    assert seen.shape == (2, 16, 3, 24, 40)
    torch.testing.assert_close(seen[1, :, 0, 0, 0], mouths[30:46, 0, 0, 0] / 255)
    loud = (4.0 * sound[0, 0, ::4, 0] - 7.5 + 11.5) / 8
    torch.testing.assert_close(loud, seen[0, :, 0, 0, 0], atol=1 / 255, rtol=0)


def test_drawn_windows_of_a_clip_lie_apart_and_match_in_time(tmp_path):
    talking_clip("ada", 1, frames=75).save(tmp_path / "ada" / "1.npz")
    clips = MouthSet(ClipSet(tmp_path, held_out=False, frames=75))
    mouths, rows = clips[0]
    every = torch.stack([mouths[start : start + 16] / 255 for start in range(60)])
    for seed in range(5):
        sound, seen = clips.draw(1, torch.Generator().manual_seed(seed))
        starts = [int((every - window).abs().flatten(1).sum(1).argmin()) for window in seen]
        for start, heard, window in zip(starts, sound, seen, strict=True):
            torch.testing.assert_close(every[start], window)
            torch.testing.assert_close(windows(mouths, rows, torch.tensor([start]))[0][0], heard)
        assert (torch.tensor(starts).diff() >= 4).all()


def test_the_two_views_of_a_batch_differ_only_by_the_transform():
    rng = torch.Generator().manual_seed(0)
    parts = [windows(*clip, torch.tensor([3])) for clip in talking()]
    audio, video = views(*(torch.cat(side) for side in zip(*parts, strict=True)), rng)
    assert audio.clean.shape == audio.augmented.shape == (8, 1, 128, 64)
    assert video.clean.shape == video.augmented.shape == (8, 3, 24, 640)
    assert not torch.allclose(audio.clean, audio.augmented)
    assert not torch.allclose(video.clean, video.augmented)
    flat = video.augmented[0, 0].reshape(24, 16, 40)
    assert (flat.amax((0, 2)) - flat.amin((0, 2))).max() < 0.1  # even frames stay even: each got the same


def test_ranks_by_hand():
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.8, 0.5, 0.1], [0.7, 0.7, 0.7]])
    got = retrieval(similarity)
    assert got.r1 == pytest.approx(1 / 3)
    assert got.r5 == got.r10 == 1
    assert got.median_rank == 2


def test_offsets_are_read_with_their_sign():
    similarity = torch.zeros(60, 60)
    similarity[20, 23] = 1.0  # these mouths look like sound three frames later
    similarity[21, 22] = 1.0
    scores = offset_scores(similarity)
    assert scores.shape == (30, 31)
    assert scores[5].argmax() == 18
    assert right_share(scores[5:7]) == 0.5


def test_a_perfect_scorer_scores_perfectly():
    class Ideal:
        """Embeds the loudness of each frame itself."""

        def embed_sound(self, rows):
            return F.normalize(((rows[:, ::4, 0] + 11.5) / 8) - 0.5, dim=1)

        def embed_mouths(self, mouths):
            return F.normalize(mouths[:, :, 0, 0, 0] - 0.5, dim=1)

    got = score(Ideal(), talking(3))
    assert got.audio_to_video.r1 == got.video_to_audio.r1 == got.sync_window == got.sync_clip == 1


def test_the_box_follows_the_eyes_and_not_the_lips():
    marks = torch.zeros(5, 68, 2) + torch.tensor([100.0, 150.0])
    irises = torch.tensor([[80.0, 90.0], [120.0, 90.0]]).expand(5, 2, 2).clone()
    marks[3, 48:] += 6  # the mouth alone
    irises[4] += 10  # the head
    marks[4] += 10
    boxes = mouth_boxes(marks, irises, 0.6)
    torch.testing.assert_close(boxes[0], torch.tensor([75.0, 135.0, 50.0, 30.0]))
    torch.testing.assert_close(boxes[3], boxes[0])
    torch.testing.assert_close(boxes[4, :2], boxes[0, :2] + 10)


def test_a_cut_takes_the_box():
    frames = torch.zeros(1, 3, 224, 224)
    frames[..., 135:165, 75:125] = 1.0
    got = cut(frames, torch.tensor([[75.0, 135.0, 50.0, 30.0]]), (30, 50))
    torch.testing.assert_close(got, torch.ones(1, 3, 30, 50))
