"""The networks of TAVCE that draw, under one roof: one file of weights holds them."""

from torch import nn

from models.tavce.coefficients import AudioToExpression, AudioToPose
from models.tavce.config import TavceConfig
from models.tavce.correlation import SoundEncoder
from models.tavce.generator import Generator
from models.tavce.keypoints import KeypointDetector, MappingNet


class TavceNetworks(nn.Module):
    """Coefficient nets, the sound encoder of the gate, key points and the renderer."""

    def __init__(self, config: TavceConfig) -> None:
        super().__init__()
        self.config = config
        self.expression = AudioToExpression(config)
        self.pose = AudioToPose(config)
        self.sound = SoundEncoder(config)
        self.detector = KeypointDetector(config)
        self.mapping = MappingNet(config)
        self.generator = Generator(config)
