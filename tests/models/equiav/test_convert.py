from dataclasses import replace

import pytest
import torch

from models.equiav.convert import convert, published_name
from models.errors import CheckpointError
from tests.models.equiav.test_network import TINY, random_view, tiny

WIDER = replace(TINY, width=16)
SPARE = [f"blocks_{side}.{i}.norm{n}_{of}.weight" for side in "av" for i in (0, 1) for n in "12" for of in "av"]


def published_state(prefix="__M__."):
    """What the published trainer would have written of a tiny network."""
    state = {published_name(name): value for name, value in tiny().state_dict().items()}
    return {prefix + name: value for name, value in (state | {name: torch.ones(8) for name in SPARE}).items()}


def saved(folder, state):
    path = folder / "model_20.pth"
    torch.save(state, path)
    return path


@pytest.mark.parametrize("prefix", ["__M__.", "module.__M__.", ""])
@torch.no_grad()
def test_a_published_checkpoint_becomes_the_same_network(tmp_path, prefix):
    net, report = convert(saved(tmp_path, published_state(prefix)), TINY)
    audio, video = random_view(TINY.audio), random_view(TINY.video)
    for got, want in zip(net(audio, video), tiny()(audio, video), strict=True):
        torch.testing.assert_close(got.inter, want.inter)
        torch.testing.assert_close(got.predicted, want.predicted)
        torch.testing.assert_close(got.augmented, want.augmented)
    assert len(report.loaded) == len(tiny().state_dict())
    assert sorted(report.ignored) == sorted(SPARE)
    assert report.missing == ()
    assert not net.training


def test_heads_of_mae_and_temperatures_are_ignored_and_named(tmp_path):
    heads = ["decoder_blocks.0.norm1.weight", "decoder_pred.bias", "mask_token", "cls_token", "__L_intra__.tau"]
    _, report = convert(saved(tmp_path, published_state() | {name: torch.ones(1) for name in heads}), TINY)
    assert sorted(report.ignored) == sorted(SPARE + heads)


def test_fixed_positions_may_be_missing(tmp_path):
    state = published_state()
    del state["__M__.pos_embed_v"]
    net, report = convert(saved(tmp_path, state), TINY)
    assert report.missing == ("video.pos_embed",)
    torch.testing.assert_close(net.video.pos_embed, tiny().video.pos_embed)


def test_half_precision_is_widened(tmp_path):
    half = {name: value.half() for name, value in published_state().items()}
    net, _ = convert(saved(tmp_path, half), TINY)
    assert net.audio.modality.dtype == torch.float32


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    missing = published_state()
    del missing["__M__.cross_attn_a.attn.to_q.bias"]
    with pytest.raises(CheckpointError, match=r"without 1 tensors: cross_attn_a\.attn\.to_q\.bias"):
        convert(saved(tmp_path, missing), TINY)
    with pytest.raises(CheckpointError, match="of shape"):
        convert(saved(tmp_path, published_state()), WIDER)
    with pytest.raises(CheckpointError, match="a list"):
        convert(saved(tmp_path, [1, 2]), TINY)
    with pytest.raises(CheckpointError, match=r"without \d+ tensors"):
        convert(saved(tmp_path, {"epoch": 3}), TINY)
