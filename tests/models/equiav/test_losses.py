import math
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from models.equiav.losses import TEMPERATURE, equivariant, inter_modal, total
from models.equiav.network import Embeddings

X, Y = [1.0, 0.0], [0.0, 2.0]  # of any length: only their directions count


def softmax_loss(right, *wrong):
    """-log of the softmax share of cosine `right` among all, at the published temperature."""
    return -right / 0.07 + math.log(sum(math.exp(cosine / 0.07) for cosine in (right, *wrong)))


def test_inter_modal_loss_by_hand():
    audio = torch.tensor([X, Y])
    video = torch.tensor([[3.0, 4.0], [0.0, 1.0]])  # cosines to x: 0.6, 0; to y: 0.8, 1
    by_audio = (softmax_loss(0.6, 0.0) + softmax_loss(1.0, 0.8)) / 2
    by_video = (softmax_loss(0.6, 0.8) + softmax_loss(1.0, 0.0)) / 2
    assert inter_modal(audio, video).item() == pytest.approx((by_audio + by_video) / 2, rel=1e-5)
    assert TEMPERATURE == 0.07


def test_equivariant_loss_by_hand_has_negatives_of_both_sides():
    predicted = torch.tensor([X, Y])
    augmented = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    forth = (softmax_loss(0.6, 0.0, 0.0) + softmax_loss(1.0, 0.8, 0.0)) / 2  # among augmented; the other predicted
    back = (softmax_loss(0.6, 0.8, 0.8) + softmax_loss(1.0, 0.0, 0.8)) / 2  # among predicted; the other augmented
    assert equivariant(predicted, augmented).item() == pytest.approx((forth + back) / 2, rel=1e-5)


def test_the_total_is_a_third_of_each():
    rng = torch.Generator().manual_seed(0)
    audio, video = (Embeddings(*torch.randn(3, 4, 5, generator=rng)) for _ in range(2))
    parts = total(audio, video)
    want = (
        inter_modal(audio.inter, video.inter)
        + equivariant(audio.predicted, audio.augmented)
        + equivariant(video.predicted, video.augmented)
    ) / 3
    torch.testing.assert_close(parts["loss"], want)
    torch.testing.assert_close(parts["video"], equivariant(video.predicted, video.augmented))


def rows():
    return torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_process(rank, port, folder):
    """What each of two processes computes from its half of the rows."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    first, second = rows()[:, 3 * rank : 3 * rank + 3].clone().requires_grad_().unbind(0)
    result = {}
    for name, loss in (("intra", equivariant), ("inter", inter_modal)):
        value = loss(first, second)
        result[name] = (value.detach(), torch.stack(torch.autograd.grad(value, (first, second))))
    torch.save(result, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gloo")
    mp.spawn(one_process, (free_port(), folder), nprocs=2)
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def test_two_processes_have_the_equivariant_loss_and_gradient_of_one(two_processes):
    whole = rows().requires_grad_()
    loss = equivariant(*whole)
    loss.backward()
    values, gradients = zip(*(part["intra"] for part in two_processes), strict=True)
    torch.testing.assert_close(torch.stack(values).mean(), loss.detach())
    # each process has its rows' gradient of the sum of both losses; data-parallel training takes the mean
    torch.testing.assert_close(torch.cat(gradients, 1) / 2, whole.grad)


def test_two_processes_have_the_inter_modal_loss_of_one_and_no_gradient_through_keys(two_processes):
    whole = rows()
    torch.testing.assert_close(torch.stack([part["inter"][0] for part in two_processes]).mean(), inter_modal(*whole))
    audio, video = (side.clone().requires_grad_() for side in whole)
    unit = torch.nn.functional.normalize
    by_audio = torch.nn.functional.cross_entropy(unit(audio) @ unit(whole[1]).T / 0.07, torch.arange(6))
    by_video = torch.nn.functional.cross_entropy(unit(video) @ unit(whole[0]).T / 0.07, torch.arange(6))
    want = torch.stack(torch.autograd.grad((by_audio + by_video) / 2, (audio, video)))
    got = torch.cat([part["inter"][1] for part in two_processes], 1) / 2
    torch.testing.assert_close(got, want)
