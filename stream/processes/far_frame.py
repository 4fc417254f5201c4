"""Frames to be drawn, on their way to another process: a few kB each, so they travel within the message."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.rig import CONTROLS
from models.system import AudioFeatures, ControlBatch
from stream.due_frame import DueFrame
from stream.processes.engine_line import Fields


def pack(dues: Sequence[DueFrame]) -> Fields:
    """One stream's frames, in order, ready for msgpack."""
    return {
        "frames": [due.frame for due in dues],
        "rows": dues[0].features.values.shape[1],
        "features": _bytes([due.features.values for due in dues]),
        "lookahead_ms": _bytes([due.features.lookahead_ms for due in dues]),
        "controls": _bytes([due.controls.values for due in dues]),
        "lip_gain": _bytes([due.controls.lip_gain for due in dues]),
    }


def unpack(fields: Fields) -> list[DueFrame]:
    """What was packed."""
    count = len(fields["frames"])
    features = _floats(fields["features"]).reshape(count, 1, fields["rows"], -1)
    controls = _floats(fields["controls"]).reshape(count, 1, len(CONTROLS))
    lookaheads_ms, gains = (_floats(fields[name]).reshape(count, 1) for name in ("lookahead_ms", "lip_gain"))
    return [
        DueFrame(
            frame,
            AudioFeatures(torch.from_numpy(features[i]), torch.from_numpy(lookaheads_ms[i])),
            ControlBatch(torch.from_numpy(controls[i]), torch.from_numpy(gains[i])),
        )
        for i, frame in enumerate(fields["frames"])
    ]


def _bytes(tensors: Sequence[Tensor]) -> bytes:
    return torch.cat(list(tensors)).numpy().tobytes()


def _floats(data: bytes) -> NDArray[np.float32]:
    return np.frombuffer(data, np.float32).copy()  # torch wants memory that may be written to
