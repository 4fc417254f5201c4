"""What a frame is drawn of, once its sound is complete."""

from dataclasses import dataclass

import numpy as np
import torch

from models.audio import FRONT_ENDS, FeatureStream
from models.rig import CONTROLS
from models.system import FRAME_MS, AudioFeatures, ControlBatch, Facts
from stream.errors import FrontEndError
from stream.pacing import sound_end


@dataclass(frozen=True)
class DueFrame:
    """One frame whose sound is complete, ready to be drawn.

    Attributes:
        frame: Its number; its media time is 40 * frame ms.
        features: For `System.step`, batch of one.
        controls: For `System.step`, batch of one.
    """

    frame: int
    features: AudioFeatures
    controls: ControlBatch

    @property
    def pts_ms(self) -> int:
        return FRAME_MS * self.frame

    def at_rest(self) -> "DueFrame":
        """The same moment of a person who neither speaks nor moves."""
        still = ControlBatch(torch.zeros_like(self.controls.values), torch.zeros_like(self.controls.lip_gain))
        return DueFrame(self.frame, self.features, still)


def feature_stream(system: Facts) -> FeatureStream:
    """What hears a stream for a system.

    Raises:
        FrontEndError: If the system needs a front end that is not in `models.audio.FRONT_ENDS`.
    """
    if system.front_end not in FRONT_ENDS:
        raise FrontEndError(system.front_end, tuple(FRONT_ENDS))
    return FeatureStream(FRONT_ENDS[system.front_end]())


def silent_frame(system: Facts) -> DueFrame:
    """The first frame of a stream in which nobody speaks or moves."""
    lookahead_ms = system.lookahead_ms[0]
    heard = feature_stream(system)
    heard.push(np.zeros(sound_end(0, lookahead_ms), np.float32))
    features = AudioFeatures(torch.from_numpy(heard.frame(0, lookahead_ms))[None], torch.tensor([float(lookahead_ms)]))
    return DueFrame(0, features, ControlBatch(torch.zeros(1, len(CONTROLS)), torch.zeros(1)))
