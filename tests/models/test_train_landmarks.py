from pathlib import Path

import numpy as np
import pytest
import torch

from models.training.landmark_crops import STORED_PX, CropSet, joined, load_renders, look, spoil
from models.training.train_landmarks import (
    TrainConfig,
    Trainer,
    batch_loss,
    loss_px,
    motion_loss_px,
    parse,
    point_weights,
)
from models.visavis.landmarks import CROP_PX, INNER_LIPS, POINTS, LandmarkNet, align, load_net


def dotted_faces(count):
    """Grey pictures, each with a bright dot at its face's nose tip; the points are the mean face, moved."""
    rng = torch.Generator().manual_seed(3)
    side = 0.6 + 0.1 * torch.rand(count, generator=rng)
    corner = 0.15 + 0.1 * torch.rand(count, 2, generator=rng)
    points = load_net().mean_shape * side[:, None, None] + corner[:, None]
    crops = torch.full((count, STORED_PX, STORED_PX, 3), 60, dtype=torch.uint8)
    for crop, (x, y) in zip(crops, (points[:, 4] * STORED_PX).int().tolist(), strict=True):
        crop[y - 2 : y + 3, x - 2 : x + 3] = 255
    return CropSet(crops, points, side.to(torch.complex64), torch.view_as_complex(corner), torch.arange(len(crops)))


def test_a_crop_shows_each_point_where_its_label_says():
    faces = dotted_faces(16)
    rng = torch.Generator().manual_seed(0)
    crops, labels = look(faces, torch.arange(16), load_net().mirror, rng)
    for crop, label in zip(crops, labels, strict=True):
        bright = (crop[0] > 0.6).nonzero().float().mean(0).flip(0) + 0.5
        assert (bright - label[4] * CROP_PX).norm() < 1.5


def test_labels_of_tight_crops_lie_near_the_mean_face():
    crops_and_labels = look(
        dotted_faces(16), torch.arange(16), load_net().mirror, torch.Generator().manual_seed(0), loose_share=0.0
    )
    off = (crops_and_labels[1] - load_net().mean_shape).norm(dim=-1)
    assert 0.001 < off.mean() < 0.06


def test_spoiling_changes_pictures_but_keeps_them_in_range():
    clean = torch.rand(32, 3, CROP_PX, CROP_PX, generator=torch.Generator().manual_seed(1))
    spoilt = spoil(clean, torch.Generator().manual_seed(2))
    assert spoilt.min() >= 0
    assert spoilt.max() <= 1
    assert ((spoilt - clean).abs().mean(dim=(1, 2, 3)) > 0.005).all()


def test_a_perfect_answer_costs_nothing_and_a_lip_costs_more_than_a_cheek():
    labels = load_net().mean_shape[None]
    weights = point_weights()
    assert loss_px(labels, labels, weights) == 0
    lip, cheek = labels.clone(), labels.clone()
    lip[0, INNER_LIPS[3]] += 0.01
    cheek[0, 50] += 0.01
    assert loss_px(lip, labels, weights) > 4 * loss_px(cheek, labels, weights) > 0


def make_trainer(folder: Path):
    torch.manual_seed(0)
    net = LandmarkNet()
    net.mirror.copy_(load_net().mirror)
    net.train()
    return Trainer(TrainConfig(folder, folder / "net.safetensors", batch=8), net)


def test_a_resumed_run_ends_where_an_unbroken_one_ends(tmp_path):
    faces, weights = dotted_faces(8), point_weights()
    unbroken = make_trainer(tmp_path)
    unbroken.step(batch_loss(unbroken, unbroken.net, faces, weights))
    unbroken.save()
    unbroken.step(batch_loss(unbroken, unbroken.net, faces, weights))
    resumed = make_trainer(tmp_path)
    resumed.resume()
    resumed.step(batch_loss(resumed, resumed.net, faces, weights))
    assert resumed.done == unbroken.done == 2
    for name, value in unbroken.average.items():
        torch.testing.assert_close(resumed.average[name], value)


def test_a_few_steps_lower_the_loss(tmp_path):
    faces, weights = dotted_faces(8), point_weights()
    trainer = make_trainer(tmp_path)
    first, *_, last = [trainer.step(batch_loss(trainer, trainer.net, faces, weights)) for _ in range(12)]
    assert last < 0.8 * first


def test_what_a_person_always_is_costs_no_motion_and_a_short_turn_does():
    rng = torch.Generator().manual_seed(0)
    photos = load_net().mean_shape + 0.01 * torch.randn(4, POINTS, 2, generator=rng)
    turn = torch.zeros(POINTS, 2)
    turn[:, 0] = 0.05 * (torch.arange(POINTS) % 2)  # every second point moves by a twentieth of the crop
    turn[[33, 263]] = 0.0
    labels = torch.cat([photos + turn, photos])
    off = 0.02 * torch.randn(4, POINTS, 2, generator=rng)
    weights = torch.ones(POINTS)
    assert motion_loss_px(labels + torch.cat([off, off]), labels, weights) < 1e-4
    short = torch.cat([photos + 0.6 * turn, photos])
    wanted = 0.4 * float(turn.abs().mean()) * CROP_PX
    assert motion_loss_px(short, labels, weights) == pytest.approx(wanted, rel=0.1)


def test_a_missing_corpus_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_info:
        parse(["--data", str(tmp_path / "none"), "--out", str(tmp_path / "x")])
    assert exit_info.value.code == 2
    assert "corpus folder" in capsys.readouterr().err


def test_weights_favour_lips_and_average_one():
    weights = point_weights()
    assert weights.shape == (POINTS,)
    assert weights.mean() == pytest.approx(1)
    assert weights[INNER_LIPS[0]] == weights.max()


def test_rerendered_states_are_cut_by_person_and_video_frames_left_out(tmp_path):
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.2, 0.8, (POINTS, 2))
    labels = np.tile((40 + 170 * mean).astype(np.float32), (3, 2, 1, 1))
    images = rng.integers(0, 255, (3, 2, 256, 256, 3), dtype=np.uint8)
    held_out = np.array([False, False, True])
    np.savez(tmp_path / "pairs-000.npz", images=images, held_out=held_out, points=labels)
    np.savez(tmp_path / "video.npz", images=images, held_out=held_out)
    known, unseen = load_renders(tmp_path, mean)
    assert (len(known.crops), len(unseen.crops)) == (4, 2)
    both = joined(known, unseen)
    assert len(both.crops) == len(both.points) == len(both.turns) == len(both.corners) == 6
    assert both.photos.tolist() == [0, 0, 2, 2, 4, 4]
    place = align(mean, both.points[0].double().numpy())  # the same face, wherever it was cut
    assert abs(place.turn - complex(both.turns[0])) < 1e-4
