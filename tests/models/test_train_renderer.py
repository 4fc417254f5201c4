"""Training the renderer: its data at two sizes, where the gradients go, and how the large one begins."""

import json

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from safetensors.torch import load_file

from models.training.critic import Critic
from models.training.pairs_dataset import PairSet
from models.training.train_renderer import Renderer, TrainConfig, enlarged, loss_of, prepare, train
from models.visavis.geometry import Geometry
from models.visavis.ict import Rig, mean_shape


def write_shard(path, side, persons=2, states=3):
    """Random smooth pictures of the mean face; the second person is held out."""
    random = np.random.default_rng(0)
    images = random.integers(60, 200, (persons, states, 8, 8, 3)).repeat(side // 8, 2).repeat(side // 8, 3)
    shape = {name: t.expand(persons, *t.shape[1:]).clone() for name, t in mean_shape().tensors().items()}
    shape["scale_px_per_cm"] *= side / 256
    shape["centre_px"] *= side / 256
    np.savez(
        path,
        images=images.astype(np.uint8),
        controls=random.uniform(0, 0.3, (persons, states, 57)).astype(np.float32),
        held_out=np.arange(persons) == 1,
        set=np.array(["here"] * persons),
        **{name: t.numpy() for name, t in shape.items()},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("pairs")
    write_shard(out / "pairs-000.npz", 512)
    write_shard(out / "grid-000.npz", 256)
    return out


def test_pictures_are_made_as_small_as_wanted_and_small_ones_are_left_out(folder):
    small, base = (PairSet(folder, held_out=False, detail=detail) for detail in (1, 2))
    assert (len(small), len(base)) == (2, 1)
    large = np.load(folder / "pairs-000.npz")["images"][0]
    np.testing.assert_array_equal(base.images[0], large)
    means = large.reshape(3, 256, 2, 256, 2, 3).mean((2, 4))
    np.testing.assert_allclose(small.images[1], means, atol=0.5)


def test_a_person_lies_in_frame_pixels_whatever_the_pictures_size(folder):
    small, base = (PairSet(folder, held_out=True, detail=detail) for detail in (1, 2))
    mean = mean_shape()
    for shape in (*small.shapes, *base.shapes):
        torch.testing.assert_close(shape["scale_px_per_cm"], mean.scale_px_per_cm[0])
        torch.testing.assert_close(shape["centre_px"], mean.centre_px[0])


@pytest.mark.parametrize("detail", [1, 2])
def test_the_painters_loss_reaches_every_weight_of_it_and_none_of_the_critics(folder, detail):
    torch.manual_seed(0)
    model, critic = Renderer(detail), Critic(1e-3)
    torch.nn.init.normal_(model.net.leave.weight, std=0.01)  # it starts at 0, which stops the gradient
    pairs = PairSet(folder, held_out=False, detail=detail)
    example = prepare(Geometry(Rig.load(), detail), pairs.draw(2, np.random.default_rng(0)), np.random.default_rng(1))
    painted = model(example)
    critic.learn(painted, example)
    assert all(parameter.grad is None for parameter in model.parameters())
    loss_of(painted, example, None, 0.0).backward(retain_graph=True)
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    before = [parameter.grad.clone() for parameter in model.parameters()]
    critic.complaint(painted, example).backward()
    after = [parameter.grad for parameter in model.parameters()]
    assert all((one != other).any() for one, other in zip(before, after, strict=True))


def test_a_critic_learns_to_tell_truth_from_painting(folder):
    torch.manual_seed(0)
    example = prepare(Geometry(Rig.load()), PairSet(folder, held_out=False).draw(2, np.random.default_rng(0)), None)
    painted = {region: F.avg_pool2d(truth, 5, 1, 2) for region, truth in example.truth.items()}
    critic = Critic(2e-3)
    before = critic.complaint(painted, example) - critic.complaint(example.truth, example)
    for _ in range(100):
        critic.learn(painted, example)
    after = critic.complaint(painted, example) - critic.complaint(example.truth, example)
    assert after > before + 1.0


def test_the_large_renderer_begins_with_the_small_ones_answer_enlarged():
    torch.manual_seed(0)
    small, base = Renderer(1), Renderer(2)
    torch.nn.init.normal_(small.net.leave.weight, std=0.05)
    base.load_state_dict(enlarged(small.state_dict(), base))
    photo, fine, coarse = torch.rand(1, 4, 256, 256), torch.rand(1, 9, 56, 80), torch.rand(1, 8, 28, 40)
    at, steer = torch.rand(1, 28, 40, 2) * 2 - 1, torch.rand(1, 109)

    def double(picture):
        return picture.repeat_interleave(2, 2).repeat_interleave(2, 3)

    want = small.net(fine, coarse, *small.encoder(photo), at, steer)
    got = base.net(double(fine), coarse, *base.encoder(double(photo)), at, steer)
    torch.testing.assert_close(got, double(want), atol=1e-5, rtol=1e-4)
    assert (want - fine[:, :3]).abs().mean() > 0.01  # something was painted


def one_of_two(rank, pairs, out):
    dist.init_process_group("gloo", init_method=f"file://{out}/meet", rank=rank, world_size=2)
    model = train(TrainConfig(pairs, out / "run", minutes=0.1, batch=2, threads=1, critic_from=0.0))
    torch.save(model.state_dict(), out / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_train_one_renderer_and_the_first_one_writes(folder, tmp_path):
    mp.spawn(one_of_two, (folder, tmp_path), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=0, atol=0, msg=name)
    torch.manual_seed(0)
    fresh = Renderer().state_dict()
    assert any((fresh[name] != value).any() for name, value in one.items())
    first, last = (json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert (first["persons"], first["step"]) == (2, 0)
    assert last["step"] >= 1
    assert load_file(tmp_path / "run" / "renderer.safetensors").keys() == one.keys()
