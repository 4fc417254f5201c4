"""Ordinary talking-face videos to the clips that all published systems train on.

What is done is noted in `videos.jsonl`, a line for each video: a rerun goes on after the last one, and what was left
out and why can be read there.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.errors import ModelError
from models.system import FPS
from models.tavce.rig_reader import clip_coefficients, face_square
from models.training.clips import FRAME_SAMPLES, Clip, encoded
from models.training.corpus import person_hash
from models.training.face_track import RejectedError, follow_face
from models.training.layouts import Source, Word
from models.visavis.landmarks import Placement, cut

LEDGER: Final = "videos.jsonl"
SETTINGS: Final = "settings.json"
PIECE_FRAMES: Final = 125
"""Longest clip: the square must hold the head while it moves."""
LEAST_FRAMES: Final = 25
QUIETEST_RMS: Final = 1e-3
"""Of a whole video, 60 dB below full scale."""
_ROOM: Final = 1.3  # side of the square in sides of TAVCE's crop, the largest of all


class OtherCorpusError(ModelError, ValueError):
    """A folder of clips was begun with other settings."""

    def __init__(self, out: Path, got: dict[str, Any], want: dict[str, Any]) -> None:
        self.out, self.got, self.want = out, got, want

    def __str__(self) -> str:
        return f"got {self.out} of a corpus made with {self.got}, want {self.want}: give those, or another --out"


@dataclass(frozen=True)
class Piece:
    """Part of a video, at 25 pictures a second and 16 kHz.

    Attributes:
        pictures: RGB, [T, H, W, 3].
        sound: Mono, [640 T], float32, -1 to 1, from the first picture's time on.
        first_frame: How many pictures of the video lie before it.
        retimed: Whether pictures were dropped or repeated to make 25 a second.
    """

    pictures: NDArray[np.uint8]
    sound: NDArray[np.float32]
    first_frame: int
    retimed: bool


ReadVideo = Callable[[Source, int], Iterator[Piece]]
"""Reads a video in pieces of at most so many frames; raises `RejectedError`."""


@dataclass
class Fate:
    """What became of a video.

    Attributes:
        video: Its name.
        fate: "kept", or why nothing of it was.
        clips: How many clips it gave.
        rejected: Its pieces that were left out, by reason.
        retimed: Whether it had not 25 pictures a second.
    """

    video: str
    fate: str = "kept"
    clips: int = 0
    rejected: dict[str, int] = field(default_factory=dict[str, int])
    retimed: bool = False


@dataclass(frozen=True)
class Report:
    """What became of all videos.

    Attributes:
        videos: How many there were.
        fates: How many were kept, and how many were left out for each reason.
        pieces_rejected: Pieces of kept videos that were left out, by reason.
        retimed: Kept videos that had not 25 pictures a second.
        clips: Clips written.
    """

    videos: int
    fates: dict[str, int]
    pieces_rejected: dict[str, int]
    retimed: int
    clips: int


def prepare(sources: Sequence[Source], read: ReadVideo, out: Path, size_px: int, *, quiet: bool = False) -> Report:
    """Make clips of all videos that the ledger in `out` does not know yet.

    Args:
        sources: What to read.
        read: How.
        out: The corpus; made if it is not there.
        size_px: Side of the square that is kept of each picture.
        quiet: No progress bar.

    Raises:
        OtherCorpusError: If the folder holds clips of another size.
    """
    out.mkdir(parents=True, exist_ok=True)
    _claim(out / SETTINGS, {"size_px": size_px})
    known = {fate.video: fate for fate in _read_ledger(out / LEDGER)}
    with (out / LEDGER).open("a") as ledger, tqdm(total=len(sources), unit="video", disable=quiet) as bar:
        for source in sources:
            if source.name not in known:
                known[source.name] = fate = _make_clips(source, read, out, size_px)
                ledger.write(json.dumps(asdict(fate)) + "\n")
                ledger.flush()
            bar.update()
    return _report([known[source.name] for source in sources])


def _make_clips(source: Source, read: ReadVideo, out: Path, size_px: int) -> Fate:
    fate = Fate(source.name)
    video = person_hash(source.name)
    try:
        for piece in read(source, PIECE_FRAMES):
            fate.retimed |= piece.retimed
            try:
                clip = make_clip(piece, source, size_px)
            except RejectedError as rejected:
                fate.rejected[rejected.fault] = fate.rejected.get(rejected.fault, 0) + 1
                continue
            clip.save(out / source.person / f"{video}-{piece.first_frame:06d}.npz")
            fate.clips += 1
    except RejectedError as rejected:
        fate.rejected[rejected.fault] = fate.rejected.get(rejected.fault, 0) + 1
    if not fate.clips:
        fate.fate = max(fate.rejected, key=lambda fault: fate.rejected[fault], default="short")
    return fate


def make_clip(piece: Piece, source: Source, size_px: int) -> Clip:
    """Cut a piece of a video to its face.

    Raises:
        RejectedError: If it is no clip of one face.
    """
    if len(piece.pictures) < LEAST_FRAMES:
        raise RejectedError("short")
    points_px = follow_face(piece.pictures)
    face = face_square(points_px)
    middle = face.to_photo(np.array([0.5, 0.5]))
    square = Placement.upright(float(middle[0]), float(middle[1]), face.side_px * _ROOM)
    begin_s = piece.first_frame / FPS
    end_s = begin_s + len(piece.pictures) / FPS
    return Clip(
        jpegs=tuple(encoded(_pixels(picture, square, size_px)) for picture in piece.pictures),
        points_px=(square.to_crop(points_px) * size_px).astype(np.float32),
        coefficients=clip_coefficients(points_px),
        sound=piece.sound[: FRAME_SAMPLES * len(piece.pictures)],
        person=source.person,
        held_out=source.held_out,
        words=tuple(_moved(word, begin_s) for word in source.words if begin_s <= word.start_s < end_s),
    )


def _pixels(picture: NDArray[np.uint8], square: Placement, size_px: int) -> NDArray[np.uint8]:
    levels = (cut(picture, square, size_px)[0] + 1) * 127.5
    return levels.round().clamp(0, 255).byte().permute(1, 2, 0).contiguous().numpy()


def _moved(word: Word, begin_s: float) -> Word:
    return replace(word, start_s=word.start_s - begin_s, end_s=word.end_s - begin_s)


def _claim(path: Path, want: dict[str, Any]) -> None:
    got = json.loads(path.read_text()) if path.exists() else want
    if got != want:
        raise OtherCorpusError(path.parent, got, want)
    path.write_text(json.dumps(want) + "\n")


def _read_ledger(path: Path) -> Iterator[Fate]:
    """The lines of a ledger; a last one that a crash cut short does not count."""
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            yield Fate(**json.loads(line))
        except json.JSONDecodeError:
            return


def _report(fates: Iterable[Fate]) -> Report:
    done = list(fates)
    kept = [fate for fate in done if fate.clips]
    pieces = Counter[str]()
    for fate in kept:
        pieces.update(fate.rejected)
    return Report(
        videos=len(done),
        fates=dict(Counter(fate.fate for fate in done).most_common()),
        pieces_rejected=dict(pieces.most_common()),
        retimed=sum(fate.retimed for fate in kept),
        clips=sum(fate.clips for fate in kept),
    )
