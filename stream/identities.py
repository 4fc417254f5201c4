"""Everyone who can be drawn: the bundled demo identities and the photos that callers uploaded.

Features are computed once for each photo, system and version, kept on disk, and the newest in memory.
"""

import asyncio
import hashlib
import io
import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast
from weakref import WeakValueDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

import models
from models.errors import IdentityError
from models.framing import FRAMINGS, Framing
from models.system import FRAME_MS, SAMPLE_RATE_HZ, IdentityState, System
from stream.compose import to_pixels
from stream.config import PHOTO_SUFFIXES
from stream.drive import Drive
from stream.errors import BusyError, DeviceFullError, UnknownIdentityError
from stream.worker import ModelWorker

logger = logging.getLogger(__name__)

DEMO_DIR: Final = Path(models.__file__).parent / "identities"
MAX_UPLOADS: Final = 200  # on disk; the one whose photo is oldest goes
MAX_WAITING: Final = 4  # enrolments at a time; each holds a photo in memory
MEMORY_BYTES: Final = 128 << 20
NAME_CHARS: Final = 40

Photo = NDArray[np.uint8]  # RGB, [H, W, 3]


@dataclass(frozen=True)
class Identity:
    """One person who can be drawn.

    Attributes:
        id: What a session asks for.
        name: For people.
        demo: Whether it came with the package.
        path: The photo.
        digest: SHA-256 of the photo as it was given; features are kept under it.
    """

    id: str
    name: str
    demo: bool
    path: Path
    digest: str


class IdentityStore:
    """The identities that one server knows. All methods belong to the event loop; the work goes to the worker.

    Attributes:
        waiting: Enrolments that run or wait now.
    """

    def __init__(
        self,
        data_dir: Path,
        worker: ModelWorker,
        system: System,
        framing: Framing = "head",
        *,
        known: dict[str, Identity] | None = None,
        demo_dir: Path = DEMO_DIR,
        decode: Callable[[bytes], Photo] | None = None,
        on_enrolled: Callable[[float, Exception | None], None] | None = None,
    ) -> None:
        """Read what is there already.

        Args:
            data_dir: Is made if it is not there.
            worker: Runs the enrolments, aside from the frames.
            system: Whose features are computed.
            framing: What the pictures of all of them show.
            known: Everyone by id, shared with the stores of other systems; filled where it is empty.
            demo_dir: Photos named after the identity.
            decode: Photo file to pixels; `models.visavis.enrol.load_photo` unless given.
            on_enrolled: Told how many seconds an enrolment took and how it failed, if it did.
        """
        self._worker = worker
        self._system = system
        self._framing: Framing = framing
        self._decode = decode or _load_photo
        self._on_enrolled = on_enrolled
        self._uploads_dir = data_dir / "uploads"
        self._features_dir = data_dir / "features"
        for folder in (self._uploads_dir, self._features_dir):
            folder.mkdir(parents=True, exist_ok=True)
        self._known = {} if known is None else known
        if not self._known:
            self._show((*_demos(demo_dir), *_uploads(self._uploads_dir)))
        self._erase_outdated()
        self._memory: OrderedDict[str, IdentityState] = OrderedDict()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.waiting = 0

    def all(self) -> list[Identity]:
        """Everyone: demo identities by name, then uploads, newest first."""
        return list(self._known.values())

    def find(self, identity_id: str) -> Identity:
        """One identity.

        Raises:
            UnknownIdentityError: If nobody has this id.
        """
        try:
            return self._known[identity_id]
        except KeyError:
            raise UnknownIdentityError(identity_id) from None

    async def features(self, identity_id: str) -> IdentityState:
        """The features of one identity: from memory, else from disk, else by enrolling the photo.

        Raises:
            UnknownIdentityError: If nobody has this id.
            PhotoError: If a stored photo suits this system no more.
            BusyError: If too many enrolments wait already.
            DeviceFullError: If there is no memory to enrol.
        """
        identity = self.find(identity_id)
        key = self._key(identity.digest)
        if key in self._memory:
            return self._remember(key, self._memory[key])
        async with self._lock(key):
            if key in self._memory:
                return self._remember(key, self._memory[key])
            state = await asyncio.to_thread(_load_features, self._features_dir / f"{key}.safetensors")
            if state is None:
                data = await asyncio.to_thread(identity.path.read_bytes)
                state, _ = await self._enroll(data)
                await asyncio.to_thread(_save_features, self._features_dir / f"{key}.safetensors", state)
            return self._remember(key, state)

    async def picture(self, identity_id: str) -> bytes:
        """The person at rest as a session would show them: JPEG, `frame_px` square, or the whole photo.

        Raises:
            As `features` does.
        """
        path = self._features_dir / f"{self._key(self.find(identity_id).digest)}.jpg"
        if path.is_file():
            return await asyncio.to_thread(path.read_bytes)
        state = await self.features(identity_id)
        frame = await self._worker.run(partial(draw_at_rest, self._system, state))
        data = await asyncio.to_thread(_to_jpeg, frame)
        await asyncio.to_thread(_write, path, data)
        return data

    async def add(self, data: bytes, name: str) -> Identity:
        """Enrol an uploaded photo and keep it; the same photo again is the same identity.

        Only a copy without the file's metadata (place, camera, time) is stored.

        Args:
            data: The file as uploaded.
            name: For people; cut to 40 characters.

        Raises:
            PhotoError: If the photo cannot be used.
            BusyError: If too many enrolments wait already.
            DeviceFullError: If there is no memory to enrol.
        """
        digest = hashlib.sha256(data).hexdigest()
        identity_id = f"u-{digest[:16]}"
        key = self._key(digest)
        async with self._lock(key):
            if identity_id in self._known:
                return self._known[identity_id]
            state, photo = await self._enroll(data)
            path = self._uploads_dir / f"{identity_id}.jpg"
            identity = Identity(identity_id, name.strip()[:NAME_CHARS] or "Uploaded photo", False, path, digest)
            await asyncio.to_thread(_save_features, self._features_dir / f"{key}.safetensors", state)
            await asyncio.to_thread(_save_upload, identity, photo)
            self._remember(key, state)
        await asyncio.to_thread(self._erase, self._insert(identity))
        return identity

    async def enroll_all(self) -> None:
        """Compute what is missing of the demo identities, so that choosing one is instant."""
        for identity in self.all():
            if identity.demo:
                await self.picture(identity.id)

    async def _enroll(self, data: bytes) -> tuple[IdentityState, Photo]:
        if self.waiting >= MAX_WAITING:
            raise BusyError("places in the enrolment queue", MAX_WAITING, retry_after_s=5)
        self.waiting += 1
        failure: Exception | None = None
        started_s = time.monotonic()
        try:
            return await self._worker.run_aside(partial(self._decode_and_enroll, data))
        except Exception as error:
            failure = error
            raise
        finally:
            self.waiting -= 1
            if self._on_enrolled is not None:
                self._on_enrolled(time.monotonic() - started_s, failure)

    def _decode_and_enroll(self, data: bytes) -> tuple[IdentityState, Photo]:
        photo = self._decode(data)
        try:
            return self._system.enroll(photo, self._framing), photo
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise DeviceFullError from error

    def _key(self, digest: str) -> str:
        return f"{digest[:32]}-{self._framing}-{self._system.name}-{self._system.identity_version}"

    def _lock(self, key: str) -> asyncio.Lock:
        return self._locks.setdefault(key, asyncio.Lock())

    def _remember(self, key: str, state: IdentityState) -> IdentityState:
        self._memory[key] = state
        self._memory.move_to_end(key)
        while len(self._memory) > 1 and sum(kept.bytes for kept in self._memory.values()) > MEMORY_BYTES:
            self._memory.popitem(last=False)
        return state

    def _insert(self, identity: Identity) -> list[Identity]:
        """Make it known as the newest upload; returns those that no longer fit."""
        demos = [known for known in self._known.values() if known.demo]
        uploads = [identity, *(known for known in self._known.values() if not known.demo)]
        self._show((*demos, *uploads[:MAX_UPLOADS]))
        return uploads[MAX_UPLOADS:]

    def _show(self, identities: Iterable[Identity]) -> None:
        self._known.clear()
        self._known.update({identity.id: identity for identity in identities})

    def _erase(self, identities: list[Identity]) -> None:
        for identity in identities:
            for path in (identity.path, identity.path.with_suffix(".json")):
                path.unlink(missing_ok=True)
            for path in self._features_dir.glob(f"{identity.digest[:32]}-*"):
                path.unlink(missing_ok=True)

    def _erase_outdated(self) -> None:
        """Erase what other versions of this system kept, in any framing or from before there were framings."""
        name = self._system.name
        ours = {name, *(f"{framing}-{name}" for framing in FRAMINGS)}
        for path in self._features_dir.iterdir():
            made_by, _, version = path.stem.partition("-")[2].rpartition("-")  # after the digest; see `_key`
            if made_by in ours and version != str(self._system.identity_version):
                path.unlink(missing_ok=True)


def draw_at_rest(system: System, state: IdentityState) -> Photo:
    """One picture in silence, without idle life: [H, W, 3], uint8."""
    drive = Drive(system, state, idle=False)
    frame: Tensor | None = None
    while frame is None:
        for due in drive.push(np.zeros(FRAME_MS * SAMPLE_RATE_HZ // 1000, np.float32)):
            frame = drive.draw(due)
            break
    return to_pixels(frame, state.canvas)


def enroll_file(system: System, path: Path, framing: Framing | None = None) -> IdentityState:
    """The features of a portrait, or those that `visavis enroll` wrote (.safetensors).

    `framing` None takes `head` for a portrait, and features as they are.

    Raises:
        PhotoError: If the portrait cannot be used.
        IdentityError: If the features are none of this system's, or were enrolled for another framing.
    """
    if path.suffix != ".safetensors":
        return system.enroll(_load_photo(path.read_bytes()), framing or "head")
    want = f"system {system.name}, version {system.identity_version}"
    try:
        state = IdentityState.load(path)
    except SafetensorError:
        raise IdentityError(f"{path}, which is damaged", want) from None
    if (state.system, state.version) != (system.name, system.identity_version):
        raise IdentityError(f"system {state.system}, version {state.version}", want)
    if framing not in (None, state.framing):
        raise IdentityError(f"framing {state.framing}", f"framing {framing}")
    return state


def _load_photo(data: bytes) -> Photo:
    from models.visavis.enrol import load_photo

    return load_photo(data)


def _demos(folder: Path) -> list[Identity]:
    photos = sorted(path for path in folder.glob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    return [
        Identity(path.stem, path.stem.replace("_", " ").title(), True, path, _digest(path.read_bytes()))
        for path in photos
    ]


def _uploads(folder: Path) -> list[Identity]:
    """What `_save_upload` wrote, newest first; a half-written one is left out."""
    found: list[Identity] = []
    for note in sorted(folder.glob("u-*.json"), key=lambda path: path.stat().st_mtime, reverse=True):
        photo = note.with_suffix(".jpg")
        try:
            fields = cast(dict[str, str], json.loads(note.read_text("utf-8")))
            identity = Identity(note.stem, fields["name"], False, photo, fields["digest"])
        except (ValueError, KeyError, TypeError):
            logger.warning("upload %s: its note is damaged; left out", note.stem)
            continue
        if photo.is_file():
            found.append(identity)
    return found


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _load_features(path: Path) -> IdentityState | None:
    if not path.is_file():
        return None
    try:
        return IdentityState.load(path)
    except (IdentityError, SafetensorError, OSError, ValueError):
        logger.warning("features %s are damaged; enrolling again", path.name)
        return None


def _save_features(path: Path, state: IdentityState) -> None:
    part = _part(path)
    state.save(part)
    part.replace(path)


def _save_upload(identity: Identity, photo: Photo) -> None:
    _write(identity.path, _to_jpeg(photo))
    note = json.dumps({"name": identity.name, "digest": identity.digest})
    _write(identity.path.with_suffix(".json"), note.encode())


def _write(path: Path, data: bytes) -> None:
    part = _part(path)
    part.write_bytes(data)
    part.replace(path)


def _part(path: Path) -> Path:
    """A name beside `path` that no other writer has and that does not look like features of any version."""
    return path.with_name(f"{secrets.token_hex(8)}.part")


def _to_jpeg(photo: Photo) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(photo).save(out, "JPEG", quality=95, subsampling=0)
    return out.getvalue()
