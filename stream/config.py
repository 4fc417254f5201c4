"""Everything that a command can be told, as frozen dataclasses. They hold the defaults and check them.

The rest of the code sees these, never argparse. A bad value is a `ValueError` whose text names the option.
"""

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from models.emotion import EMOTIONS, NEUTRAL
from models.framing import Framing
from stream.types import MAX_LOOKAHEAD_MS, IceServer

MAX_GATEWAYS: Final = 64
PUBLISHED_FILES: Final = {
    "davs": "the file 101_DAVS_checkpoint.pth.tar",
    "pcavs": "the folder checkpoints/demo with latest_net_G.pth, _V, _A_sync and _E",
    "tavce": "the files latest.pth of exp/audio2exp, exp/audio2pose and exp/facerender and last.pth of "
    "exp/correlation, or SadTalker's .safetensors and mapping_*.pth.tar",
    "equiav": "the file model_*.pth of pre-training",
}
"""What the authors of each system published."""
PHOTO_SUFFIXES: Final = (".jpg", ".jpeg", ".png")
_ICE_URL: Final = re.compile(r"(stuns?|turns?):[^\s?:]+(:\d{1,5})?(\?transport=(udp|tcp))?", re.IGNORECASE)


def default_data_dir() -> Path:
    """Where uploads and cached features live: `~/.cache/visavis`, or below XDG_CACHE_HOME where that is set."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "visavis"


def parse_ice_server(text: str) -> IceServer:
    """`URL[,user,credential]` as typed after `--ice-server`, for example `stun:stun.example.org:3478`.

    Raises:
        ValueError: If it is no STUN or TURN address, or a TURN address lacks user and credential.
    """
    url, *login = text.split(",", 2)
    if not _ICE_URL.fullmatch(url):
        raise ValueError(f"--ice-server must be stun:HOST[:PORT] or turn:HOST[:PORT],USER,CREDENTIAL, got {url!r}")
    if len(login) == 1 or (url.lower().startswith("turn") and not all(login or [""])):
        raise ValueError(f"--ice-server {url} needs both a user and a credential: {url},USER,CREDENTIAL")
    user, credential = login if login else (None, None)
    return IceServer((url,), user, credential)


def parse_emotion(text: str) -> tuple[str, float]:
    """`NAME[=SHARE]` as typed after `--emotion`, for example `happy=0.5`: the name and its intensity, 0 to 1.

    Raises:
        ValueError: If nobody knows the name or the share is not a number from 0 to 1.
    """
    name, _, share = text.partition("=")
    try:
        intensity = float(share or 1)
    except ValueError:
        intensity = math.nan
    if name not in EMOTIONS or not 0 <= intensity <= 1:
        raise ValueError(f"--emotion must be one of {', '.join(EMOTIONS)}, alone or with =0 to =1, got {text!r}")
    return name, intensity


def _check_lookahead(lookahead_ms: int) -> None:
    if not 0 <= lookahead_ms <= MAX_LOOKAHEAD_MS:
        raise ValueError(f"--lookahead-ms must be 0 to {MAX_LOOKAHEAD_MS}, got {lookahead_ms}")


def _check_tensors_out(path: Path) -> None:
    if path.suffix != ".safetensors":
        raise ValueError(f"--out must end in .safetensors, got {path}")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"--out must lie in a folder that exists, got {path}")


def _check_file(option: str, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"{option} must be a file that exists, got {path}")


def _check_weights(path: Path | None) -> None:
    if path is not None:
        _check_file("--weights", path)


@dataclass(frozen=True)
class ServeConfig:
    """What `visavis serve` can be told.

    Attributes:
        host: Address to listen on. Browsers open the microphone only on localhost or over HTTPS.
        port: TCP port; 0 takes a free one.
        system: Name of the system that draws the faces (`visavis systems` lists them).
        backend: What runs it, or "auto"; see `models.engine`.
        precision: What its painter is computed in, or "auto".
        weights: Its weights; None takes the bundled ones.
        framing: What the pictures show: the head, or the photo around it too.
        lookahead_ms: How much of the voice's future a frame may hear, where a session does not choose, 0 to 1000; the
            nearest that the system offers is taken.
        max_sessions: Callers at the same time; more are answered 503 with Retry-After. None: as many as this
            machine is measured to draw in time.
        idle_timeout_s: A session without a packet for this long is closed.
        data_dir: Uploads and cached features.
        ice_servers: STUN and TURN servers, for the server and for its browsers.
        allow_origins: Origins of other sites whose pages may use this server (CORS); none by default.
        tls_cert: Certificate chain (PEM) for HTTPS; needs `tls_key`.
        tls_key: Private key (PEM) for HTTPS.
        page_dir: The built page; None where it lies in the source tree.
        gateways: Processes that speak with the browsers, beside one that draws; 0: one process does it all.
        only: Callers cannot choose another system. They never can with `gateways`.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    system: str = "visavis"
    backend: str = "auto"
    precision: str = "auto"
    weights: Path | None = None
    framing: Framing = "head"
    lookahead_ms: int = 40
    max_sessions: int | None = None
    idle_timeout_s: float = 30.0
    data_dir: Path = field(default_factory=default_data_dir)
    ice_servers: tuple[IceServer, ...] = ()
    allow_origins: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    page_dir: Path | None = None
    gateways: int = 0
    only: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.gateways <= MAX_GATEWAYS:
            raise ValueError(f"--gateways must be 0 to {MAX_GATEWAYS}, got {self.gateways}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"--port must be 0 to 65535, got {self.port}")
        _check_lookahead(self.lookahead_ms)
        _check_weights(self.weights)
        if self.max_sessions is not None and self.max_sessions < 1:
            raise ValueError(f"--max-sessions must be at least 1, got {self.max_sessions}")
        if not self.idle_timeout_s >= 1:
            raise ValueError(f"--idle-timeout-s must be at least 1, got {self.idle_timeout_s}")
        for origin in self.allow_origins:
            if origin != "*" and not re.fullmatch(r"https?://[^/\s]+", origin):
                raise ValueError(f"--allow-origin must be like https://example.org (no path), or *, got {origin!r}")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("--tls-cert and --tls-key go together: give both or none")
        for option, path in (("--tls-cert", self.tls_cert), ("--tls-key", self.tls_key)):
            if path is not None:
                _check_file(option, path)


@dataclass(frozen=True)
class RenderConfig:
    """What `visavis render` can be told.

    Attributes:
        photo: A portrait, or an identity that `visavis enroll` wrote (.safetensors).
        audio: Any sound that PyAV reads.
        out: The MP4 to write.
        system: Name of the system that draws the face.
        backend: As for `serve`.
        precision: As for `serve`.
        weights: Its weights; None takes the bundled ones.
        framing: What the film shows; None takes the head of a portrait, and features as they were enrolled.
        lookahead_ms: As in a session, 0 to 1000.
        idle: Whether blinks and micro-motion go on.
        seed: Of the idle life.
        emotion: Name and intensity, 0 to 1, of how the face feels.
        speech_intensity: How lively the speech looks, 0 to 2.
    """

    photo: Path
    audio: Path
    out: Path
    system: str = "visavis"
    backend: str = "auto"
    precision: str = "auto"
    weights: Path | None = None
    framing: Framing | None = None
    lookahead_ms: int = 40
    idle: bool = True
    seed: int = 0
    emotion: tuple[str, float] = (NEUTRAL, 0.0)
    speech_intensity: float = 1.0

    def __post_init__(self) -> None:
        _check_file("the photo", self.photo)
        _check_file("the sound", self.audio)
        _check_weights(self.weights)
        _check_lookahead(self.lookahead_ms)
        if not 0 <= self.speech_intensity <= 2:
            raise ValueError(f"--speech-intensity must be 0 to 2, got {self.speech_intensity}")
        if self.out.suffix.lower() != ".mp4":
            raise ValueError(f"--out must end in .mp4, got {self.out}")
        if not self.out.resolve().parent.is_dir():
            raise ValueError(f"--out must lie in a folder that exists, got {self.out}")


@dataclass(frozen=True)
class EnrollConfig:
    """What `visavis enroll` can be told: a portrait in, its features (.safetensors) out."""

    photo: Path
    out: Path
    system: str = "visavis"
    weights: Path | None = None
    framing: Framing = "head"

    def __post_init__(self) -> None:
        _check_file("the photo", self.photo)
        _check_weights(self.weights)
        _check_tensors_out(self.out)


@dataclass(frozen=True)
class ConvertConfig:
    """What `visavis convert` can be told: a system's published files in, its weights (.safetensors) out."""

    system: str
    paths: tuple[Path, ...]
    out: Path

    def __post_init__(self) -> None:
        if self.system == "fctfg":
            raise ValueError("--system fctfg has no published checkpoint to convert: its authors have released none")
        if self.system not in PUBLISHED_FILES:
            raise ValueError(f"--system must be one of {', '.join(PUBLISHED_FILES)}, got {self.system}")
        want = f"--system {self.system} converts {PUBLISHED_FILES[self.system]}"
        if self.system != "tavce" and len(self.paths) != 1:
            raise ValueError(f"{want}, got {len(self.paths)} paths")
        for path in self.paths:
            if not (path.is_dir() if self.system == "pcavs" else path.is_file()):
                raise ValueError(f"{want}, got {path}")
            if path.resolve() == self.out.resolve():
                raise ValueError(f"--out must be another file than the published one, got {self.out}")
        _check_tensors_out(self.out)


@dataclass(frozen=True)
class DoctorConfig:
    """What `visavis doctor` can be told: the options of `serve` that it checks."""

    host: str = "127.0.0.1"
    port: int = 8080
    data_dir: Path = field(default_factory=default_data_dir)
    ice_servers: tuple[IceServer, ...] = ()
    tls_cert: Path | None = None


TRAINED_SYSTEMS: Final = ("davs", "pcavs", "fctfg", "tavce", "equiav", "equiav-plain")
"""The published systems, which `visavis train` trains besides visavis."""


@dataclass(frozen=True)
class TrainConfig:
    """What `visavis train` can be told.

    Attributes:
        data: The corpus folder; for a published system the folder that `visavis corpus videos` wrote.
        out: Where the weights and everything between go; a rerun resumes there.
        system: `visavis` or one of `TRAINED_SYSTEMS`.
        stage: One stage, or `all` in order; of visavis alone.
        quick: Do a little of everything in a few minutes: to see that it works, not to get a face. Of visavis alone.
    """

    data: Path
    out: Path
    system: str = "visavis"
    stage: str = "all"
    quick: bool = False

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ValueError(f"--data must be a folder that exists, got {self.data}")
        if self.system != "visavis" and (self.quick or self.stage != "all"):
            raise ValueError(f"--stage and --quick are for --system visavis alone, got --system {self.system}")


JUDGES: Final = ("vgg", "squeezenet", "syncnet", "arcface")
"""Published networks that losses take; see `models.training.stages.Judges`."""


@dataclass(frozen=True)
class SystemTrainConfig(TrainConfig):
    """What `visavis train --system NAME` can be told of a published system.

    Attributes:
        minutes: Training time in all; None where `steps` says how long.
        steps: Batches in all.
        size: "small", or "published" sizes of the networks.
        batch: Clips in a batch, of each process.
        rate: Factor on all learning rates.
        amp: bfloat16 autocast.
        seed: Of weights and batches.
        threads: CPU threads.
        vgg, squeezenet, syncnet, arcface: Published networks for losses; stand-ins judge without them.
    """

    minutes: float | None = None
    steps: int | None = None
    size: Literal["small", "published"] = "small"
    batch: int = 4
    rate: float = 1.0
    amp: bool = False
    seed: int = 0
    threads: int = 1
    vgg: Path | None = None
    squeezenet: Path | None = None
    syncnet: Path | None = None
    arcface: Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either --minutes or --steps: how long to train in all")
        for option, value in (("--minutes", self.minutes), ("--steps", self.steps), ("--rate", self.rate)):
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{option} must be above 0, got {value}")
        if self.batch < 2 or self.threads < 1:
            raise ValueError(f"--batch must be at least 2 and --threads 1, got {self.batch} and {self.threads}")
        if self.size == "published" and self.system.startswith("equiav"):
            raise ValueError("--size published is not for equiav: its talking-face variant has one size, small")
        for name in JUDGES:
            path = getattr(self, name)
            if path is not None:
                _check_file(f"--{name}", path)


CORPUS_PARTS: Final = ("fits", "portraits", "pairs", "grid", "heads", "shards", "videos", "spoken")
VIDEO_LAYOUTS: Final = ("plain", "voxceleb2", "lrw", "lrs2", "lrs3", "hdtf", "mead", "grid")
"""How folders of videos lie; see `models.training.layouts`."""


@dataclass(frozen=True)
class CorpusConfig:
    """What `visavis corpus` can be told.

    Attributes:
        part: One of `CORPUS_PARTS`.
        data: The corpus folder; for `shards` a folder of training pairs, for `videos` a data set's top folder.
        out: The picture to write; for `fits`, `videos` and `spoken` a folder.
        first: How many persons (or portraits, clips) to pass over.
        count: How many to show.
        states: Pictures of each person that is drawn.
        size_px: Side of a picture that is drawn, or of a square that is kept of a video.
        only: For `portraits`: show only those with this fate.
        layout: For `videos`: how the data set lies.
        limit: For `videos` and `spoken`: read only so many.
        speech: For `spoken`: files of `models.training.speech_corpus` that say what is spoken.
        seconds: For `spoken`: how long a clip may be.
    """

    part: str
    data: Path
    out: Path
    first: int = 0
    count: int = 6
    states: int = 8
    size_px: int = 256
    only: str | None = None
    layout: str = "plain"
    limit: int | None = None
    speech: tuple[Path, ...] = ()
    seconds: float = 5.0

    def __post_init__(self) -> None:
        if not self.data.is_dir():
            raise ValueError(f"--data must be a folder that exists, got {self.data}")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"--limit must be at least 1, got {self.limit}")
        if not 1.0 <= self.seconds <= 5.0:
            raise ValueError(f"--seconds must lie from 1 to 5, got {self.seconds}")
        if missing := [path for path in self.speech if not path.is_file()]:
            raise ValueError(f"--speech must name files that exist, got {missing[0]}")
        if (self.part == "spoken") != bool(self.speech):
            raise ValueError("--speech goes with spoken, and spoken needs it: files of models.training.speech_corpus")
        if self.part not in ("fits", "videos", "spoken") and self.out.suffix.lower() not in (".png", ".jpg"):
            raise ValueError(f"--out must end in .png or .jpg, got {self.out}")
        if not self.out.resolve().parent.is_dir():
            raise ValueError(f"--out must lie in a folder that exists, got {self.out}")
        if self.first < 0 or self.count < 1 or self.states < 1 or self.size_px < 32:
            raise ValueError("--first must be at least 0, --count and --states at least 1, --size at least 32")
