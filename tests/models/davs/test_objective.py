"""Which losses teach which networks of DAVS, and in which direction."""

import pytest
import torch

from models.blocks.perceptual import PerceptualLoss, Vgg19
from models.davs.critics import DavsCritics
from models.davs.networks import DavsNetworks
from models.davs.objective import DavsBatch, critic_losses, face_losses, generator_losses, modality_loss, run
from tests.models.davs.tiny import TINY
from tests.models.shaken import shaken

NETWORKS = ("identity", "audio", "lips", "decoder")
CRITICS = ("words", "modality", "person_words", "sequence")
ALL = (*NETWORKS, *CRITICS)
LIKENESS = PerceptualLoss(Vgg19.stand_in(), (1.0,) * 5, normalise=True)


@pytest.fixture(scope="module")
def nets():
    networks, critics = shaken(DavsNetworks(TINY)), shaken(DavsCritics(TINY))
    torch.nn.init.zeros_(critics.person_words.conv.bias)  # as fresh: its one map is neither all on nor all off
    torch.nn.init.normal_(critics.modality.fc2.weight, std=0.01)  # chances near a half, where they can still move
    return networks, critics


@pytest.fixture(scope="module")
def batch():
    torch.manual_seed(4)
    return DavsBatch(
        photo=torch.rand(2, 3, 64, 64),
        frames=torch.rand(2, 12, 3, 64, 64),
        windows=torch.randn(2, 12, 20, 12),
        neighbours=torch.rand(2, 20, 3, 64, 64),
        words=torch.tensor([1, 4]),
        first=3,
    )


@pytest.fixture(scope="module")
def outputs(nets, batch):
    return run(nets[0], batch)


def taught(nets, loss):
    """The networks and critics that a loss sends a gradient to."""
    parts = {**dict(nets[0].named_children()), **dict(nets[1].named_children())}
    weights = {name: list(part.parameters()) for name, part in parts.items()}
    flat = [p for group in weights.values() for p in group]
    grads = dict(zip(map(id, flat), torch.autograd.grad(loss, flat, retain_graph=True, allow_unused=True), strict=True))
    reached = set()
    for name, group in weights.items():
        if any(grads[id(p)] is not None and grads[id(p)].abs().sum() > 0 for p in group):
            reached.add(name)
    return reached


def test_the_generated_frames_are_those_of_their_sound(nets, outputs, batch):
    networks = nets[0]
    with torch.no_grad():
        person = networks.identity(batch.photo)
        third = networks.decoder(person, networks.audio(batch.windows[:, 5][:, None]))
        lips = networks.decoder(person, networks.lips(batch.frames[:, 5]))
    torch.testing.assert_close(outputs.by_sound[:, 2], third, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(outputs.by_lips[:, 2], lips, atol=1e-4, rtol=1e-4)


def test_generator_losses_teach_who_they_should(nets, outputs, batch):
    terms = generator_losses(nets[1], outputs, batch, LIKENESS)
    reached = {name: taught(nets, loss) & set(ALL) for name, loss in terms.items()}
    drawing = {"identity", "decoder"}
    assert reached == {
        "frames_by_sound": drawing | {"audio"},
        "frames_by_lips": drawing | {"lips"},
        "motion_by_sound": drawing | {"audio"},
        "motion_by_lips": drawing | {"lips"},
        "likeness_by_sound": drawing | {"audio"},
        "likeness_by_lips": drawing | {"lips"},
        "stillness": drawing | {"audio"},
        "sequence_patches": drawing | {"audio", "lips", "sequence"},
        "sequence_match": drawing | {"audio", "lips", "sequence"},
        "words_by_sound": {"audio", "words"},
        "words_by_lips": {"lips", "words"},
        "contrastive": {"audio"},
        "modality_adversary": {"audio", "lips", "modality"},
        "confusion": {"identity", "person_words"},
    }


def test_faces_are_drawn_from_lips_and_from_sound(nets, batch):
    terms = face_losses(nets[0], batch.photo, batch.frames[:, :2], batch.windows[:, :2], LIKENESS)
    assert {name: taught(nets, loss) for name, loss in terms.items()} == {
        "frames_faces": set(NETWORKS),
        "motion_faces": set(NETWORKS),
        "likeness_faces": set(NETWORKS),
    }


def test_critic_losses_teach_the_critics_alone(nets, outputs, batch):
    terms = critic_losses(nets[1], outputs, batch, softness=0.05)
    terms |= modality_loss(nets[1], outputs.sound, outputs.lips)
    reached = {name: taught(nets, loss) for name, loss in terms.items()}
    assert reached == {
        "modality": {"modality"},
        "person_words": {"person_words"},
        "sequence_patches": {"sequence"},
        "sequence_match": {"sequence"},
    }


def test_the_adversary_walks_up_the_critics_hill(nets, outputs, batch):
    """A step along the generator's loss makes the modality critic's loss rise, and the words less known."""
    critics = nets[1]
    sound = outputs.sound.detach().requires_grad_()
    early = outputs.early.detach().requires_grad_()
    moved = type(outputs)(sound, outputs.lips.detach(), early, outputs.by_sound.detach(), outputs.by_lips.detach())
    terms = generator_losses(critics, moved, batch, LIKENESS)
    step = torch.autograd.grad(terms["modality_adversary"], sound)[0]
    one = critics.modality(sound.detach()).mean()
    other = critics.modality(sound.detach() - 1e-2 * step).mean()
    assert other < one  # sound looks less like sound
    step = torch.autograd.grad(terms["confusion"], early)[0]
    spread = [critics.person_words(e).softmax(1).var(1).mean() for e in (early, early - 1e-3 * step / step.norm())]
    assert spread[1] < spread[0]


def test_the_weights_are_the_published_ones(nets, outputs, batch):
    from models.davs import losses

    terms = generator_losses(nets[1], outputs, batch, LIKENESS)
    want = 5 * losses.stillness(outputs.by_sound, batch.photo)
    torch.testing.assert_close(terms["stillness"], want)
    found = nets[1].modality(outputs.sound), nets[1].modality(outputs.lips)
    torch.testing.assert_close(terms["modality_adversary"], 5 * losses.modality_adversary(*found))
    torch.testing.assert_close(terms["confusion"], 1e6 * losses.confusion(nets[1].person_words(outputs.early)))
