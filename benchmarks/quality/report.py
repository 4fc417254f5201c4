"""What `visavis eval` found, as the lines, tables and curves of its page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from benchmarks.quality.controls import ControlReport
from benchmarks.quality.likeness import LikenessReport
from benchmarks.quality.meter import Picture
from benchmarks.quality.page import Chapter, Curve, Line, Table
from benchmarks.quality.speech import SilenceReport, SpeechReport
from benchmarks.quality.truth import TruthReport
from benchmarks.quality.videos import VideoReport

MOST_HEAD_DEG: Final = 2.0
MOST_GAZE_DEG: Final = 5.0
LEAST_CLOSED: Final = 0.8
MOST_LEAK: Final = 0.1
WELL_AHEAD_MS: Final = 80


@dataclass(frozen=True)
class FaceReport:
    """Everything measured on one photo; see the parts (and `measure_swim`) for what their numbers mean."""

    photo: str
    enrolled_s: float
    controls: ControlReport
    silence: SilenceReport
    likeness: LikenessReport
    teeth_swim: float | None
    speech: list[SpeechReport]


def face_chapter(report: FaceReport, strips: Sequence[Sequence[Picture]]) -> Chapter:
    """One photo."""
    return Chapter(report.photo, lines(report), report.controls.sweeps, curves([report]), strips=strips)


def overview(reports: Sequence[FaceReport]) -> Chapter:
    """All photos together: mean of every number, and how many photos miss its bar."""
    by_name: dict[str, list[Line]] = {}
    for report in reports:
        for line in lines(report):
            by_name.setdefault(line.name, []).append(line)
    rows: list[tuple[str | float | None, ...]] = []
    for name, same in by_name.items():
        known = [line.value for line in same if line.value is not None]
        missed = sum(line.holds is False for line in same)
        rows.append((name, float(np.mean(known)) if known else None, same[0].bar, f"{missed} of {len(same)}"))
    table = Table(("measured", "mean", "bar", "photos that miss it"), rows)
    return Chapter(f"All {len(reports)} photos", tables=[table], curves=curves(reports))


def truth_chapter(report: TruthReport, strips: Sequence[Sequence[Picture]]) -> Chapter:
    """The table of re-rendered truth."""
    rows: list[tuple[str | float | None, ...]] = []
    for area in report.ahead:
        for name, areas in report.scores.items():
            rows.append((f"{area}: {name}", *asdict(areas[area]).values()))
        shares = [report.ahead[area].get(number) for number in asdict(report.scores["model"][area])]
        rows.append((f"{area}: model ahead of both, share of pairs", *shares))
    heads = ("against re-rendered truth", "SSIM", "PSNR, dB", "LMD, % of eye distance", "feature distance")
    title = f"Truth: {report.pairs} states of {report.persons} held-out persons, {report.frame_px} px"
    return Chapter(f"{title} (photo, landmark warp, model, truth)", tables=[Table(heads, rows)], strips=strips)


def videos_chapter(report: VideoReport, strips: Sequence[Sequence[Picture]]) -> Chapter:
    """The table of systems, photo and truth on the same clips."""
    heads = (
        *("drawn by", "SSIM", "PSNR, dB", "CPBD", "LMD lips, % of eyes", "lips follow the truth's"),
        *("off by, frames", "in sync, share", "sync confidence", "distance to photo", "lip gap in silence"),
    )
    rows = [(name, *asdict(score).values()) for name, score in report.scores.items()]
    title = f"{report.clips} clips of {report.persons} held-out persons, {report.seconds:g} s"
    return Chapter(f"{title} ({', '.join(report.scores)})", tables=[Table(heads, rows)], strips=strips)


def curves(reports: Sequence[FaceReport]) -> list[Curve]:
    """Lips and sync over the look-ahead, mean over photos; none without clips."""
    dial = [said.lookahead_ms for said in reports[0].speech]
    if not dial:
        return []
    said = [[report.speech[i] for report in reports] for i in range(len(dial))]
    return [
        Curve("closed on p b m, share", dial, [_mean([s.closed_share for s in row]) for row in said]),
        Curve("within one frame of the phones, share", dial, [_mean([s.on_time_share for s in row]) for row in said]),
        Curve("the same by the sync expert, share", dial, [_mean([s.in_sync_share for s in row]) for row in said]),
        Curve("mean offset, frames", dial, [_mean([_mean(s.offset_frames) for s in row]) for row in said]),
        Curve("sync confidence", dial, [_mean([_mean(s.confidence) for s in row]) for row in said]),
    ]


def lines(report: FaceReport) -> list[Line]:
    """The numbers of one face beside the bars that the project sets itself."""
    sweeps = [
        Line(f"{sweep.control}: mean error, degrees", sweep.mean_error, most=_most_deg(sweep.control))
        for sweep in report.controls.sweeps
        if sweep.control != "blink"
    ]
    leaks = [
        Line(f"{name}: worst leak, share", share, most=MOST_LEAK, note=f"moves {other}")
        for name, worst in report.controls.leaks.items()
        for other, share in worst.items()
    ]
    return [
        Line("enrolment, s", round(report.enrolled_s, 2), most=1.5),
        *sweeps,
        Line("blink closes the eyes by, share", report.controls.blink_closed, least=LEAST_CLOSED),
        *leaks,
        Line("tremble in silence, share of the face's height", report.silence.tremble, most=0.01),
        Line("flicker of the background in silence, levels", report.silence.flicker_levels, most=1.0),
        Line("mouth's sharpness against the photo's, share", report.likeness.mouth_sharpness, least=0.7),
        Line("distance to the photo by the recogniser", report.likeness.distance, most=0.3),
        Line("teeth drift as the jaw opens, % of mouth's width", report.teeth_swim),
        *(line for said in report.speech for line in _spoken(said)),
    ]


def _spoken(said: SpeechReport) -> list[Line]:
    at = f"at {said.lookahead_ms} ms"
    least = 0.9 if said.lookahead_ms >= WELL_AHEAD_MS else 0.75
    return [
        Line(f"closed on p b m {at}, share of {said.closures}", said.closed_share, least=least),
        Line(f"vowels closed {at}, share", said.vowels_closed_share),
        Line(f"within one frame of the phones {at}, share of {len(said.late_frames)}", said.on_time_share, least=0.9),
        Line(f"the same by the sync expert {at}, share of {len(said.confidence)}", said.in_sync_share, least=0.9),
        Line(f"sync confidence {at}, mean", _mean(said.confidence)),
        Line(f"flicker of the background speaking {at}, levels", said.flicker_levels, most=1.0),
    ]


def _most_deg(control: str) -> float:
    return MOST_GAZE_DEG if control.startswith("gaze") else MOST_HEAD_DEG


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(float(np.mean(known)), 3) if known else None
