"""The session's audio clock: positions in 48 kHz samples, counted from RTP timestamps, never from a wall clock."""

from typing import Final

OPUS_HZ: Final = 48_000
MODULUS: Final = 1 << 32


class RtpClock:
    """Maps the 32-bit RTP timestamps of one source onto positions that only grow.

    `anchor` says which position the source is at; from then on `position` follows the timestamps across wrap-arounds
    and out-of-order packets.
    """

    def __init__(self) -> None:
        self._last: int | None = None  # timestamp seen last
        self._position = 0  # its position

    @property
    def anchored(self) -> bool:
        return self._last is not None

    def anchor(self, timestamp: int, position_samples: int) -> None:
        """Let `timestamp` be at `position_samples` from now on."""
        self._last = timestamp % MODULUS
        self._position = position_samples

    def position(self, timestamp: int) -> int:
        """The position of `timestamp`, in samples; may be negative for one from before the anchor.

        A timestamp less than 2**31 samples (12 hours) away from the one before is told apart from its wrapped twins.
        """
        if self._last is None:
            raise AssertionError("position() before anchor()")
        delta = (timestamp - self._last + MODULUS // 2) % MODULUS - MODULUS // 2
        self._last = timestamp % MODULUS
        self._position += delta
        return self._position


def to_ms(position_samples: int) -> float:
    """A 48 kHz position as media time in ms."""
    return position_samples * 1000.0 / OPUS_HZ
