import pytest
import torch
import torch.nn.functional as F

from models.blocks.wav2lip_audio import Wav2LipAudio, residual_stage


def test_the_published_trunk_has_the_published_size():
    with torch.device("meta"):
        trunk = Wav2LipAudio()
    weights = sum(p.numel() for p in trunk.parameters())
    assert weights == pytest.approx(2.81e6, rel=2e-3)
    assert len(trunk) == 13
    assert {f"{i}.conv_block.0.weight" for i in range(13)} <= set(trunk.state_dict())
    assert trunk.eval()(torch.zeros(2, 1, 80, 16, device="meta")).shape == (2, 512)


def test_maps_shrink_as_published():
    with torch.device("meta"):
        trunk, shapes = Wav2LipAudio().eval(), []
    for block in trunk:
        block.register_forward_hook(lambda _m, _i, out: shapes.append((out.shape[1], out.shape[2], out.shape[3])))
    trunk(torch.zeros(1, 1, 80, 16, device="meta"))
    stages = [(32, 80, 16)] * 3 + [(64, 27, 16)] * 3 + [(128, 9, 6)] * 3 + [(256, 3, 3)] * 2
    assert shapes == [*stages, (512, 1, 1), (512, 1, 1)]


def test_a_block_normalises_before_it_adds_the_skip_and_bends_last():
    torch.manual_seed(0)
    strided, stay = residual_stage(2, 3, (3, 1), 1)
    for block in (strided, stay):
        torch.nn.init.normal_(block.conv_block[1].running_mean)
        block.eval()
    x = torch.randn(2, 2, 7, 5)

    def conv_norm(block, x, stride):
        conv, norm = block.conv_block
        y = F.conv2d(x, conv.weight, conv.bias, stride, 1)
        return (y - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + norm.eps).sqrt()

    first = conv_norm(strided, x, (3, 1)).clamp(min=0)
    torch.testing.assert_close(strided(x), first)
    torch.testing.assert_close(stay(first), (conv_norm(stay, first, 1) + first).clamp(min=0))
