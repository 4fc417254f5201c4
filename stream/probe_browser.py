"""A real Chromium whose microphone the probe speaks into."""

import base64
import json
import shutil
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from stream.errors import StreamError
from stream.probe_sound import RATE_HZ, Clip

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
ROOM_NOISE_LEVEL: Final = 10 ** (-50 / 20)


class ProbeError(StreamError, RuntimeError):
    """The probe could not measure; the text says what to do."""

    def __init__(self, got: str, advice: str) -> None:
        self.got = got
        self.advice = advice

    def __str__(self) -> str:
        return f"got {self.got}: {self.advice}"


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome, None where Playwright's own must do."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(executable: str | None = None) -> Generator["Browser"]:
    """A headless Chromium, closed at the end.

    Raises:
        ProbeError: If Playwright or a browser is missing.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise ProbeError("no Playwright", "install it by: pip install 'visavis[test]'") from None
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=executable or find_chromium(), args=list(FLAGS))
        except Error as error:
            reason = error.message.splitlines()[0]
            raise ProbeError(
                f"no browser ({reason})", "install chromium, or run: playwright install chromium"
            ) from None
        try:
            yield browser
        finally:
            browser.close()


def page_script(clips: Sequence[Clip], gaps_s: Sequence[float], seed: int = 0) -> str:
    """The script that must run in a page before its own code; see `probe_page.js`.

    Args:
        clips: Spoken in turn, each after the next of `gaps_s` (seconds of silence but for room noise at -50 dBFS).
        gaps_s: Reused from the start when all were used.
        seed: Of the room noise.
    """
    noise = np.random.default_rng(seed).normal(0, ROOM_NOISE_LEVEL, 2 * RATE_HZ).astype(np.float32)
    sounds = [{"pcm": _pcm(clip.samples), "onsets_s": clip.onsets_s, "end_s": clip.end_s} for clip in clips]
    given = {"clips": sounds, "gaps_s": list(gaps_s), "noise": _pcm(noise)}
    constants = "".join(f"const {name} = {json.dumps(value)};\n" for name, value in given.items())
    body = Path(__file__).with_name("probe_page.js").read_text(encoding="utf-8")
    return f"(() => {{\n{constants}{body}}})();\n"


def _pcm(samples: NDArray[np.float32]) -> str:
    """Base64 of 16-bit samples."""
    return base64.b64encode((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()).decode()
