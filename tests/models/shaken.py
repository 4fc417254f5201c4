"""Weights under which every layer shows."""

import torch


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
