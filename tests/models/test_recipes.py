"""How each published system is trained: every stage learns, a run ends with weights, what the clips must hold."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from models.blocks.syncnet import SyncNet
from models.davs.config import DavsConfig
from models.equiav.config import SMALL as EQUIAV
from models.training.clips import ClipSet, NoClipsError
from models.training.recipes.davs import DavsRecipe
from models.training.recipes.equiav import EquiavRecipe, PlainRecipe
from models.training.recipes.fctfg import FctfgRecipe
from models.training.recipes.pcavs import PcavsRecipe
from models.training.recipes.tavce import TavceRecipe
from models.training.stages import Judges
from models.training.systems import make_recipe
from models.training.train_system import RunConfig, Trainer, train
from models.weights import config_from, read_weights
from stream import cli
from tests.models.davs.tiny import TINY as DAVS
from tests.models.fctfg.tiny import tiny as fctfg
from tests.models.pcavs.published import TINY as PCAVS
from tests.models.talking import write_clips
from tests.models.tavce.tiny import TINY as TAVCE

NARROW = fctfg("per_style")
DEEPER = replace(NARROW.generator, widths=(8, 6, 4, 4, 4, 4))
FCTFG = replace(NARROW, generator=DEEPER, critic_widths=(4, 4, 6, 8, 8, 8))
CARRYING = replace(FCTFG, generator=replace(DEEPER, carries=True))
CARRYING_PCAVS = replace(PCAVS, generator=replace(PCAVS.generator, carries=True))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def clips(data):
    return ClipSet(data, held_out=False, frames=32)


SYSTEMS = {
    "davs": (DavsRecipe, DAVS),
    "pcavs": (PcavsRecipe, CARRYING_PCAVS),
    "fctfg": (FctfgRecipe, CARRYING),
    "fctfg-published": (FctfgRecipe, FCTFG),
    "tavce": (TavceRecipe, replace(TAVCE, image_px=128)),
    "equiav": (EquiavRecipe, EQUIAV),
    "equiav-plain": (PlainRecipe, EQUIAV),
}
LEARNED = {
    ("davs", "words"): "encoders/words_by_sound",
    ("davs", "persons"): "persons/persons",
    ("davs", "faces"): "faces/frames_faces",
    ("davs", "generation"): "generator/frames_by_sound",
    ("pcavs", "identity"): "identity/identity",
    ("pcavs", "alignment"): "trunk/alignment",
    ("pcavs", "voice"): "voice/lips_heard",
    ("pcavs", "mouth_space"): "mouth/sum",
    ("pcavs", "pose_space"): "pose/turned",
    ("pcavs", "faces"): "faces/l1",
    ("pcavs", "generator"): "generator/perceptual_voice",
    ("pcavs", "pose_map"): "pose_map/pose_map",
    ("fctfg", "judges"): "faces/persons",
    ("fctfg", "voice"): "voice/lips",
    ("fctfg", "inversion"): "generator/l1",
    ("fctfg", "faces"): "faces/l1",
    ("fctfg", "generator"): "generator/l1",
    ("fctfg", "pose_map"): "pose_map/pose_map",
    ("tavce", "correlation"): "encoders/forth",
    ("tavce", "expression"): "expression/expression",
    ("tavce", "pose"): "pose/regression",
    ("tavce", "motion"): "motion/points",
    ("tavce", "renderer"): "generator/l1",
    ("equiav", "pretraining"): "both/sum",
    ("equiav-plain", "pretraining"): "both/sum",
}
"""A loss of each stage that has to fall; critics' and generators' own go up and down."""


def make(system, clips, out, **settings):
    kind, config = SYSTEMS[system]
    torch.manual_seed(0)
    recipe = kind(clips, config, Judges())
    return recipe, RunConfig(out=out, quiet=True, save_every_s=1e9, **({"steps": 100, "batch": 2} | settings))


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_stage_learns_a_batch(clips, tmp_path, system):
    two = 4 if system.startswith(("pcavs", "fctfg")) else 2  # persons to tell apart
    recipe, config = make(system, clips, tmp_path, batch=two)
    trainer = Trainer(recipe, config)
    for number, stage in enumerate(recipe.stages):
        trainer._enter(number)
        batch, known = trainer.prepare(0), LEARNED[recipe.system, stage.name]
        # the first steps of a net of many layers overshoot, those at a gentle rate are small
        slow = stage.name in ("pretraining", "judges", "identity", "mouth_space", "faces", "generation")
        many = {"generator": 40, "pose_space": 150}  # what an untrained trunk sees of a head is faint
        steps = many.get(stage.name, 20 if slow else 8)
        told = [trainer.step(batch)[known] for _ in range(steps)]
        third = len(told) // 3  # noise maps and windows are drawn anew in every step
        assert sum(told[-third:]) < 0.99 * sum(told[:third]), (stage.name, told)


def test_averaged_weights_end_with_batch_statistics_of_their_own(clips, tmp_path):
    recipe, config = make("davs", clips, tmp_path)
    trainer = Trainer(recipe, config)
    trainer._enter([stage.name for stage in recipe.stages].index("faces"))
    block = trainer.average.identity.stem
    norm, still = block.norms
    recipe.networks.identity.stem.norms[1].eval()
    trainer.settle()
    before = norm.running_var.clone()
    with torch.no_grad():
        block.convs[0].weight.mul_(3.0)
    trainer.settle()
    torch.testing.assert_close(norm.running_var, 9 * before, rtol=1e-3, atol=1e-7)
    assert (norm.momentum, norm.training) == (0.1, False)
    assert (still.running_var == 1.0).all()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_run_of_each_system_ends_with_weights_that_its_networks_take(clips, tmp_path, system):
    recipe, config = make(system, clips, tmp_path, steps=2, amp=True)
    trainer = train(recipe, config)
    assert trainer.now.name == recipe.stages[-1].name
    weights = read_weights(tmp_path / f"{recipe.system}.safetensors", recipe.system)
    assert config_from(type(recipe.config), weights.config) == recipe.config
    recipe.networks.load_state_dict(weights.tensors)
    (sheet,) = (tmp_path / "sheets").glob("*.png")
    with Image.open(sheet) as picture:
        assert picture.convert("L").getextrema()[1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_minute_of_training_lowers_the_loss_on_batches_never_seen(clips, tmp_path, system):
    untrained, config = make(system, clips, tmp_path, steps=None, minutes=1.0, batch=4)
    recipe, _ = make(system, clips, tmp_path)
    train(recipe, config)
    for number, stage in enumerate(recipe.stages):
        if stage.name == "pose_map":  # its goal is what the trained encoders say
            fresh = {name: tensor for name, tensor in untrained.networks.state_dict().items() if "pose_map" in name}
            untrained.networks.load_state_dict(recipe.networks.state_dict() | fresh)
        before, after = (unseen_loss(one, config, number) for one in (untrained, recipe))
        assert after < before, (stage.name, before, after)


def unseen_loss(recipe, config, number):
    """What `LEARNED` says of a stage, the mean of batches that no step of a short run draws.

    The curve would say less: on a slow machine a stage has but a few steps of a minute.
    """
    trainer = Trainer(recipe, config)
    trainer._enter(number)
    turn_name, name = LEARNED[recipe.system, trainer.now.name].split("/")
    turn = next(turn for turn in trainer.now.turns if turn.name == turn_name)
    told = list[float]()
    for step in range(1_000_000, 1_000_006):
        torch.manual_seed(step)
        losses = turn.losses(trainer.prepare(step), step)
        loss = torch.stack([*losses.values()]).sum() if name == "sum" else losses[name]
        told.append(float(loss.detach()))
    return sum(told) / len(told)


def test_the_command_trains_and_goes_on_and_tells_where_the_weights_are(data, tmp_path, capsys):
    words = ["train", "--system", "equiav", "--data", str(data), "--out", str(tmp_path), "--batch", "2", "--steps"]
    assert cli.main([*words, "1"]) == 0
    assert cli.main([*words, "2"]) == 0
    assert f"{tmp_path / 'equiav.safetensors'} after 2 steps" in capsys.readouterr().err
    assert cli.main([*words, "2", "--seed", "1"]) == 1
    assert "another seed" in capsys.readouterr().err


def test_tavce_learns_from_as_much_of_the_future_as_some_look_ahead_tells(clips):
    recipe, _ = make("tavce", clips, None)
    batch = recipe.batch("renderer", 40, torch.Generator().manual_seed(0))
    known = (batch.around[:, :, 13:].diff(dim=2).abs().sum(1) > 0).sum(1)  # later frames repeat the last one known
    assert {0, 13} <= set(known.tolist())


@pytest.mark.parametrize("system", ["pcavs", "fctfg"])
def test_faces_are_two_frames_a_few_apart(clips, system):
    recipe, _ = make(system, clips, None)
    random, watched = torch.Generator().manual_seed(0), recipe._watched
    apart = [second - first for first, second in (watched.two_frames(0, random) for _ in range(60))]
    assert {*apart} == {2, 3, 4, 5, 6}
    assert recipe.batch("faces", 1, random).frames.shape[:2] == (3, 2)


def test_a_small_davs_knows_the_words_of_its_clips(data):
    recipe, _ = make_recipe("davs", "small", data, Judges())
    assert recipe.config.words == 2


def test_davs_wants_words(clips, tmp_path):
    with pytest.raises(NoClipsError, match="1 to 1 different"):
        DavsRecipe(clips, DavsConfig(**{**vars(DAVS), "words": 1}), Judges())


def test_a_given_judge_is_loaded_and_not_trained(clips, tmp_path):
    torch.save({"state_dict": SyncNet().state_dict()}, tmp_path / "expert.pth")
    recipe = FctfgRecipe(clips, FCTFG, Judges(syncnet=tmp_path / "expert.pth"))
    assert [turn.name for turn in recipe.stages[0].turns] == ["faces"]
    assert not any(p.requires_grad for p in recipe.trained.objective.scorer.parameters())
