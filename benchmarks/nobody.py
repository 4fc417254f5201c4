"""A face of nobody for benchmarks: the mean head of the rig under noise. It needs no photo and no detector."""

from typing import Final

import numpy as np
import torch

from models.audio.log_mel import BANDS, HOPS_PER_FRAME
from models.rig import vector
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.ict import Shape, mean_shape
from models.visavis.renderer import FRAME_PX, PHOTO_PX
from models.visavis.system import Visavis, VisavisState

LOOKAHEAD_MS: Final = 40.0


def nobody(system: Visavis) -> IdentityState:
    """An identity of the system."""
    side = PHOTO_PX * system.frame_px // FRAME_PX
    photo = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return system.bind(photo, Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()}))


def draw_frame(system: Visavis, identity: IdentityState, state: VisavisState, number: int) -> torch.Tensor:
    """The next frame of a head that turns and hears a steady hum, [1, 3, S, S]."""
    hum = torch.full((1, HOPS_PER_FRAME, BANDS), 0.8)
    turn = vector({"headYaw": 8.0 * float(np.sin(number / 9)), "jawOpen": 0.3})
    controls = ControlBatch(turn[None], torch.ones(1))
    return system.step([identity], AudioFeatures(hum, torch.tensor([LOOKAHEAD_MS])), controls, state)
