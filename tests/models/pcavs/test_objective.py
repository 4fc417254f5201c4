"""Which networks each of PC-AVS's losses moves, and the discriminator's form."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from models.blocks.fan import landmark_maps
from models.blocks.lip_motion import LIPS, Voice
from models.pcavs.critic import MultiScaleCritic
from models.pcavs.networks import PcavsNetworks
from models.pcavs.objective import AlignmentBatch, Batch, LossWeights, PcavsObjective, TurnedBatch
from tests.models.pcavs.published import TINY

PARTS = ("identity", "audio", "motion.model", "motion.to_mouth", "motion.mouth_embed", "motion.to_headpose")


@pytest.fixture(scope="module")
def objective():
    torch.manual_seed(0)
    return PcavsObjective(PcavsNetworks(TINY), persons=3, clip_frames=2, weights=LossWeights(pose_confusion=1e6))


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(1)
    frames = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    return Batch(
        photos=frames[:, 0],
        frames=frames,
        augmented=frames.flip(-1),
        mel=torch.rand(2, 2, 1, 80, 20),
        persons=torch.tensor([0, 2]),
        lips=torch.rand(2, 2, len(LIPS)),
    )


def moved(objective, losses):
    """Names of the parts that a sum of losses gives a gradient."""
    objective.zero_grad(set_to_none=True)
    sum(losses.values()).backward()
    touched = [name for name, p in objective.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    parts = {n.removeprefix("networks.") for n in touched}
    return {".".join(n.split(".")[: 2 if n.startswith("motion") else 1]) for n in parts}


def test_the_identity_stage_moves_the_identity_encoder_alone(objective, batch):
    assert moved(objective, objective.identity(batch)) == {"identity", "person_head"}


def test_the_alignment_stage_moves_the_trunk_alone_and_rewards_the_right_place(objective, batch):
    places = torch.stack(torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="xy"))
    right, wrong = (landmark_maps(torch.full((4, TINY.motion.maps, 2), at), places, 1.0) for at in (4.0, 11.0))
    aligned = AlignmentBatch(batch.augmented.flatten(0, 1), right)
    assert moved(objective, objective.alignment(aligned)) == {"motion.model"}
    assert not any(p.grad is not None for p in objective.networks.motion.model.fc.parameters())
    trunk = objective.networks.motion.model.trunk
    errors = []
    for maps in (right, wrong):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trunk, "forward", lambda face, maps=maps: maps)
            errors.append(objective.alignment(aligned)["alignment"].item())
    assert errors == [0.0, pytest.approx(2.0, abs=0.05)]


def test_the_mouth_stage_moves_audio_and_the_heads_of_the_mouth_and_not_the_trunk(objective, batch):
    losses = objective.mouth_space(batch)
    assert moved(objective, losses) == {"audio", "motion.model", "motion.to_mouth", "lips_head"}
    assert not any(p.grad is not None for p in objective.networks.motion.model.trunk.parameters())
    assert set(losses) == {"lips_heard", "lips_seen", "cross_modal", "video_to_voice", "voice_to_video"}


def test_the_voice_is_told_lips_and_nothing_else_moves(objective, batch):
    losses = objective.voice(Voice(batch.mel, batch.lips))
    assert moved(objective, losses) == {"audio", "lips_head"}
    assert losses["lips_heard"].item() == pytest.approx(objective.mouth_space(batch)["lips_heard"].item(), rel=1e-4)


def test_lips_are_told_from_the_voice_and_from_the_picture_by_one_map(objective, batch):
    losses = objective.mouth_space(batch)
    assert moved(objective, {"heard": losses["lips_heard"]}) == {"audio", "lips_head"}
    losses = objective.mouth_space(batch)
    assert moved(objective, {"seen": losses["lips_seen"]}) == {"motion.model", "motion.to_mouth", "lips_head"}


@torch.no_grad()
def test_what_the_features_of_a_clip_share_is_no_part_of_synchrony(batch):
    torch.manual_seed(2)
    objective = PcavsObjective(PcavsNetworks(TINY), persons=3, clip_frames=2).eval()
    before = objective.mouth_space(batch)
    objective.networks.audio.fc.bias += torch.rand(TINY.motion.features)
    objective.networks.motion.to_mouth[2].bias -= 1.0
    after = objective.mouth_space(batch)
    for name in ("cross_modal", "video_to_voice", "voice_to_video"):
        torch.testing.assert_close(after[name], before[name], rtol=1e-3, atol=1e-4)
    assert before["cross_modal"] > 1e-3


def test_the_pose_stage_moves_what_makes_the_code_behind_the_trunk(objective, batch):
    turned = TurnedBatch(batch.frames, torch.rand(2, 2, 5))
    losses = objective.pose_space(turned)
    assert moved(objective, losses) == {"motion.to_headpose", "motion.headpose_embed", "turned_head"}


def test_faces_move_what_draws_but_the_pose_code_and_no_critic(objective, batch):
    drawing = {"identity", "audio", "motion.model", "motion.to_mouth", "motion.mouth_embed", "generator"}
    losses = objective.faces(batch)
    assert moved(objective, losses) == drawing | {"person_head", "lips_head"}
    assert not any(p.grad is not None for p in objective.networks.motion.model.trunk.parameters())


def test_faces_are_posed_by_frames_as_they_are(objective, batch):
    def drawn(batch):
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objective.likeness, "forward", lambda drawn, real: seen.append(drawn.detach()) or {})
            patch.setattr(objective.networks, "draw", lambda style, maps: style[:, -TINY.pose :, None, None])
            objective.eval().faces(batch)
        return seen[0]

    want = objective.eval().networks.motion(batch.frames.flatten(0, 1))[1].detach().unflatten(0, (2, 2))
    got = drawn(batch)
    objective.train()
    torch.testing.assert_close(got[..., 0, 0], want)


def test_of_faces_half_take_their_mouth_from_the_video_and_half_from_the_voice(objective, batch):
    def drawn(batch):
        seen = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(objective.likeness, "forward", lambda drawn, real: seen.append(drawn.detach()) or {})
            torch.manual_seed(2)
            objective.eval().faces(batch)
        return seen[0]

    one, other_sound = drawn(batch), drawn(replace(batch, mel=1 - batch.mel))
    objective.train()
    assert (one[0] - other_sound[0]).abs().max() < 1e-6
    assert (one[1] - other_sound[1]).abs().max() > 1e-6


def test_the_generators_turn_moves_all_that_draws_and_no_head_of_the_adversary(objective, batch):
    got = moved(objective, objective.generator(batch))
    drawing = {*PARTS, "motion.headpose_embed", "generator"}
    assert got - {"critic_net"} == drawing | {"person_head"}  # the critic's gradients are thrown away by its own turn
    assert "pose_head" not in got
    assert "pose_map" not in got


def test_the_critics_turn_moves_the_critic_and_the_pose_head_alone(objective, batch):
    objective.generator(batch)
    assert moved(objective, objective.critic(batch)) == {"critic_net", "pose_head"}


def test_pose_confusion_reaches_the_pose_code_and_nothing_of_the_generator(objective, batch):
    losses = objective.generator(batch)
    got = moved(objective, {"pose_confusion": losses["pose_confusion"]})
    assert got == {"motion.model", "motion.to_headpose", "motion.headpose_embed"}


def test_weights_multiply_their_loss(batch):
    torch.manual_seed(0)
    networks = PcavsNetworks(TINY).eval()
    one, two = (
        PcavsObjective(networks, 3, 2, weights=LossWeights(contrastive=c, cross_modal=m)).eval()
        for c, m in ((1.0, 1.0), (5.0, 3.0))
    )
    plain, scaled = (o.mouth_space(batch) for o in (one, two))
    assert scaled["cross_modal"].item() == pytest.approx(3 * plain["cross_modal"].item(), rel=1e-4)
    assert scaled["video_to_voice"].item() == pytest.approx(5 * plain["video_to_voice"].item(), rel=1e-4)


def test_the_published_critic_has_the_published_size():
    with torch.device("meta"):
        critic = MultiScaleCritic(64)
    assert sum(p.numel() for p in critic.parameters()) / 1e6 == pytest.approx(5.53, abs=0.005)


@torch.no_grad()
def test_the_critic_judges_the_picture_and_its_half():
    torch.manual_seed(0)
    critic, picture = MultiScaleCritic(4).eval(), torch.randn(1, 3, 32, 32)
    fine, coarse = critic(picture)
    assert fine[0] is picture
    want = F.avg_pool2d(picture, 3, 2, 1, count_include_pad=False)
    torch.testing.assert_close(coarse[0], want)
    assert [tuple(m.shape[1:]) for m in fine] == [
        (3, 32, 32),
        (4, 17, 17),
        (8, 9, 9),
        (16, 5, 5),
        (32, 6, 6),
        (1, 7, 7),
    ]
    weight = critic.scales[0].layers[1][0].weight  # spectrally normalised when read
    flat = F.conv2d(fine[1], weight, stride=2, padding=2)
    flat = (flat - flat.mean((2, 3), keepdim=True)) / (flat.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(fine[2], F.leaky_relu(flat, 0.2))
    assert torch.linalg.matrix_norm(weight.flatten(1), 2).item() == pytest.approx(1.0, rel=0.1)
