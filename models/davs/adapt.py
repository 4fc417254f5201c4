"""DAVS's test-time adaptation: a few steps that teach a copy of the networks one person's skin, hair and ground.

An option of enrolment, off by default: it costs seconds, and a person with weights of their own shares no batch.
"""

from copy import deepcopy
from typing import Final

import torch
from torch import Tensor

from models.davs.decoder import Decoder
from models.davs.identity import IdentityEncoder
from models.davs.losses import adaptation
from models.davs.networks import DavsNetworks

STEPS: Final = 5
RATE: Final = 2e-4


@torch.enable_grad()
def adapt(networks: DavsNetworks, face: Tensor, windows: Tensor) -> tuple[IdentityEncoder, Decoder]:
    """Copies of identity encoder and decoder that draw this face better. The networks stay as they are.

    One step of Adam for each window, the optimiser made anew each time, batch norms in training mode: their statistics
    over this one face are used, and move the running ones. That is what the published test does for the first person
    of a process; for later ones it forgets to switch back to training mode.

    Args:
        networks: With their trained weights.
        face: The photo in DAVS's crop, [1, 3, S, S], 0 to 1.
        windows: `mfcc12` windows of the speech to come, [5, 20, 12]; their codes count as they are, without the gain
            of 1.5 that drawing applies.

    Returns:
        Both copies, in evaluation mode.
    """
    identity = deepcopy(networks.identity).train().requires_grad_()
    decoder = deepcopy(networks.decoder).train().requires_grad_()
    weights = [*identity.parameters(), *decoder.parameters()]
    with torch.no_grad():
        codes = networks.audio(windows[:STEPS, None])
    for code in codes.split(1):
        optimiser = torch.optim.Adam(weights, RATE)
        optimiser.zero_grad()
        adaptation(decoder(identity(face), code), face).backward()
        optimiser.step()
    return identity.eval().requires_grad_(False), decoder.eval().requires_grad_(False)
