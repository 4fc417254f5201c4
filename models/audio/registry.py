"""The audio front ends, by the name that `System.front_end` gives."""

from collections.abc import Callable
from typing import Final

from models.audio.feature_stream import RowSource, SingleStream
from models.audio.kaldi_fbank import KaldiFbank128
from models.audio.log_mel import LogMel
from models.audio.lws_mel import LwsMel80
from models.audio.mfcc import Mfcc12
from models.audio.wav2lip_mel import Wav2LipMel80

FRONT_ENDS: Final[dict[str, Callable[[], RowSource]]] = {
    "log_mel80": LogMel,
    "mfcc12": lambda: SingleStream(Mfcc12()),
    "lws_mel80": lambda: SingleStream(LwsMel80()),
    "wav2lip_mel80": lambda: SingleStream(Wav2LipMel80()),
    "kaldi_fbank128": lambda: SingleStream(KaldiFbank128()),
}
"""Each makes the front end of one new stream."""
