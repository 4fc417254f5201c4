"""Closes the mouth in silence, and nothing else. Pure: media time is an argument.

The gate opens at once, with the first 10 ms of sound that rise over the room, whatever the voice detector thinks of
them; it closes by a fade that ends within 200 ms of silence. So it can never cut or delay the start of a word.
"""

from typing import Final

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from models.system import SAMPLE_RATE_HZ

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 100
SHARPNESS: Final = 2  # of webrtcvad, 0 to 3: higher takes fewer sounds for a voice
QUIETEST_DB: Final = -56.0
"""Below this level (dB of full scale, mean square of 10 ms) nothing is a voice."""
VOICE_OVER_ROOM_DB: Final = 6.0
LOUD_OVER_ROOM_DB: Final = 12.0
ROOM_START_DB: Final = -52.0
ROOM_LIMITS_DB: Final = (-75.0, -35.0)
ROOM_RISE_DB: Final = 0.03  # per block: 3 dB a second, so that a held vowel does not become "the room"
ROOM_FALL: Final = 0.3
HOLD_MS: Final = 80.0
FADE_MS: Final = 80.0


class MouthGate:
    """Hears one stream and says how far open the mouth may be.

    Attributes:
        room_db: Level of the room between words, as tracked so far.
    """

    def __init__(self) -> None:
        self.room_db = ROOM_START_DB
        self._vad = webrtcvad.Vad(SHARPNESS)
        self._rest = np.zeros(0, np.float32)
        self._heard = 0  # samples in whole blocks
        self._voice_end = -SAMPLE_RATE_HZ  # sample after the last block with a voice
        self._muted = False

    def push(self, samples: NDArray[np.float32]) -> None:
        """Hear the next samples, [n], 16 kHz, -1 to 1."""
        line = np.concatenate([self._rest, samples])
        whole = line.size // BLOCK_SAMPLES * BLOCK_SAMPLES
        self._rest = line[whole:]
        blocks = line[:whole].reshape(-1, BLOCK_SAMPLES)
        levels_db = 10.0 * np.log10(np.mean(np.square(blocks), axis=1) + 1e-12)
        for pcm16, level_db in zip(_pcm16(blocks), levels_db.tolist(), strict=True):
            self._heard += BLOCK_SAMPLES
            voice = self._is_voice(pcm16.tobytes(), level_db)
            if voice and not self._muted:
                self._voice_end = self._heard
            elif not voice and self._heard - self._voice_end > SAMPLE_RATE_HZ // 5:
                self._muted = False

    def interrupt(self) -> None:
        """Shut the mouth now; it opens again with the first voice after 200 ms without one."""
        self._muted = True
        self._voice_end = min(self._voice_end, self._heard - int((HOLD_MS + FADE_MS) * SAMPLE_RATE_HZ / 1000))

    def gain(self, pts_ms: float) -> float:
        """Factor on all that the voice moves in the frame at `pts_ms`: 1 while there is a voice, else fading to 0."""
        silent_ms = pts_ms - self._voice_end * 1000.0 / SAMPLE_RATE_HZ
        return min(1.0, max(0.0, 1.0 - (silent_ms - HOLD_MS) / FADE_MS))

    def _is_voice(self, pcm16: bytes, level_db: float) -> bool:
        over_room_db = level_db - self.room_db
        # the detector must hear every block: it has a memory of its own
        speech = bool(self._vad.is_speech(pcm16, SAMPLE_RATE_HZ))
        step_db = ROOM_FALL * over_room_db if over_room_db < 0 else min(ROOM_RISE_DB, over_room_db)
        self.room_db = min(max(self.room_db + step_db, ROOM_LIMITS_DB[0]), ROOM_LIMITS_DB[1])
        if level_db < QUIETEST_DB:
            return False
        return over_room_db > LOUD_OVER_ROOM_DB or (speech and over_room_db > VOICE_OVER_ROOM_DB)


def _pcm16(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return (np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)
