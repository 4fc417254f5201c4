import json
import socket

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from models.equiav.config import SMALL
from models.equiav.network import EquiAV
from models.equiav.scorer import Scorer
from models.errors import ResumeError
from models.training.equiav_batches import random_windows, views, windows
from models.training.equiav_score import main as score_main
from models.training.equiav_score import offset_scores, retrieval, right_share, score
from models.training.equiav_windows import Clips, cut, is_held_out, load, mouth_boxes
from models.training.train_equiav import TrainConfig, Trainer, main, parse, rate, train


def talking(count=8):
    """Clips whose mouths are as bright as their sound is loud."""
    rng = torch.Generator().manual_seed(0)
    loud = torch.rand(count, 75, generator=rng)
    mouths = (255 * loud)[:, :, None, None, None].expand(count, 75, 3, *SMALL.video.patch).byte()
    sound = (8 * loud - 11.5).repeat_interleave(4, 1)[:, :, None].expand(count, 300, 128)
    return Clips(mouths, sound.contiguous())


@pytest.fixture
def clips_file(tmp_path):
    clips = talking(12)
    held_out = np.arange(12) >= 8
    sound = clips.sound.half().numpy()
    np.savez(tmp_path / "clips.npz", mouths=clips.mouths.numpy(), sound=sound, held_out=held_out)
    return tmp_path / "clips.npz"


def config(clips_file, **settings):
    defaults = {"steps": 4, "batch": 8, "out": clips_file.parent / "net.safetensors"}
    return TrainConfig(clips=clips_file, **(defaults | settings))


def trainer(of):
    torch.manual_seed(of.seed)
    return Trainer(of, EquiAV(SMALL))


def test_the_rate_rises_then_falls_as_published():
    rates = [rate(step, 200, 1e-4) for step in range(201)]
    assert rates[0] == pytest.approx(2e-7)
    assert max(rates) == rates[20] == pytest.approx(1e-4)
    assert rates[110] == pytest.approx((1e-4 + 1e-6) / 2)
    assert rates[200] == pytest.approx(1e-6)


@pytest.mark.parametrize("objective", ["equivariant", "plain"])
def test_a_resumed_run_ends_where_an_unbroken_one_ends(clips_file, objective):
    of, clips = config(clips_file, objective=objective), talking()
    unbroken = trainer(of)
    unbroken.step(clips)
    unbroken.save()
    unbroken.step(clips)
    resumed = trainer(of)
    resumed.resume()
    resumed.step(clips)
    assert resumed.done == unbroken.done == 2
    for name, value in unbroken.net.state_dict().items():
        torch.testing.assert_close(resumed.net.state_dict()[name], value, msg=name)


def test_the_loss_falls(clips_file):
    of = config(clips_file, steps=20, batch=16)
    learner, clips = trainer(of), talking()
    first, *_, last = [learner.step(clips)["loss"] for _ in range(of.steps)]
    assert last < 0.9 * first


def test_plain_training_leaves_what_only_equivariance_needs(clips_file):
    learner = trainer(config(clips_file, objective="plain"))
    before = {name: value.clone() for name, value in learner.net.state_dict().items()}
    learner.done = 2  # the first rates are too small to see
    learner.step(talking())
    changed = {name.split(".")[1] for name, value in learner.net.state_dict().items() if not value.equal(before[name])}
    assert changed == {"patch_embed", "modality", "blocks", "norm", "pred_inter"}


def test_a_run_with_other_settings_is_not_resumed_and_not_overwritten(clips_file):
    first = trainer(config(clips_file))
    first.save()
    kept = first.checkpoint.read_bytes()
    with pytest.raises(ResumeError, match="another objective, batch"):
        trainer(config(clips_file, objective="plain", batch=16)).resume()
    assert main(["--clips", str(clips_file), "--out", str(first.config.out), "--steps", "3", "--batch", "8"]) == 1
    assert first.checkpoint.read_bytes() == kept


def test_training_writes_weights_and_curves_that_the_scorer_reads(clips_file, capsys):
    of = config(clips_file, steps=2)
    train(of)
    curve = [json.loads(line) for line in of.out.with_suffix(".losses.jsonl").read_text().splitlines()]
    assert [row["step"] for row in curve] == [1, 2]
    assert curve[0]["loss"] == pytest.approx((curve[0]["inter"] + curve[0]["audio"] + curve[0]["video"]) / 3, rel=1e-5)
    assert Scorer.load(of.out).transforms is not None
    assert score_main(["--clips", str(clips_file), "--json", str(of.out)]) == 0
    shown = json.loads(capsys.readouterr().out)["net"]
    assert (shown["clips"], shown["windows"]) == (4, 12)
    assert shown["chance_sync"] == pytest.approx(3 / 31)


def test_wrong_usage_is_told(clips_file, capsys):
    for options in (["--clips", "none.npz", "--out", "x"], ["--clips", str(clips_file), "--out", "x", "--batch", "6"]):
        with pytest.raises(SystemExit) as exit_info:
            parse(options)
        assert exit_info.value.code == 2
    assert "multiple of 4" in capsys.readouterr().err


def test_held_out_clips_are_others_and_about_eight_percent(clips_file):
    assert (len(load(clips_file, held_out=False)), len(load(clips_file, held_out=True))) == (8, 4)
    assert 50 < sum(is_held_out(f"clip{i}") for i in range(1000)) < 110


def test_a_window_shows_and_sounds_the_same_time():
    clips = talking(2)
    sound, mouths = windows(clips, torch.tensor([1, 0]), torch.tensor([7, 30]))
    assert mouths.shape == (2, 16, 3, 24, 40)
    torch.testing.assert_close(mouths[1, :, 0, 0, 0], clips.mouths[0, 30:46, 0, 0, 0] / 255)
    loud = (4.0 * sound[0, 0, ::4, 0] - 7.5 + 11.5) / 8
    torch.testing.assert_close(loud, mouths[0, :, 0, 0, 0], atol=1 / 255, rtol=0)


def test_random_windows_of_a_clip_lie_apart():
    clips = Clips(
        torch.zeros(5, 75, 3, 24, 40, dtype=torch.uint8),
        torch.arange(300.0).expand(5, 300)[..., None].expand(5, 300, 128),
    )
    for seed in range(5):
        sound, _ = random_windows(clips, 16, torch.Generator().manual_seed(seed))
        starts = ((sound[:, 0, 0, 0] * 4 - 7.5) / 4).reshape(4, 4)
        assert (starts.diff(dim=1) >= 4).all()
        assert starts.min() >= 0
        assert starts.max() <= 59


def test_the_two_views_of_a_batch_differ_only_by_the_transform():
    rng = torch.Generator().manual_seed(0)
    audio, video = views(*random_windows(talking(), 8, rng), rng)
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
            return torch.nn.functional.normalize(((rows[:, ::4, 0] + 11.5) / 8) - 0.5, dim=1)

        def embed_mouths(self, mouths):
            return torch.nn.functional.normalize(mouths[:, :, 0, 0, 0] - 0.5, dim=1)

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


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_process(rank, port, clips_file):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    learner = trainer(config(clips_file))
    learner.done = 2
    losses = learner.step(talking())
    learner.save()
    torch.save((losses, learner.net.state_dict()), clips_file.parent / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_learn_one_network_from_different_windows(clips_file):
    mp.spawn(one_process, (free_port(), clips_file), nprocs=2)
    (first, net), (second, other) = (torch.load(clips_file.parent / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert first["loss"] != second["loss"]
    alone = trainer(config(clips_file))
    alone.done = 2
    alone.step(talking())
    for name, value in net.items():
        torch.testing.assert_close(other[name], value, msg=name)
    moved = "audio.pred_inter.fc1.weight"
    assert not torch.allclose(net[moved], alone.net.state_dict()[moved])
    again = trainer(config(clips_file))
    again.resume()
    assert again.done == 3
    torch.testing.assert_close(again.net.state_dict()[moved], net[moved])
