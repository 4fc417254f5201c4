import torch
from torch import Tensor


def log_mel_reference(
    ring: Tensor,
    end: Tensor,
    window: Tensor,
    filters: Tensor,
    fft_samples: int,
    hop_samples: int,
    hops: int,
    floor_power: float,
    decades_per_unit: float,
) -> Tensor:
    """Slow, obvious version of `log_mel`; same contract, any device. In float32, or float64 if given."""
    work = torch.promote_types(ring.dtype, torch.float32)
    ago = torch.arange(hops - 1, -1, -1, device=ring.device) * hop_samples
    into = torch.arange(-len(window), 0, device=ring.device)
    sample = end[:, None, None] - ago[:, None] + into  # [S, hops, W], counted from the stream's beginning
    sound = ring.to(work).gather(1, (sample % ring.shape[1]).flatten(1)).view(sample.shape)
    sound = torch.where(sample >= 0, sound, 0.0)
    power = torch.fft.rfft(sound * window.to(work), fft_samples).abs().square()
    bands = (power @ filters.to(work)).clamp(min=floor_power)
    return torch.log10(bands / floor_power) / decades_per_unit
