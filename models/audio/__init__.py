"""Audio front ends: sound to features, streaming and offline by the same code."""

from models.audio.log_mel import LogMel, frame_hops, log_mel

__all__ = ["LogMel", "frame_hops", "log_mel"]
