import math

import torch

from models.visavis.polygon import signed_distance


def test_distance_to_a_square_is_positive_inside_and_negative_outside():
    square = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]])
    points = torch.tensor([[2.0, 2.0], [1.0, 2.0], [6.0, 2.0], [7.0, 8.0], [-1.0, 1.0]])
    expected = torch.tensor([[2.0, 1.0, -2.0, -5.0, -1.0]])
    torch.testing.assert_close(signed_distance(points, square), expected)


def test_orientation_of_the_outline_does_not_matter():
    torch.manual_seed(0)
    angle = torch.linspace(0, 2 * math.pi, 17)[:-1]
    circle = torch.stack([10 * angle.cos(), 10 * angle.sin()], -1)[None]
    points = torch.rand(50, 2) * 30 - 15
    torch.testing.assert_close(signed_distance(points, circle), signed_distance(points, circle.flip(1)))


def test_a_closed_mouth_has_no_inside():
    line = torch.tensor([[[0.0, 0.0], [5.0, 1.0], [10.0, 0.0], [5.0, 1.0]]])
    points = torch.stack(torch.meshgrid(torch.arange(11.0), torch.linspace(-2, 3, 11), indexing="ij"), -1).view(-1, 2)
    assert signed_distance(points, line).max() <= 1e-3


def test_polygons_of_a_batch_do_not_mix():
    square = torch.tensor([[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [0.0, 4.0]]])
    points = torch.tensor([[2.0, 2.0]])
    both = signed_distance(points, torch.cat([square, square + 10]))
    torch.testing.assert_close(both, torch.cat([signed_distance(points, square), signed_distance(points, square + 10)]))
