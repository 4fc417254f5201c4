"""I420 to VP8, the last stage before the network: rows of the benchmark `stages`."""

from functools import partial
from itertools import count
from typing import Final

import torch
import torch.nn.functional as F

from benchmarks.errors import WrongAnswerError
from benchmarks.harness import Row, latency_row, measure
from benchmarks.plan import Plan
from benchmarks.suite import Part
from kernels.i420 import rgb_to_i420
from stream.vp8 import Vp8Encoder, usual_bitrate

SIDES_PX: Final = (256, 512)
PICTURES: Final = 8
MOST_OF_BITRATE: Final = 3.0
"""What all pictures with their key frame may take, in times of what the bitrate allows."""


def parts(plan: Plan) -> list[Part]:
    """A part for each size of picture."""
    return [Part(f"VP8, {side} px", partial(_measured, side, plan.n)) for side in SIDES_PX]


def _measured(side: int, n: int) -> list[Row]:
    torch.manual_seed(0)
    still = F.interpolate(torch.rand(1, 3, 16, 16) * 2 - 1, (side, side), mode="bicubic").clamp(-1, 1)
    moving = [still.roll(step, 3) for step in range(PICTURES)]  # a pixel a picture: what a turning head costs
    pictures = [rgb_to_i420(frame)[0].numpy() for frame in moving]
    encoder, numbers, sent_bytes = Vp8Encoder(), count(), 0

    def encode() -> None:
        nonlocal sent_bytes
        number = next(numbers)
        sent_bytes += sum(map(len, encoder.encode(pictures[number % PICTURES], number)))

    taken = measure(encode, n)
    wanted = usual_bitrate(side, side) * next(numbers) / 25 / 8
    if not 0 < sent_bytes <= MOST_OF_BITRATE * wanted:
        raise WrongAnswerError(f"VP8 at {side} px, bytes against the bitrate's,", sent_bytes / wanted, MOST_OF_BITRATE)
    return [latency_row("stages", f"visavis {side} px, batch 1, VP8 encode", taken)]
