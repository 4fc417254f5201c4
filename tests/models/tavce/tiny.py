"""TAVCE at a size for tests, with weights under which every layer shows."""

import torch

from models.tavce.config import TavceConfig

TINY = TavceConfig(
    image_px=32,
    audio=(4, 6, 8, 8, 16),
    correlation=6,
    mouth=(4, 4, 6, 6),
    keypoints=4,
    stem=4,
    volume=(4, 3),
    volume_blocks=2,
    compressed=2,
    motion=(4, 16, 3),
    detector=(4, 16, 3),
    detector_depth=3,
    mapping=10,
    spade=5,
    spade_blocks=2,
    unet=(3, 4, 5, 6),
    styles=3,
    redraw=4,
)


def shaken(module):
    """Seeded weights and running statistics instead of fresh ones."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if "running_var" in name:
                tensor.uniform_(0.5, 1.5)
            elif tensor.dim() > 1:
                tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5)
            elif "weight" in name:
                tensor.uniform_(0.8, 1.2)
            elif tensor.is_floating_point():
                tensor.normal_(0, 0.1)
    return module.eval()
