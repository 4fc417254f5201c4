"""DAVS's losses against numbers worked out by hand."""

import math

import torch

from models.davs import losses


def test_contrastive_pulls_own_lips_and_pushes_others_within_the_margin():
    lips = torch.tensor([[[3.0, 0.0]], [[0.0, 5.0]]])  # directions x and y
    sound = torch.tensor([[[1.0, 0.0]], [[2.0, 2.0]]])  # x, and half way between
    near = 2 - math.sqrt(2)  # squared distance of directions 45 degrees apart
    # d_00 = 0, d_11^2 = near; d_01^2 = near lies within the margin 1, d_10 = sqrt 2 does not
    want = (near + (1 - math.sqrt(near)) ** 2) / 4
    torch.testing.assert_close(losses.contrastive(lips, sound).item(), want, atol=1e-6, rtol=0)


def test_contrastive_teaches_the_sound_alone():
    torch.manual_seed(0)
    lips, sound = (torch.randn(3, 2, 4, requires_grad=True) for _ in range(2))
    losses.contrastive(lips, sound).backward()
    assert lips.grad is None
    assert sound.grad.abs().sum() > 0


def test_the_modality_critic_and_its_adversary_want_opposite_labels():
    sound, lips = torch.tensor([0.9]).logit(), torch.tensor([0.2]).logit()
    torch.testing.assert_close(losses.modality(sound, lips).item(), -(math.log(0.8) + math.log(0.9)) / 2)
    torch.testing.assert_close(losses.modality_adversary(sound, lips).item(), -(math.log(0.1) + math.log(0.2)))


def test_with_soft_labels_it_does_not_pay_to_be_surer_than_they_are():
    right, surer = (losses.modality(c.logit(), (1 - c).logit(), 0.1) for c in torch.tensor([[0.9], [0.99]]))
    assert right < surer


def test_a_critic_that_is_sure_and_wrong_still_learns():
    sound = torch.tensor([-200.0], requires_grad=True)
    losses.modality(sound, torch.tensor([200.0])).backward()
    assert sound.grad == -0.5


def test_soft_labels_move_towards_the_middle():
    half, near = torch.tensor([0.5]), torch.tensor([0.9])
    torch.testing.assert_close(losses.real_or_not(half, True, 0.1).item(), math.log(2))
    want = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    torch.testing.assert_close(losses.real_or_not(near, True, 0.1).item(), want)
    torch.testing.assert_close(losses.real_or_not(1 - near, False, 0.1).item(), want)


def test_confusion_is_zero_where_nothing_is_known():
    assert losses.confusion(torch.full((2, 4), 3.0)).item() == 0
    logits = torch.tensor([[math.log(3.0), 0.0]])  # chances 3/4 and 1/4
    torch.testing.assert_close(losses.confusion(logits).item(), 1 / 16)


def test_the_mouth_lies_where_the_published_mask_does():
    full = losses.mouth_mask(256, torch.zeros(1))[0, 0]
    assert full[170:234, 64:192].min() == 1
    assert full.sum() == 64 * 128
    assert losses.mouth_mask(128, torch.zeros(1))[0, 0, 85:117, 32:96].sum() == 32 * 64


def test_reconstruction_counts_the_mouth_three_times():
    real = torch.zeros(1, 1, 3, 256, 256)
    mouth, brow = real.clone(), real.clone()
    mouth[..., 200, 100], brow[..., 50, 100] = 1.0, 1.0
    torch.testing.assert_close(losses.reconstruction(brow, real).item(), 4 * 255 / 256**2)
    torch.testing.assert_close(losses.reconstruction(mouth, real).item(), 12 * 255 / 256**2)


def test_motion_is_of_mouths_alone_and_forgives_a_face_that_is_off_as_a_whole():
    real = torch.zeros(1, 2, 3, 256, 256)
    real[:, 1, :, 200, 100] = 1.0  # one pixel lights up: half above and half below the mean
    still = torch.full_like(real, 0.3)
    want = 255 * 0.5 / (64 * 128)
    torch.testing.assert_close(losses.mouth_motion(still, real).item(), want, rtol=1e-4, atol=0)
    assert losses.mouth_motion(real + 0.3, real).item() < 1e-4
    blinking = real.clone()
    blinking[:, 0, :, 50, 100] = 1.0
    assert losses.mouth_motion(blinking, real).item() == 0.0


def test_stillness_sums_the_changes_outside_the_mouth():
    photo = torch.zeros(1, 3, 256, 256)
    fakes = torch.zeros(1, 2, 3, 256, 256, requires_grad=True)
    with torch.no_grad():
        fakes[:, 0, :, 10, 10] = 0.5  # half appears and goes again
        fakes[:, :, :, 200, 100] = 1.0  # in the mouth: free
    loss = losses.stillness(fakes, photo)
    torch.testing.assert_close(loss.item(), 2 * 0.5 / 256**2)
    loss.backward()
    # each frame learns from the change before it, not from the one after
    per = 1 / (3 * 256**2)
    torch.testing.assert_close(fakes.grad[0, :, 0, 10, 10], torch.tensor([per, -per]))


def test_adaptation_hardly_looks_at_the_mouth():
    photo = torch.zeros(1, 3, 256, 256)
    mouth, brow = photo.clone(), photo.clone()
    mouth[..., 200, 100], brow[..., 50, 100] = 1.0, 1.0
    torch.testing.assert_close(losses.adaptation(brow, photo).item(), 4 / 256**2)
    torch.testing.assert_close(losses.adaptation(mouth, photo).item(), 0.004 / 256**2)
