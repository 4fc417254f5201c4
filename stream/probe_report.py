"""From what the probe noted to the numbers it prints; pure, no browser.

All `_ms` instants are on the page's `performance.now()` clock; `media_ms` is the session's audio clock, `spoken_ms` the
microphone's. Those two count the same samples and differ by a constant; the page's runs on when a busy browser's
microphone stands still.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

SCHEMA: Final = 2
FRAME_MS: Final = 40.0
FREEZE_MS: Final = 100.0
CADENCE_FRAMES: Final = 51
"""A picture's turn on screen is told by the median latency of so many around it, two seconds."""
HEARD_WITHIN_MS: Final = 1000.0
ANSWER_MS: Final = 600.0
"""An onset in the last part of a run is left out: its picture may come after the end."""
REST_MS: Final = 240.0
"""How much of the silence before an onset is the baseline that motion is seen against."""
CLOCK_WINDOW_MS: Final = (50.0, 500.0)
"""How long before and after an instant the microphone's clock is looked at."""
RESTED_MS: Final = (500.0, 800.0)
"""When after the end of speech the mouth is at rest again, for comparison; the next speech comes later."""
FLOOR_LEVELS: Final = 2.0
"""Least change, in levels of 255, that counts as visible however quiet the picture is."""


@dataclass
class Recording:
    """What the page noted.

    Attributes:
        frames: [rtp timestamp, expected display ms, receive ms] of each picture on screen.
        tiles: The mouth region of each of them, luma levels, [N, 48, 48] uint8.
        voice: [rtp timestamp, played at ms] of the returned voice, some ten times a second. With the latency of the
            sound card that the browser declares.
        onsets_spoken_ms: Onsets of speech, on the microphone's clock; `ends_spoken_ms` where it ends.
        clock: (spoken ms, page ms) whenever the microphone's clock was looked at.
        heard: (media ms, received ms) of each onset that the server told.
        hello: The server's first message.
        stats: Its newest statistics.
        receivers: The browser's `inbound-rtp` statistics at the end.
        connections: How many times the page connected.
    """

    frames: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    tiles: list[NDArray[np.uint8]] = field(default_factory=list[NDArray[np.uint8]])
    voice: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    onsets_spoken_ms: list[float] = field(default_factory=list[float])
    ends_spoken_ms: list[float] = field(default_factory=list[float])
    clock: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    heard: dict[float, float] = field(default_factory=dict[float, float])
    hello: dict[str, Any] = field(default_factory=dict[str, Any])
    stats: dict[str, Any] = field(default_factory=dict[str, Any])
    receivers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    connections: int = 0


@dataclass(frozen=True)
class Percentiles:
    """Of `n` values; None where there was none."""

    p50: float | None
    p95: float | None
    p99: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> "Percentiles":
        """Percentiles of `values`, to a tenth."""
        if not len(values):
            return cls(None, None, None, 0)
        p50, p95, p99 = (round(float(p), 1) for p in np.percentile(values, (50, 95, 99)))
        return cls(p50, p95, p99, len(values))


@dataclass(frozen=True)
class Report:
    """What `visavis probe --json` prints, one JSON object.

    Attributes:
        schema: Rises when a field changes its meaning.
        seconds: From the first to the last picture.
        system: Who drew the face, from the server's hello; `identity` whose face, `lookahead_ms` its look-ahead.
        mic_to_screen_ms: From an onset at the microphone until the first picture with that media time or a later one
            lights up. Includes the wait for the next picture of the 40 ms grid, 20 ms on average.
        media_to_screen_ms: For every picture, from its media time at the microphone until it lights up.
        first_motion_ms: From an onset at the microphone until the mouth is first seen to move in decoded pixels.
        closed_after_ms: From the end of speech until the mouth has gone back to rest in decoded pixels, in media time:
            without the latency.
        motion_threshold: Change of the mouth region that counts as seen, in levels of 255 (mean of its most changed
            tenth), 1.5 times the 99th percentile of `motion_noise`, at least 2.
        motion_noise: 99th percentile of the same change in silence.
        onsets_played: Onsets at the microphone; `onsets_heard` those that the server told; `onsets_seen` those after
            which the mouth moved.
        fps: Pictures on screen per second.
        frames_received: Pictures on screen.
        frames_missing: Places of the 40 ms grid with no picture on screen.
        late_on_screen_percent: Of the places of the grid, those with no picture or with one that lit up more than 40 ms
            after its turn in the cadence of the pictures around it.
        freezes: Gaps of more than 100 ms between two pictures; `longest_gap_ms` the longest.
        av_offset_ms: Heard minus seen of the same media time: positive when the voice is late. `av_abs_offset_ms`
            its size.
        av_drift_ms: How far the offset's fitted line moves over the run.
        voice_to_ear_ms: From the microphone until the returned voice is played.
        jitter_buffer_ms: Mean time in the browser's jitter buffers, by kind.
        server: The server's newest `stats`; `late_or_dropped_percent` of the frames it should have sent: late are those
            sent after the next one was due.
        reconnects: Connections beyond the first; numbers are of the last one.
    """

    schema: int
    seconds: float
    system: str
    identity: str
    lookahead_ms: int
    mic_to_screen_ms: Percentiles
    media_to_screen_ms: Percentiles
    first_motion_ms: Percentiles
    closed_after_ms: Percentiles
    motion_threshold: float | None
    motion_noise: float | None
    onsets_played: int
    onsets_heard: int
    onsets_seen: int
    fps: float | None
    frames_received: int
    frames_missing: int
    late_on_screen_percent: float | None
    freezes: int
    longest_gap_ms: float | None
    av_offset_ms: Percentiles
    av_abs_offset_ms: Percentiles
    av_drift_ms: float | None
    voice_to_ear_ms: Percentiles
    jitter_buffer_ms: dict[str, float]
    server: dict[str, Any]
    late_or_dropped_percent: float | None
    reconnects: int

    def as_json(self) -> dict[str, Any]:
        """Plain data for `json.dumps`."""
        return asdict(self)


def report(recording: Recording) -> Report:
    """All numbers of one run."""
    hello = recording.hello
    lookahead_ms = int(hello.get("lookahead_ms", 0))
    frames = np.array(recording.frames, dtype=np.float64).reshape(-1, 3)
    media = media_ms(frames[:, 0], int(hello.get("video_rtp_origin", 0)), 90)
    display = frames[:, 1]
    ended_ms = float(display.max()) if len(display) else 0.0
    at_microphone = microphone_clock(recording.clock)
    onsets = at_microphone(np.array(recording.onsets_spoken_ms))
    in_time = onsets + ANSWER_MS < ended_ms  # the rest ran out of time
    played, spoken = onsets[in_time].tolist(), np.array(recording.onsets_spoken_ms)[in_time]
    pairs = match_onsets(played, recording.heard)
    shown = [
        shown_ms - at_ms for at_ms, onset in pairs if (shown_ms := first_shown_ms(media, display, onset)) is not None
    ]
    said = dict(zip(played, spoken.tolist(), strict=True))
    ahead_ms = float(np.median([said[at_ms] - onset for at_ms, onset in pairs])) if pairs else 0.0
    tiles = np.stack(recording.tiles) if recording.tiles else np.empty((0, 1, 1), np.uint8)
    motion = see_motion(pairs, media, display, tiles, lookahead_ms)
    ends = np.array(recording.ends_spoken_ms) - ahead_ms if pairs else np.empty(0)
    closed = see_closing(ends, media, tiles, motion.threshold or FLOOR_LEVELS)
    voice = np.array(recording.voice, dtype=np.float64).reshape(-1, 2)
    voice_media = media_ms(voice[:, 0], int(hello.get("audio_rtp_origin", 0)), 48)
    offsets, offsets_at_ms = av_offsets(media, display, voice_media, voice[:, 1])
    gaps = np.diff(display)
    missing = int(np.maximum(np.round(np.diff(media) / FRAME_MS) - 1, 0).sum())
    return Report(
        schema=SCHEMA,
        seconds=round(float(np.ptp(display)) / 1000, 1) if len(display) else 0.0,
        system=str(hello.get("system", "")),
        identity=str(hello.get("identity", "")),
        lookahead_ms=lookahead_ms,
        mic_to_screen_ms=Percentiles.of(shown),
        media_to_screen_ms=Percentiles.of(display - at_microphone(media + ahead_ms) if pairs else []),
        first_motion_ms=Percentiles.of(motion.delays_ms),
        closed_after_ms=Percentiles.of(closed),
        motion_threshold=motion.threshold,
        motion_noise=motion.noise,
        onsets_played=len(played),
        onsets_heard=len(pairs),
        onsets_seen=len(motion.delays_ms),
        fps=round(1000 * len(gaps) / float(gaps.sum()), 2) if gaps.sum() > 0 else None,
        frames_received=len(frames),
        frames_missing=missing,
        late_on_screen_percent=_late_on_screen_percent(media, display, missing),
        freezes=int((gaps > FREEZE_MS).sum()),
        longest_gap_ms=round(float(gaps.max()), 1) if len(gaps) else None,
        av_offset_ms=Percentiles.of(offsets),
        av_abs_offset_ms=Percentiles.of(np.abs(offsets)),
        av_drift_ms=_drift_ms(offsets_at_ms, offsets),
        voice_to_ear_ms=Percentiles.of(voice[:, 1] - at_microphone(voice_media + ahead_ms) if pairs else []),
        jitter_buffer_ms=_jitter_buffers(recording.receivers),
        server=recording.stats,
        late_or_dropped_percent=_late_percent(recording.stats),
        reconnects=max(0, recording.connections - 1),
    )


def microphone_clock(looks: Sequence[tuple[float, float]]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """From the microphone's clock to the page's, out of (spoken ms, page ms) pairs.

    A look comes late by up to one buffer, so the smallest difference nearby is the true one: that of a sound card
    without a buffer of its own. Only nearby, and rather after than before, because each time the browser serves its
    audio too late the microphone's clock loses a buffer's length for good, which a real sound card's does not.
    """
    spoken, page = np.array(sorted(looks), dtype=np.float64).reshape(-1, 2).T
    off = page - spoken
    first = np.searchsorted(spoken, spoken - CLOCK_WINDOW_MS[0])
    last = np.searchsorted(spoken, spoken + CLOCK_WINDOW_MS[1], side="right")
    least = np.array([off[a:b].min() for a, b in zip(first, last, strict=True)])

    def at(spoken_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        if not spoken_ms.size:
            return spoken_ms
        after = np.searchsorted(spoken, spoken_ms).clip(1, len(spoken) - 1)
        nearest = after - (spoken_ms - spoken[after - 1] < spoken[after] - spoken_ms)
        return spoken_ms + least[nearest]

    return at


def media_ms(rtp: NDArray[np.float64], origin: int, ticks_per_ms: int) -> NDArray[np.float64]:
    """Media time of RTP timestamps, which count modulo 2**32; what lies before the origin is negative."""
    ticks = np.mod(rtp - origin, 2.0**32)
    return np.where(ticks < 2.0**31, ticks, ticks - 2.0**32) / ticks_per_ms


def match_onsets(onsets_ms: Sequence[float], heard: dict[float, float]) -> list[tuple[float, float]]:
    """Pairs (at the microphone, media time): each told onset belongs to the last one played before it was received."""
    pairs: list[tuple[float, float]] = []
    played = sorted(onsets_ms)
    for onset_media_ms, received_ms in sorted(heard.items()):
        before = [at_ms for at_ms in played if received_ms - HEARD_WITHIN_MS < at_ms < received_ms]
        if before and (not pairs or pairs[-1][0] < before[-1]):  # one voice is told once
            pairs.append((before[-1], onset_media_ms))
    return pairs


def first_shown_ms(media: NDArray[np.float64], display: NDArray[np.float64], onset_ms: float) -> float | None:
    """When the first picture with media time `onset_ms` or later lights up; None if that lies outside the run."""
    after = np.flatnonzero(media >= onset_ms)
    if not after.size or after[0] == 0:
        return None
    return float(display[after[0]])


@dataclass(frozen=True)
class Motion:
    """When the mouth was first seen to move after each onset, and what counted as motion."""

    delays_ms: list[float]
    threshold: float | None
    noise: float | None


def see_motion(
    pairs: Sequence[tuple[float, float]],
    media: NDArray[np.float64],
    display: NDArray[np.float64],
    tiles: NDArray[np.uint8],
    lookahead_ms: float,
) -> Motion:
    """Find the first visibly changed mouth after each onset.

    The baseline is the mean of the `REST_MS` before a frame could know of the onset (it hears `lookahead_ms` ahead).
    """
    changes: list[tuple[float, NDArray[np.float64], NDArray[np.float64]]] = []
    silent: list[NDArray[np.float64]] = []
    for at_ms, onset_ms in pairs:
        blind_ms = onset_ms - lookahead_ms - FRAME_MS
        rest = np.flatnonzero((media >= blind_ms - REST_MS) & (media < blind_ms))
        later = np.flatnonzero((media >= blind_ms) & (media < onset_ms + HEARD_WITHIN_MS))
        if rest.size < 3 or not later.size:
            continue
        baseline = tiles[rest].astype(np.float64).mean(axis=0, keepdims=True)
        silent.append(_change(tiles[rest], baseline))
        changes.append((at_ms, _change(tiles[later], baseline), display[later]))
    if not silent:
        return Motion([], None, None)
    noise = float(np.percentile(np.concatenate(silent), 99))
    threshold = max(FLOOR_LEVELS, 1.5 * noise)
    delays = [
        float(shown[over[0]]) - at_ms
        for at_ms, change, shown in changes
        if (over := np.flatnonzero(change > threshold)).size
    ]
    return Motion(delays, round(threshold, 2), round(noise, 2))


def see_closing(
    ends_ms: NDArray[np.float64], media: NDArray[np.float64], tiles: NDArray[np.uint8], threshold: float
) -> list[float]:
    """How long after each end of speech (media time) the mouth is back at rest and stays there.

    At rest is what differs from rest by less than the threshold, or by a tenth of the speech just before: an encoder
    refines a picture that stands still for some hundred ms more.
    """
    delays: list[float] = []
    for end_ms in ends_ms:
        rest = np.flatnonzero((media >= end_ms + RESTED_MS[0]) & (media < end_ms + RESTED_MS[1]))
        before = np.flatnonzero((media >= end_ms - RESTED_MS[0]) & (media < end_ms))
        after = np.flatnonzero((media >= end_ms) & (media < end_ms + RESTED_MS[1]))
        if rest.size < 3 or not before.size:
            continue
        baseline = tiles[rest].astype(np.float64).mean(axis=0, keepdims=True)
        speech = float(_change(tiles[before], baseline).max())
        change = _change(tiles[after], baseline)
        moving = np.flatnonzero(change > max(threshold, 0.1 * speech))
        first_still = moving[-1] + 1 if moving.size else 0
        if first_still < after.size:
            delays.append(float(media[after[first_still]] - end_ms))
    return delays


def _change(tiles: NDArray[np.uint8], baseline: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each tile the mean difference of its most changed tenth, in levels."""
    away = np.abs(tiles.astype(np.float64) - baseline).reshape(len(tiles), -1)
    tenth = away.shape[1] // 10
    return np.partition(away, -tenth, axis=1)[:, -tenth:].mean(axis=1)


def av_offsets(
    media: NDArray[np.float64],
    display: NDArray[np.float64],
    voice_media: NDArray[np.float64],
    voice_at: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heard minus seen of the same media time, and when; only where pictures of the same quarter second are known."""
    offsets: list[float] = []
    at: list[float] = []
    for heard_media, heard_at in zip(voice_media, voice_at, strict=True):
        if at and heard_at <= at[-1]:
            continue
        low, high = np.searchsorted(display, (heard_at - 250, heard_at + 250))
        if high - low >= 5:
            offsets.append(float(heard_at - heard_media - np.mean(display[low:high] - media[low:high])))
            at.append(float(heard_at))
    return np.array(offsets), np.array(at)


def _drift_ms(at_ms: NDArray[np.float64], offsets: NDArray[np.float64]) -> float | None:
    if len(offsets) < 3:
        return None
    slope = np.polyfit(at_ms - at_ms[0], offsets, 1)[0]
    return round(float(slope * np.ptp(at_ms)), 2)


def _jitter_buffers(receivers: Sequence[dict[str, Any]]) -> dict[str, float]:
    return {
        str(stats["kind"]): round(
            1000 * float(stats["jitterBufferDelay"]) / float(stats["jitterBufferEmittedCount"]), 1
        )
        for stats in receivers
        if stats.get("jitterBufferEmittedCount")
    }


def _late_on_screen_percent(media: NDArray[np.float64], display: NDArray[np.float64], missing: int) -> float | None:
    if len(media) < CADENCE_FRAMES:
        return None
    latency = display - media
    around = sliding_window_view(np.pad(latency, CADENCE_FRAMES // 2, mode="edge"), CADENCE_FRAMES)
    late = int((latency - np.median(around, axis=1) > FRAME_MS).sum())
    return round(100 * (late + missing) / (len(media) + missing), 3)


def _late_percent(stats: dict[str, Any]) -> float | None:
    counts = [stats.get(name) for name in ("sent", "late", "dropped")]
    if not all(isinstance(count, int | float) for count in counts):
        return None
    sent, late, dropped = (float(count) for count in counts if count is not None)
    return round(100 * (late + dropped) / max(1.0, sent + dropped), 3)
