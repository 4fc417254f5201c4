"""`visavis probe`: how long from the microphone until the face moves on screen, in a real Chromium.

The browser, the page and the server are the real ones; only the microphone is made, out of Web Audio, so that every
onset of speech has a known moment. See `probe_report.Report` for what each number means.
"""

import argparse
import base64
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import numpy as np

from stream.probe_browser import ProbeError, chromium, page_script
from stream.probe_report import Percentiles, Recording, Report, report
from stream.probe_sound import syllable_clips, wav_clip
from stream.types import MAX_LOOKAHEAD_MS

if TYPE_CHECKING:
    from playwright.sync_api import Page

TILE_PX: Final = 48
CONNECT_WITHIN_S: Final = 30.0
SETTLE_S: Final = 3.0
DRAIN_EVERY_S: Final = 2.0


@dataclass(frozen=True)
class ProbeConfig:
    """What the probe can be told.

    Attributes:
        url: Of the page.
        seconds: How long to measure, after the connection has settled.
        identity: Whose face; None takes the page's first.
        lookahead_ms: 0 to 1000.
        wav: What to say instead of made-up syllables.
        idle: Whether blinks and micro-motion go on (they are off so that only speech moves the picture).
        seed: Of the syllables and the gaps between them.
        chromium: Path of the browser; None looks for one.
        system: Which of the server's systems draws; None takes its own.
    """

    url: str = "http://127.0.0.1:8080"
    seconds: float = 60.0
    identity: str | None = None
    lookahead_ms: int = 40
    wav: Path | None = None
    idle: bool = False
    seed: int = 0
    chromium: str | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"--url must begin with http:// or https://, got {self.url!r}")
        if not 5 <= self.seconds <= 86_400:
            raise ValueError(f"--seconds must be 5 to 86400, got {self.seconds}")
        if not 0 <= self.lookahead_ms <= MAX_LOOKAHEAD_MS:
            raise ValueError(f"--lookahead-ms must be 0 to {MAX_LOOKAHEAD_MS}, got {self.lookahead_ms}")

    @property
    def page_url(self) -> str:
        """The page, told to start by itself."""
        query = {"autostart": "1", "lookahead": str(self.lookahead_ms), "idle": str(int(self.idle))}
        if self.identity is not None:
            query["identity"] = self.identity
        if self.system is not None:
            query["system"] = self.system
        return f"{self.url.rstrip('/')}/?{urlencode(query)}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis probe`."""
    default = ProbeConfig()
    parser.description = "Measure a running server from microphone to screen with a real Chromium."
    parser.add_argument("--url", default=default.url, help="the server's page (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=default.seconds, help="how long to measure (%(default)g)")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON; - writes it to standard output")
    parser.add_argument("--identity", help="id of the face to draw (default: the page's first)")
    parser.add_argument("--system", help="which of the server's systems draws (default: the server's own)")
    parser.add_argument(
        "--lookahead-ms", type=int, default=default.lookahead_ms, help=f"0 to {MAX_LOOKAHEAD_MS} (%(default)s)"
    )
    parser.add_argument("--wav", type=Path, help="say this 16-bit WAV instead of made-up syllables")
    parser.add_argument("--idle", action="store_true", help="leave blinks and micro-motion on")
    parser.add_argument("--seed", type=int, default=default.seed, help="of the syllables and pauses (%(default)s)")
    parser.add_argument("--chromium", metavar="PATH", help="the browser (default: one that is installed)")


def run(args: argparse.Namespace) -> int:
    """Measure and print. Exit codes: 0 done, 1 could not measure, 2 wrong usage."""
    try:
        config = ProbeConfig(
            url=args.url,
            seconds=args.seconds,
            identity=args.identity,
            lookahead_ms=args.lookahead_ms,
            wav=args.wav,
            idle=args.idle,
            seed=args.seed,
            chromium=args.chromium,
            system=args.system,
        )
        result = measure(config)
    except ValueError as error:
        print(f"visavis probe: {error}", file=sys.stderr)
        return 2
    except ProbeError as error:
        print(f"visavis probe: {error}", file=sys.stderr)
        return 1
    text = json.dumps(result.as_json(), indent=2)
    if args.json == "-":
        print(text)
    else:
        print(table(result))
        if args.json:
            Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 0


def measure(config: ProbeConfig) -> Report:
    """Open the page, speak for `config.seconds`, and work out the numbers.

    Raises:
        ProbeError: If there is no browser, no page, no connection, or no picture.
        ValueError: If `config.wav` cannot be read.
    """
    clips = [wav_clip(config.wav)] if config.wav else syllable_clips(12, config.seed)
    gaps_s = [float(s) for s in np.random.default_rng(config.seed).uniform(0.9, 1.7, 97)]  # never on the frame grid
    with chromium(config.chromium) as browser:
        page = browser.new_page()
        page.add_init_script(page_script(clips, gaps_s, config.seed))
        _open(page, config)
        return report(_record(page, config.seconds))


def _open(page: "Page", config: ProbeConfig) -> None:
    """Load the page and wait until pictures show."""
    from playwright.sync_api import Error

    try:
        page.goto(config.page_url)
    except Error as error:
        reason = error.message.splitlines()[0]
        raise ProbeError(f"no page at {config.url} ({reason})", "start one by: visavis serve") from None
    deadline_s = time.monotonic() + CONNECT_WITHIN_S
    while time.monotonic() < deadline_s:
        hook = page.evaluate("window.visavis ? {state: visavis.state, error: visavis.error} : null")
        if hook and hook["state"] == "live":
            return
        if hook and hook["state"] == "failed":
            raise ProbeError(f"a failed session ({hook['error']})", "see the server's log")
        page.wait_for_timeout(100)
    raise ProbeError(f"no picture within {CONNECT_WITHIN_S:g} s", "see the server's log and `visavis doctor`")


def _record(page: "Page", seconds: float) -> Recording:
    page.wait_for_timeout(1000 * SETTLE_S)
    page.evaluate("visavisProbe.drain()")  # what came before is not measured
    page.evaluate("visavisProbe.speak()")
    recording = Recording()
    session = None
    end_s = time.monotonic() + seconds
    while (left_s := end_s - time.monotonic()) > 0:
        page.wait_for_timeout(1000 * min(DRAIN_EVERY_S, left_s))
        notes: dict[str, Any] = page.evaluate("visavisProbe.drain()")
        hello = notes["hello"] or {}
        if session is not None and hello.get("session") != session:
            recording = Recording()  # a new session has a new clock
        session = hello.get("session")
        _add(recording, notes)
    recording.receivers = page.evaluate("visavisProbe.receivers()")
    if not recording.frames:
        raise ProbeError("not one picture", "see the server's log")
    return recording


def _add(recording: Recording, notes: dict[str, Any]) -> None:
    recording.frames += [tuple(frame) for frame in notes["frames"]]
    tiles = np.frombuffer(base64.b64decode(notes["tiles"]), dtype=np.uint8)
    recording.tiles += list(tiles.reshape(-1, TILE_PX, TILE_PX))
    recording.voice += [tuple(sample) for sample in notes["voice"]]
    recording.onsets_spoken_ms += notes["onsets"]
    recording.ends_spoken_ms += notes["ends"]
    recording.clock += [tuple(look) for look in notes["clock"]]
    for onset in notes["heard"]:
        recording.heard.setdefault(onset["media_ms"], onset["received_ms"])
    recording.hello = notes["hello"] or {}
    recording.stats = notes["stats"] or {}
    recording.connections = notes["connections"]


def table(result: Report) -> str:
    """The report for people."""

    def line(name: str, values: Percentiles) -> str:
        if values.p50 is None:
            return f"{name:<34}        -"
        return f"{name:<34} {values.p50:8.1f} {values.p95:8.1f} {values.p99:8.1f}   n={values.n}"

    lost, unseen = result.late_or_dropped_percent, result.late_on_screen_percent
    drift = result.av_drift_ms
    return "\n".join(
        [
            f"{result.system}, identity {result.identity}, look-ahead {result.lookahead_ms} ms, {result.seconds:g} s",
            f"{'ms':<34} {'p50':>8} {'p95':>8} {'p99':>8}",
            line("mic -> screen, at onsets", result.mic_to_screen_ms),
            line("mic -> first visible motion", result.first_motion_ms),
            line("end of speech -> mouth at rest", result.closed_after_ms),
            line("mic -> screen, every frame", result.media_to_screen_ms),
            line("mic -> returned voice", result.voice_to_ear_ms),
            line("A/V offset (voice late is +)", result.av_offset_ms),
            f"A/V drift over the run: {'-' if drift is None else f'{drift:.1f} ms'}",
            f"onsets: {result.onsets_played} spoken, {result.onsets_heard} heard, {result.onsets_seen} seen to move "
            f"(threshold {result.motion_threshold} levels, silence {result.motion_noise})",
            f"frames: {result.frames_received} on screen, {result.fps} fps, {result.frames_missing} missing",
            f"late or dropped: {'-' if unseen is None else f'{unseen:g} %'} on screen, "
            f"{'-' if lost is None else f'{lost:g} %'} by the server's count",
            f"freezes over 100 ms: {result.freezes}, longest gap {result.longest_gap_ms} ms, "
            f"reconnects: {result.reconnects}",
        ]
    )
