"""Clips in which a real portrait's mouth opens as far as the voice is loud: small, quick, with something to learn."""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import models
from models.rig import INDEX
from models.tavce.rig_reader import face_square
from models.training.clips import Clip, encoded
from models.training.layouts import Word
from models.visavis.enrol import look_for_faces
from models.visavis.landmarks import OUTER_LIPS, Placement, cut

SIDE_PX = 96
FRAMES = 40


@cache
def portrait(name):
    """A face in a square of `SIDE_PX`, and its mesh points there."""
    photo = np.asarray(Image.open(Path(models.__file__).parent / "identities" / f"{name}.jpg").convert("RGB"))
    points = look_for_faces(photo)[0].points_px
    face = face_square(points[None])
    x, y = face.to_photo(np.array([0.5, 0.5]))
    square = Placement.upright(x, y, face.side_px * 1.3)
    levels = (cut(photo, square, SIDE_PX)[0] + 1) * 127.5
    return levels.round().byte().permute(1, 2, 0).numpy(), square.to_crop(points) * SIDE_PX


def talking_clip(name, seed, held_out=False, frames=FRAMES):
    """A clip, as a rule of 1.6 s: words of different loudness, the mouth dark and open as far as it is loud."""
    random = np.random.default_rng(seed)
    picture, points = portrait(name)
    loud = np.repeat(random.uniform(0, 1, frames // 5), 5)
    gain = np.repeat(loud, 640)
    sound = gain * 0.5 * np.sin(2 * np.pi * (150 + 300 * gain) * np.arange(640 * frames) / 16_000)
    pictures, meshes = [], []
    for frame in range(frames):
        turn = 1.5 * np.sin(frame / 6 + seed)
        shifted = np.roll(picture, round(turn), axis=1)
        mesh = points + np.array([round(turn), 0])
        pictures.append(encoded(_open(shifted, mesh, loud[frame])))
        meshes.append(mesh)
    coefficients = np.zeros((frames, 70), np.float32)
    coefficients[:, INDEX["jawOpen"]] = loud
    coefficients[:, 65] = np.radians(10) * np.sin(np.arange(frames) / 6 + seed)
    words = (Word("low", 0.5, 0.7), Word("high", 0.8, 1.0)) if seed % 2 else (Word("high", 0.6, 0.8),)
    return Clip(
        jpegs=tuple(pictures),
        points_px=np.stack(meshes).astype(np.float32),
        coefficients=coefficients,
        sound=sound.astype(np.float32),
        person=name,
        held_out=held_out,
        words=words,
    )


def _open(picture, mesh, how_far):
    image = Image.fromarray(picture)
    lips = mesh[list(OUTER_LIPS)]
    middle, reach = lips.mean(0), np.ptp(lips, axis=0) / 2 * (0.7, how_far)
    ImageDraw.Draw(image).ellipse([*(middle - reach), *(middle + reach)], fill=(40, 10, 10))
    return np.asarray(image)


def write_clips(folder):
    """Two persons with two clips each, and one that is held out."""
    for seed, (name, held_out) in enumerate([("ada", False), ("ada", False), ("milo", False), ("milo", False)]):
        talking_clip(name, seed, held_out).save(folder / name / f"{seed}.npz")
    talking_clip("milo", 9, True).save(folder / "milo" / "9.npz")
    return folder
