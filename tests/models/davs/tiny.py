"""DAVS at a size for tests, with weights under which every layer shows."""

import torch

from models.davs.config import DavsConfig

TINY = DavsConfig(
    image_px=64,
    code=8,
    stem=4,
    stages=((4, 6), (6, 5), (7,), (8, 8)),
    audio_width=4,
    lip_width=16,
    rounds=((8, 2), (7, 3), (6, 2), (5, 1)),
    last=4,
    critic_width=4,
    words=5,
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
