"""FC-TFG's losses by hand, and which networks each of them moves."""

import math

import pytest
import torch
from torch import nn

from models.blocks.lip_motion import LIPS
from models.blocks.syncnet import SyncNet
from models.errors import CheckpointError
from models.fctfg.arcface import ArcFace
from models.fctfg.losses import critic_gan, generator_gan, identity, mouths, orthogonality, r1, sync
from models.fctfg.networks import FctfgNetworks
from models.fctfg.objective import Batch, FctfgObjective
from models.fctfg.visual import cover_mouths, lower_face
from tests.models.fctfg.tiny import tiny


class Colour(nn.Module):
    """A judge of identity that sees the mean colour."""

    def forward(self, faces):
        return faces.mean((2, 3))


def test_orthogonality_is_the_mean_size_of_the_latents_products():
    canonical = torch.tensor([[[1.0, 2.0], [3.0, 0.0]]])
    motion = torch.tensor([[[2.0, -3.0], [0.0, 5.0]]])
    assert orthogonality(canonical, motion).item() == pytest.approx((4 + 0) / 2)


def test_identity_and_sync_are_one_less_the_cosine():
    drawn, source = torch.tensor([[2.0, 0.0]], requires_grad=True), torch.tensor([[1.0, 1.0]], requires_grad=True)
    loss = identity(drawn, source)
    assert loss.item() == pytest.approx(1 - math.sqrt(0.5))
    loss.backward()
    assert source.grad is None
    assert sync(torch.tensor([0.25, 0.75])).item() == pytest.approx(0.5)


def test_gan_losses_are_softplus():
    assert generator_gan(torch.tensor([[0.0]])).item() == pytest.approx(math.log(2))
    assert generator_gan(torch.tensor([[30.0]])).item() < 1e-6
    want = math.log(1 + math.exp(-1.0)) + math.log(1 + math.exp(2.0))
    assert critic_gan(torch.tensor([[1.0]]), torch.tensor([[2.0]])).item() == pytest.approx(want)


def test_r1_is_half_the_squared_slope():
    pictures = torch.zeros(2, 3, 1, 1, requires_grad=True)
    scores = (pictures * torch.tensor([1.0, 2.0, 2.0])[:, None, None]).sum((1, 2, 3))[:, None]
    assert r1(scores, pictures).item() == pytest.approx(9 / 2)


def test_mouths_are_the_lower_face_of_five_frames_in_bgr():
    clip = torch.full((1, 5, 3, 100, 100), -1.0)
    clip[:, 2, 0, 45:85, 20:80] = 1.0  # red, in the third frame
    got = mouths(clip)
    assert got.shape == (1, 15, 48, 96)
    lit = got[0].mean((1, 2))
    assert lit[8].item() == pytest.approx(1.0)  # blue, green, red of frame 2
    assert lit.sum().item() == pytest.approx(1.0)
    with pytest.raises(ValueError, match="4 frames"):
        mouths(clip[:, :4])


@torch.no_grad()
def test_the_published_scorer_has_the_published_form():
    with torch.device("meta"):
        net = SyncNet().eval()
    assert len(net.face_encoder) == 17
    assert len(net.audio_encoder) == 14
    shapes = []
    for block in net.face_encoder:
        block.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    net(torch.zeros(1, 15, 48, 96, device="meta"), torch.zeros(1, 1, 80, 16, device="meta"))
    stages = [(32, 48, 96)] + [(64, 46, 47)] * 3 + [(128, 23, 24)] * 4 + [(256, 12, 12)] * 3 + [(512, 6, 6)] * 3
    assert shapes == [*stages, (512, 3, 3), (512, 1, 1), (512, 1, 1)]


def test_files_without_the_judges_are_refused(tmp_path):
    torch.save({"state_dict": {"face_encoder.0.unknown": torch.zeros(1)}}, tmp_path / "judge.pth")
    with pytest.raises(CheckpointError, match="lip-sync expert"):
        SyncNet.load(tmp_path / "judge.pth")
    with pytest.raises(CheckpointError, match="ArcFace"):
        ArcFace.load(tmp_path / "judge.pth")


def make(carries):
    torch.manual_seed(0)
    scorer = SyncNet((4, 4, 4, 4, 6))
    objective = FctfgObjective(FctfgNetworks(tiny("per_style", carries)), Colour(), scorer)
    objective.perceptual.sizes = (0,)  # VGG-19 leaves nothing of an eighth of 32 px
    return objective


@pytest.fixture(scope="module")
def objective():
    return make(carries=False)


@pytest.fixture(scope="module")
def carrying():
    return make(carries=True)


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(1)
    frames = torch.rand(2, 5, 3, 32, 32) * 2 - 1
    return Batch(frames[:, 0], frames, torch.randn(2, 5, 1, 80, 16), torch.rand(2, 5, len(LIPS)))


def moved(objective, *losses):
    objective.zero_grad(set_to_none=True)
    sum(losses).backward()
    touched = [n for n, p in objective.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    return {name.removeprefix("networks.").split(".")[0] for name in touched}


def test_inversion_moves_visual_encoder_and_generator(objective, batch):
    losses = objective.inversion(batch)
    assert moved(objective, *losses.values()) - {"critic_net"} == {"visual", "generator"}


def test_the_voice_is_told_lips_and_nothing_else_moves(objective, batch):
    assert moved(objective, *objective.voice(batch).values()) == {"audio", "lips_head"}


def test_faces_move_all_that_draws_but_the_fusion_over_time(objective, carrying, batch):
    drawing = {"visual", "audio", "canonical", "motion", "generator", "lips_head"}
    assert moved(objective, *objective.faces(batch).values()) == drawing
    assert moved(carrying, *carrying.faces(batch).values()) == drawing | {"carrier"}


def test_a_drivers_mouth_is_grey_and_the_rest_stays(objective, batch):
    clip = torch.ones(2, 3, 100, 100)
    covered = cover_mouths(clip)
    assert (covered[..., 45:85, 20:80] == 0).all()
    assert covered.sum() == clip.sum() - 2 * 3 * 40 * 60
    assert clip.min() == 1
    other = batch.frames.clone()
    other[..., *lower_face(32)] = 0.3
    net = objective.networks.eval()
    one, two = (net.encode(batch.source, driver, net.hear(batch.mel))[1] for driver in (batch.frames, other))
    objective.train()
    assert one.equal(two)


def test_the_generators_turn_moves_all_but_judges_and_pose_map(objective, carrying, batch):
    drawing, losses = {"visual", "audio", "canonical", "motion", "fusion", "generator"}, objective.generator(batch)
    assert moved(objective, *losses.values()) - {"critic_net"} == drawing | {"lips_head"}
    got = moved(carrying, *carrying.generator(batch).values()) - {"critic_net"}
    assert got == drawing | {"lips_head", "carrier"}
    told = {"l1", "perceptual", "mouth", "motion", "lips", "adversarial", "identity", "sync", "orthogonality"}
    assert set(losses) == told


def test_orthogonality_moves_the_mappings_and_never_the_generator(objective, batch):
    got = moved(objective, objective.generator(batch)["orthogonality"])
    assert got == {"visual", "audio", "canonical", "motion"}


def test_the_critics_turn_moves_the_critic_alone_and_adds_r1_every_sixteenth_step(objective, batch):
    objective.generator(batch)
    plain, lazy = objective.critic(batch, step=5), objective.critic(batch, step=16)
    assert set(plain) == {"critic"}
    assert set(lazy) == {"critic", "r1"}
    assert moved(objective, *lazy.values()) == {"critic_net"}
