"""Training of a small net in one short run: a rate that rises and falls once, and the running average as the answer."""

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

N = TypeVar("N", bound=nn.Module)


def one_cycle(net: N, batch_loss: Callable[[], Tensor], steps: int, peak_rate: float, name: str) -> N:
    """Train a net by AdamW.

    Args:
        net: Fresh.
        batch_loss: Its loss on a random batch, a scalar.
        steps: How many batches.
        peak_rate: The highest learning rate.
        name: Of the progress bar.

    Returns:
        The running average of the net, in evaluation mode.

    Source:
        Smith and Topin, "Super-Convergence", arXiv:1708.07120.
    """
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99), use_buffers=True
    )
    optimizer = torch.optim.AdamW(net.parameters(), lr=peak_rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak_rate, total_steps=steps)
    recent = 0.0
    for _ in (bar := tqdm(range(steps), desc=name)):
        loss = batch_loss()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        average.update_parameters(net)
        recent += 0.02 * (float(loss.detach()) - recent)
        bar.set_postfix(loss=f"{recent:.3f}", refresh=False)
    best = average.module
    assert isinstance(best, type(net))
    return best.eval()
