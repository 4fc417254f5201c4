"""A small system, a photo decoder and an application around them, for the tests of the HTTP face."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx
import numpy as np
import torch
from PIL import Image

from models.canvas import Canvas
from models.errors import PhotoError
from models.rig import CONTROLS
from models.system import IdentityState
from stream.app import create_app
from stream.config import ServeConfig
from stream.identities import IdentityStore

WITHOUT_A_FACE = "no face was found: take the photo from the front, in good light"


@dataclass
class _State:
    steps: int = 0

    def reset(self, rows):
        self.steps = 0


class TintSystem:
    """Draws the mean colour of the photo, brighter while the voice is loud. A black photo shows no face."""

    front_end = "log_mel80"
    lookahead_ms = (0, 40, 80)
    frame_px = 64
    controls = frozenset(CONTROLS[:3])

    def __init__(self, identity_version=1, name="tint"):
        self.name = name
        self.identity_version = identity_version
        self.enrolled = 0

    def enroll(self, photo, framing="head"):
        if not photo.any():
            raise PhotoError("no_face", WITHOUT_A_FACE)
        self.enrolled += 1
        tint = torch.from_numpy(photo.reshape(-1, 3).mean(0)).float() / 127.5 - 1
        canvas = Canvas(canvas_rgb(photo), (-12, 4)) if framing == "photo" else None
        return IdentityState(self.name, self.identity_version, {"tint": tint}, canvas)

    def init_state(self, batch):
        return _State()

    def step(self, identities, features, controls, state):
        state.steps += 1
        glow = features.values.mean((1, 2)).clamp(0, 1) * 0.2 * controls.lip_gain
        tints = torch.stack([identity.tensors["tint"] for identity in identities]) + glow[:, None]
        return tints[:, :, None, None].expand(-1, 3, self.frame_px, self.frame_px)


def canvas_rgb(photo):
    """A canvas of the photo's own pixels, cut to even sides."""
    height, width = (side // 2 * 2 for side in photo.shape[:2])
    return torch.from_numpy(photo[:height, :width].copy()).permute(2, 0, 1).contiguous()


def decode(data):
    """The pixels of a photo, as `load_photo` of the house model gives them."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def photo(colour=(200, 120, 60), size=(40, 30)):
    """A plain picture as PNG."""
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


def demo_dir(folder):
    """A folder of two demo identities."""
    folder.mkdir()
    (folder / "ada.png").write_bytes(photo((180, 140, 120)))
    (folder / "milo.png").write_bytes(photo((90, 60, 40)))
    return folder


def application(tmp_path, system=None, **config):
    """An application with `TintSystem` and two demo identities."""
    demos = tmp_path / "demos"
    if not demos.exists():
        demo_dir(demos)
    return create_app(
        ServeConfig(data_dir=tmp_path / "data", **config),
        system=system or TintSystem(),
        make_store=partial(IdentityStore, demo_dir=demos, decode=decode),
    )


@asynccontextmanager
async def serving(app, *, wait=True) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running application; waits until it is ready unless told otherwise."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            if wait:
                await app.state.service.loaded()
            yield client
