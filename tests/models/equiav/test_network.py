import math
from functools import cache

import pytest
import torch
import torch.nn.functional as F

from models.equiav.config import PUBLISHED, SMALL, BranchConfig, EquiAVConfig
from models.equiav.convert import published_name
from models.equiav.encoder import Attention, sin_cos_positions
from models.equiav.losses import equivariant, inter_modal, total
from models.equiav.network import EquiAV, View
from models.equiav.predictor import CrossAttention, QuickGelu, TransformationPredictor

TINY = EquiAVConfig(
    BranchConfig(1, (8, 16), (4, 4), 24),
    BranchConfig(3, (8, 8), (4, 4), 18),
    width=8,
    depth=2,
    heads=2,
    transform_width=6,
    predictor_heads=2,
    predictor_head_width=3,
    projection_width=10,
    embedding=5,
)


@cache
def published():
    with torch.device("meta"):
        return EquiAV(PUBLISHED)


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def tiny(seed=0):
    torch.manual_seed(seed)
    net = EquiAV(TINY)
    for parameter in net.parameters():  # biases and norms start at 0 and 1, where a lost one would not show
        torch.nn.init.normal_(parameter, 0.1, 0.3)
    return net


def random_view(config, count=4, seed=1):
    rng = torch.Generator().manual_seed(seed)
    shape = (count, config.channels, *config.size)
    return View(
        torch.randn(shape, generator=rng),
        torch.randn(shape, generator=rng),
        torch.randn(count, config.transform_size, generator=rng),
        torch.randn(count, 3, config.transform_size, generator=rng),
    )


def test_the_published_size_has_the_published_parameters():
    net = published()
    spare_norms = 24 * 4 * 2 * 768  # in the published blocks, used by nobody
    positions = (512 + 196) * 768
    assert parameters(net) + positions + spare_norms == 211_655_168
    branch = net.audio
    assert parameters(branch.patch_embed) == 590_592
    assert parameters(branch.blocks) == 85_054_464
    assert parameters(branch.aug_encoder) == 137_984
    assert parameters(branch.cross_attn) == pytest.approx(6.04e6, rel=0.001)
    assert parameters(branch.pred_inter) == pytest.approx(6.83e6, rel=0.001)
    assert (branch.pos_embed.shape, net.video.pos_embed.shape) == ((1, 512, 768), (1, 196, 768))


def published_keys():
    """The 586 entries of specification 4.7 without those of the spare norms, with their shapes."""
    keys = {}

    def layer(name, *shape, bias=True):
        keys[f"{name}.weight"] = shape
        if bias:
            keys[f"{name}.bias"] = shape[:1]

    for side, tokens, vector in (("a", 512, 24), ("v", 196, 18)):
        keys[f"modality_{side}"] = (1, 1, 768)
        keys[f"pos_embed_{side}"] = (1, tokens, 768)
        layer(f"patch_embed_{side}.proj", 768, 3, 16, 16)
        for i in range(12):
            block = f"blocks_{side}.{i}"
            layer(f"{block}.norm1", 768)
            layer(f"{block}.norm2", 768)
            layer(f"{block}.attn.qkv", 2304, 768)
            layer(f"{block}.attn.proj", 768, 768)
            layer(f"{block}.mlp.fc1", 3072, 768)
            layer(f"{block}.mlp.fc2", 768, 3072)
        layer(f"norm_{side}", 768)
        layer(f"norm_{side}_aug", 768)
        layer(f"aug_encoder_{side}.0", 256, vector)
        layer(f"aug_encoder_{side}.2", 256, 256)
        layer(f"aug_encoder_{side}.4", 256, 256)
        cross = f"cross_attn_{side}"
        layer(f"{cross}.norm_aug", 256)
        layer(f"{cross}.attn.to_q", 512, 256)
        layer(f"{cross}.attn.to_k", 512, 768)
        layer(f"{cross}.attn.to_v", 512, 768)
        layer(f"{cross}.attn.to_out", 768, 512, bias=False)
        layer(f"{cross}.norm", 768)
        layer(f"{cross}.mlp.fc1", 3072, 768)
        layer(f"{cross}.mlp.fc2", 768, 3072)
        for kind in ("intra", "inter"):
            for i, (out, into) in enumerate(((2048, 768), (2048, 2048), (512, 2048)), 1):
                layer(f"pred_{side}_{kind}.fc{i}", out, into)
                layer(f"pred_{side}_{kind}.norm{i}", out)
    return keys


def test_every_entry_has_its_published_name_and_shape():
    ours = {published_name(name): tuple(value.shape) for name, value in published().state_dict().items()}
    assert ours == published_keys()
    assert len(ours) == 586 - 24 * 4 * 2


def test_positions_tell_columns_first_then_rows():
    positions = sin_cos_positions(8, rows=3, columns=5)[0]
    row, column = 2, 4
    want = [math.sin(4), math.sin(0.04), math.cos(4), math.cos(0.04)]
    want += [math.sin(2), math.sin(0.02), math.cos(2), math.cos(0.02)]
    torch.testing.assert_close(positions[row * 5 + column], torch.tensor(want))


def test_patches_are_read_row_by_row():
    net = tiny()
    picture = torch.zeros(1, 3, 8, 8)
    picture[0, :, :4, 4:] = 1.0  # upper right: the second token
    tokens = net.video.patch_embed(picture)[0]
    weights, bias = net.video.patch_embed.proj.weight, net.video.patch_embed.proj.bias
    torch.testing.assert_close(tokens[1], weights.sum((1, 2, 3)) + bias)
    torch.testing.assert_close(tokens[2], bias)


def test_attention_is_softmax_of_scaled_products():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    x = torch.randn(3, 5, 8)
    q, k, v = (part.reshape(3, 5, 2, 4) for part in attention.qkv(x).split(8, 2))
    weights = torch.softmax(torch.einsum("bnhc,bmhc->bhnm", q, k) / 2, 3)
    want = attention.proj(torch.einsum("bhnm,bmhc->bnhc", weights, v).reshape(3, 5, 8))
    torch.testing.assert_close(attention(x), want)


def test_the_predictor_adds_answers_to_the_mean_token():
    torch.manual_seed(0)
    predictor = TransformationPredictor(TINY)
    tokens, transforms = torch.randn(2, 5, 8), torch.randn(2, 3, 6)
    asked = F.layer_norm(transforms, (6,))
    attn = predictor.attn
    q, k, v = (f(x).reshape(2, -1, 2, 3) for f, x in ((attn.to_q, asked), (attn.to_k, tokens), (attn.to_v, tokens)))
    weights = torch.softmax(torch.einsum("bmhc,bnhc->bhmn", q, k) / math.sqrt(3), 3)
    moved = tokens.mean(1)[:, None] + attn.to_out(torch.einsum("bhmn,bnhc->bmhc", weights, v).reshape(2, 3, 6))
    hidden = F.gelu(predictor.mlp.fc1(F.layer_norm(moved, (8,))))
    want = (moved + predictor.mlp.fc2(hidden)).mean(1)
    torch.testing.assert_close(predictor(tokens, transforms), want)


def test_the_same_augmentations_for_all_equal_a_copy_for_each():
    torch.manual_seed(0)
    attention = CrossAttention(TINY)
    tokens, transforms = torch.randn(4, 5, 8), torch.randn(1, 3, 6)
    torch.testing.assert_close(attention(transforms, tokens), attention(transforms.expand(4, 3, 6), tokens))


def test_quick_gelu_has_its_constant():
    assert QuickGelu()(torch.tensor(1.0)).item() == pytest.approx(1 / (1 + math.exp(-1.702)))


@torch.no_grad()
def test_the_three_embeddings_are_what_the_paper_calls_them():
    net = tiny()
    view = random_view(TINY.audio)
    got = net.audio(view)
    branch = net.audio
    tokens = branch.norm(branch.encode(view.clean))
    each = [branch.cross_attn(tokens, branch.aug_encoder(view.averaged[:, i : i + 1])) for i in range(3)]
    torch.testing.assert_close(got.inter, branch.pred_inter(torch.stack(each).mean(0)))
    foretold = branch.cross_attn(tokens, branch.aug_encoder(view.transform)[:, None])
    torch.testing.assert_close(got.predicted, branch.pred_intra(foretold))
    augmented = branch.norm_aug(branch.encode(view.augmented)).mean(1)
    torch.testing.assert_close(got.augmented, branch.pred_intra(augmented))
    torch.testing.assert_close(branch.embed(view.clean, view.averaged), got.inter)


@torch.no_grad()
def test_tokens_of_different_places_are_told_apart():
    net = tiny()
    picture = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    swapped = picture.roll(4, 2)  # whole patches: without positions the mean token would stay
    apart = [(net.video.embed_plain(picture) - net.video.embed_plain(swapped)).abs().max()]
    net.video.pos_embed.zero_()
    apart.append((net.video.embed_plain(picture) - net.video.embed_plain(swapped)).abs().max())
    assert apart[0] > 1e-4 > 1e-6 > apart[1]


def reached(loss, net):
    """Names of the parts that get a gradient."""
    net.zero_grad()
    loss.backward()
    return {
        ".".join(name.split(".")[:2]) for name, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum()
    }


ENCODER = ("patch_embed", "modality", "blocks", "norm")


def test_gradients_reach_exactly_the_parts_of_each_loss():
    net = tiny()
    audio, video = random_view(TINY.audio), random_view(TINY.video, seed=2)
    predictor = ("aug_encoder", "cross_attn")
    inter = {f"{side}.{part}" for side in ("audio", "video") for part in (*ENCODER, *predictor, "pred_inter")}
    intra = {f"audio.{part}" for part in (*ENCODER, *predictor, "norm_aug", "pred_intra")}
    mirrored = {name.replace("audio", "video") for name in intra}
    assert reached(total(*net(audio, video))["inter"], net) == inter
    assert reached(total(*net(audio, video))["audio"], net) == intra
    assert reached(total(*net(audio, video))["loss"], net) == inter | intra | mirrored
    plain = inter_modal(net.audio.embed_plain(audio.clean), net.video.embed_plain(video.clean))
    assert reached(plain, net) == {f"{side}.{p}" for side in ("audio", "video") for p in (*ENCODER, "pred_inter")}


def test_both_sides_of_the_equivariant_loss_get_a_gradient():
    net = tiny()
    view = random_view(TINY.video)
    for stopped in ("predicted", "augmented"):
        out = net.video(view)
        sides = {"predicted": out.predicted, "augmented": out.augmented}
        sides[stopped] = sides[stopped].detach()
        assert "video.blocks" in reached(equivariant(sides["predicted"], sides["augmented"]), net)


def test_the_small_size_is_small_and_a_token_is_a_frame():
    net = EquiAV(SMALL)
    assert 2 * sum(value.numel() for value in net.state_dict().values()) < 6e6  # bytes, fp16
    assert SMALL.audio.grid == SMALL.video.grid == (1, 16)


def test_a_size_that_is_no_whole_number_of_patches_is_refused():
    with pytest.raises(ValueError, match="whole patches"):
        BranchConfig(1, (10, 16), (4, 4), 24)
