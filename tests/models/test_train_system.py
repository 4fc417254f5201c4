"""The loop that trains the published systems: stages, turns, resumption, processes."""

import json
import socket
from dataclasses import dataclass

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from PIL import Image
from torch import nn

from models.errors import DamagedRunError, DivergedError, ResumeError
from models.training.stages import Adam, Stage, Turn
from models.training.train_system import RunConfig, Trainer, train
from models.weights import config_from, read_weights


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


@pytest.mark.parametrize("holds", [False, True])
def test_a_stage_that_holds_statistics_moves_batch_norms_but_not_what_they_found(tmp_path, holds):
    recipe, norm = Toy(), nn.BatchNorm1d(3)
    recipe.networks["norm"] = norm
    turn = Turn("norm", (norm,), lambda batch, step: {"off": (norm(batch) - 1).square().mean()}, Adam(0.01))
    recipe.stages = (Stage("only", 1.0, (turn,), holds_statistics=holds),)
    trainer = toy(tmp_path, recipe=recipe)
    found, learned = norm.running_mean.clone(), values(norm)
    run(trainer, 3)
    assert norm.running_mean.equal(found) == holds
    assert not values(norm).equal(learned)


def test_a_part_with_a_gain_learns_at_that_many_times_the_rate(tmp_path):
    recipe = Toy()
    left, right = recipe.networks["left"], recipe.networks["right"]

    def both(batch, step):
        return {"off": (left(batch) - 9).square().mean() + (right(batch) - 9).square().mean()}

    turn = Turn("both", (left, right), both, Adam(0.01), gains=((right, 5.0),))
    recipe.stages = (Stage("only", 1.0, (turn,)),)
    trainer = toy(tmp_path, recipe=recipe, rate=2.0)
    before = values(left), values(right)
    run(trainer, 1)  # Adam's first step is the rate in every number
    torch.testing.assert_close(values(left), before[0] + 0.02)
    torch.testing.assert_close(values(right), before[1] + 0.1)


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
