"""Audio front ends: sound to features, streaming and offline by the same code."""

from models.audio.feature_stream import FeatureStream
from models.audio.front_end import FrontEnd
from models.audio.kaldi_fbank import KaldiFbank128
from models.audio.log_mel import LogMel, frame_hops, log_mel
from models.audio.lws_mel import LwsMel80
from models.audio.mfcc import Mfcc12
from models.audio.registry import FRONT_ENDS
from models.audio.wav2lip_mel import Wav2LipMel80

__all__ = [
    "FRONT_ENDS",
    "FeatureStream",
    "FrontEnd",
    "KaldiFbank128",
    "LogMel",
    "LwsMel80",
    "Mfcc12",
    "Wav2LipMel80",
    "frame_hops",
    "log_mel",
]
