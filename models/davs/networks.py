"""The four networks of DAVS that draw, under one roof: one file of weights holds them."""

from torch import nn

from models.blocks.fan import FanEncoder
from models.davs.audio import AudioEncoder
from models.davs.config import DavsConfig
from models.davs.decoder import Decoder
from models.davs.identity import IdentityEncoder


class DavsNetworks(nn.Module):
    """Encoders of the person, of sound and of lips, and the decoder. Lips are read in training and from live video."""

    def __init__(self, config: DavsConfig) -> None:
        super().__init__()
        self.config = config
        self.identity = IdentityEncoder(config)
        self.audio = AudioEncoder(config)
        self.lips = FanEncoder(config.lips)
        self.decoder = Decoder(config)
