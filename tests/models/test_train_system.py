"""The loop that trains the published systems: stages, turns, resumption, processes; and that every stage learns."""

import json
import socket
from dataclasses import dataclass, replace

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image
from torch import nn

from models.blocks.syncnet import SyncNet
from models.davs.config import DavsConfig
from models.equiav.config import SMALL as EQUIAV
from models.errors import DamagedRunError, DivergedError, ResumeError
from models.training.clips import ClipSet, NoClipsError
from models.training.recipes.davs import DavsRecipe
from models.training.recipes.equiav import EquiavRecipe, PlainRecipe
from models.training.recipes.fctfg import FctfgRecipe, cover_mouths
from models.training.recipes.pcavs import PcavsRecipe
from models.training.recipes.tavce import TavceRecipe
from models.training.stages import Adam, Judges, Stage, Turn
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


@dataclass(frozen=True)
class Sizes:
    width: int = 3


class Toy:
    """A line that two turns pull at: `left` towards 1 in the first stage, `right` after `left` in the second."""

    system, shown, config = "toy", "second", Sizes()

    def __init__(self, shares=(0.5, 0.5), target=1.0):
        self.networks = nn.ModuleDict({"left": nn.Linear(3, 1), "right": nn.Linear(3, 1)})
        self.trained = nn.ModuleDict({"networks": self.networks, "judge": nn.Linear(1, 1)})
        left, right = self.networks["left"], self.networks["right"]

        def first(batch, step):
            return {"off": (left(batch) - target).square().mean(), "still": right(batch).square().mean()}

        def second(batch, step):
            return {"off": (right(batch) - left(batch)).square().mean()}

        self.stages = (
            Stage("first", shares[0], (Turn("left", (left,), first, Adam(0.01)),)),
            Stage(
                "second",
                shares[1],
                (
                    Turn("right", (right,), second, Adam(0.01)),
                    Turn("judge", (self.trained["judge"],), self._judge, Adam(0.01)),
                ),
            ),
        )

    def _judge(self, batch, step):
        return {"off": self.trained["judge"](batch[:, :1]).square().mean()}

    def batch(self, stage, count, random):
        return torch.rand(count, 3, generator=random)

    def sheet(self, networks, batch):
        return networks["left"](batch).detach()[:, None, None, None].expand(-1, 2, 3, 8, 8)


def toy(out, seed=0, recipe=None, **settings):
    torch.manual_seed(seed)
    config = RunConfig(out=out, quiet=True, **({"steps": 10, "batch": 4} | settings))
    return Trainer(recipe or Toy(), config)


def values(module):
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def run(trainer, steps):
    for _ in range(steps):
        assert trainer.advance()
        trainer.step(trainer.prepare(trainer.done))


def test_stages_follow_each_other_by_their_shares(tmp_path):
    trainer = toy(tmp_path, recipe=Toy(shares=(0.3, 0.7)))
    seen = []
    while trainer.advance():
        seen.append(trainer.now.name)
        trainer.step(trainer.prepare(trainer.done))
    assert seen == ["first"] * 3 + ["second"] * 7


def test_a_turn_moves_its_own_parts_alone_though_its_losses_reach_others(tmp_path):
    trainer = toy(tmp_path)
    before = {name: values(part).clone() for name, part in trainer.recipe.networks.items()}
    run(trainer, 1)
    assert not values(trainer.recipe.networks["left"]).equal(before["left"])
    assert values(trainer.recipe.networks["right"]).equal(before["right"])
    run(trainer, 5)
    kept = values(trainer.recipe.networks["left"]).clone()
    run(trainer, 1)
    assert values(trainer.recipe.networks["left"]).equal(kept)


def test_what_does_not_learn_stands_in_evaluation_mode(tmp_path):
    trainer = toy(tmp_path)
    networks = trainer.recipe.networks
    assert [networks[name].training for name in ("left", "right")] == [True, False]
    run(trainer, 6)
    assert [networks[name].training for name in ("left", "right")] == [False, True]


def test_averaged_weights_follow_by_hand(tmp_path):
    trainer = toy(tmp_path)
    slow = values(trainer.recipe.networks)
    for done in (1, 2, 3):
        run(trainer, 1)
        slow = slow + (1 - done / (done + 10)) * (values(trainer.recipe.networks) - slow)
    torch.testing.assert_close(values(trainer.average), slow)


def test_a_resumed_run_ends_where_an_unbroken_one_ends(tmp_path):
    unbroken = toy(tmp_path)
    run(unbroken, 7)
    unbroken.save()
    run(unbroken, 3)
    resumed = toy(tmp_path, seed=5)
    assert resumed.resume()
    assert (resumed.done, resumed.now.name) == (7, "second")
    run(resumed, 3)
    assert not resumed.advance()
    torch.testing.assert_close(values(resumed.recipe.trained), values(unbroken.recipe.trained))
    torch.testing.assert_close(values(resumed.average), values(unbroken.average))


def test_a_longer_run_goes_on_and_never_back_to_an_earlier_stage(tmp_path):
    short = toy(tmp_path)
    run(short, 10)
    short.save()
    longer = toy(tmp_path, steps=100)
    longer.resume()
    assert longer.advance()
    assert longer.now.name == "second"


def test_a_run_with_other_settings_is_not_resumed(tmp_path):
    first = toy(tmp_path)
    first.save()
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    other = toy(tmp_path, batch=6, data="other clips")
    with pytest.raises(ResumeError, match="another batch, data, want the same settings"):
        other.resume()
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept


def test_a_run_with_other_judges_is_not_resumed(tmp_path):
    toy(tmp_path).save()
    recipe = Toy()
    recipe.trained["another"] = nn.Linear(1, 1)
    with pytest.raises(ResumeError, match="another judges, want the same settings"):
        toy(tmp_path, recipe=recipe).resume()


@pytest.mark.parametrize("harm", [lambda raw: raw[:300], lambda raw: b"no checkpoint", lambda raw: b""])
def test_a_damaged_checkpoint_is_told_and_left_alone(tmp_path, harm):
    first = toy(tmp_path)
    first.save()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(harm(path.read_bytes()))
    kept = path.read_bytes()
    with pytest.raises(DamagedRunError, match="remove it to begin anew"):
        toy(tmp_path).resume()
    assert path.read_bytes() == kept


def test_numbers_that_are_none_end_the_run(tmp_path):
    trainer = toy(tmp_path, recipe=Toy(target=float("nan")))
    with pytest.raises(DivergedError, match="smaller --rate"):
        run(trainer, 1)


def test_a_run_leaves_curves_sheets_and_weights(tmp_path):
    torch.manual_seed(0)
    recipe = Toy()
    train(recipe, RunConfig(out=tmp_path, steps=4, batch=4, quiet=True))
    curve = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["step"]) for row in curve] == [("first", 1), ("first", 2), ("second", 3), ("second", 4)]
    assert curve[0]["left/sum"] == pytest.approx(curve[0]["left/off"] + curve[0]["left/still"], rel=1e-5)
    (sheet,) = (tmp_path / "sheets").glob("*.png")
    with Image.open(sheet) as picture:
        assert picture.size == (16, 32)
    weights = read_weights(tmp_path / "toy.safetensors", "toy")
    assert config_from(Sizes, weights.config) == Sizes()
    assert set(weights.tensors) == set(recipe.networks.state_dict())
    trainer = train(recipe, RunConfig(out=tmp_path, steps=4, batch=4, quiet=True))
    assert trainer.done == 4


def test_curves_go_to_tensorboard_where_it_is_installed(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(Toy(), RunConfig(out=tmp_path, steps=4, batch=4, quiet=True))
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    curve = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    told = [event.value for event in board.Scalars("first/left/off")]
    assert told == pytest.approx([row["left/off"] for row in curve if row["stage"] == "first"])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_process(rank, port, out):
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.set_num_threads(1)
    trainer = toy(out)
    batch = trainer.prepare(0)
    trainer.step(batch)
    gradient = trainer.recipe.networks["left"].weight.grad.clone()
    run(trainer, 7)
    trainer.save()
    torch.save((batch, gradient, trainer.recipe.trained.state_dict()), out / f"{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_share_the_mean_of_their_gradients(tmp_path):
    mp.spawn(one_process, (free_port(), tmp_path), nprocs=2)
    (one, mean, net), (two, again, other) = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert not one.equal(two)
    torch.manual_seed(0)
    alone = Toy()
    sum(alone.stages[0].turns[0].losses(torch.cat([one, two]), 0).values()).backward()
    torch.testing.assert_close(mean, alone.networks["left"].weight.grad)
    torch.testing.assert_close(again, mean)
    for name, value in net.items():
        torch.testing.assert_close(other[name], value, msg=name)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_clips(tmp_path_factory.mktemp("clips"))


@pytest.fixture(scope="module")
def clips(data):
    return ClipSet(data, held_out=False, frames=32)


SYSTEMS = {
    "davs": (DavsRecipe, DAVS),
    "pcavs": (PcavsRecipe, PCAVS),
    "fctfg": (FctfgRecipe, FCTFG),
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
    ("pcavs", "mouth_space"): "mouth/sum",
    ("pcavs", "generator"): "generator/perceptual_voice",
    ("pcavs", "pose_map"): "pose_map/pose_map",
    ("fctfg", "judges"): "faces/persons",
    ("fctfg", "inversion"): "generator/l1",
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
    recipe, config = make(system, clips, tmp_path, batch=4 if system == "pcavs" else 2)  # two persons to tell apart
    trainer = Trainer(recipe, config)
    for number, stage in enumerate(recipe.stages):
        trainer._enter(number)
        batch, known = trainer.prepare(0), LEARNED[system, stage.name]
        # the first steps of a net of many layers overshoot, those at a gentle rate are small
        slow = stage.name in ("pretraining", "judges", "identity", "mouth_space", "generation")
        steps = 40 if (system, stage.name) == ("pcavs", "generator") else 20 if slow else 8
        told = [trainer.step(batch)[known] for _ in range(steps)]
        third = len(told) // 3  # noise maps and windows are drawn anew in every step
        assert sum(told[-third:]) < 0.99 * sum(told[:third]), (stage.name, told)


def test_averaged_weights_end_with_batch_statistics_of_their_own(clips, tmp_path):
    recipe, config = make("davs", clips, tmp_path)
    trainer = Trainer(recipe, config)
    trainer._enter([stage.name for stage in recipe.stages].index("generation"))
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
    weights = read_weights(tmp_path / f"{system}.safetensors", system)
    assert config_from(type(recipe.config), weights.config) == recipe.config
    recipe.networks.load_state_dict(weights.tensors)
    (sheet,) = (tmp_path / "sheets").glob("*.png")
    with Image.open(sheet) as picture:
        assert picture.convert("L").getextrema()[1] > 0


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_minute_of_training_lowers_the_loss_on_batches_never_seen(clips, tmp_path, system):
    recipe, config = make(system, clips, tmp_path, steps=None, minutes=1.0)
    train(recipe, config)
    curve = [json.loads(line) for line in (tmp_path / "losses.jsonl").read_text().splitlines()]
    for stage in recipe.stages:
        told = [row[LEARNED[system, stage.name]] for row in curve if row["stage"] == stage.name]
        third = max(1, len(told) // 3)
        assert sum(told[-third:]) < sum(told[:third]), stage.name


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


def test_a_covered_mouth_is_grey_and_the_rest_stays():
    clip = torch.ones(2, 3, 100, 100)
    covered = cover_mouths(clip)
    assert (covered[..., 45:85, 20:80] == 0).all()
    assert covered.sum() == clip.sum() - 2 * 3 * 40 * 60
    assert clip.min() == 1
