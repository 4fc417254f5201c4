"""Training pairs of people who do not exist: ICT-FaceKit heads in MakeHuman's skins, brows and hair.

    python -m models.training.heads --data DIR --out DIR --persons 100

They show what no photo does: what a head looks like when it turns far, with ears, true parallax, and open mouths. The
files are like those of `models.training.pairs`. Needs the packages `anny` and scipy besides what pairs need.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from models.rig import INDEX
from models.training.build_rig import IRIS_RADIUS_CM
from models.training.corpus import is_held_out, person_hash
from models.training.head_mesh import Cards, Wardrobe
from models.training.pairs import PERSONS_PER_FILE, Person, save
from models.training.raster import Floats, Ints, Raster, vertices
from models.training.scene import EYE_SINK_CM, normals, strip
from models.training.states import random_controls
from models.training.truth import NEAR_CM, Truth, truth_of
from models.visavis.fit import FRAME_PX, blink_gain, crop_box, rest_expression, shape_in_frame
from models.visavis.ict import Part, Rig, Shape, person, turn_eyes, turn_head, weights

FOLDER: Final = "heads"
SUPERSAMPLED: Final = 2
OWN_YAW_DEG: Final = 15.0
TURN_DEG: Final = 20.0
"""A head looks up to 15 degrees aside in its photo and turns up to 20 more: 35 in all."""

_IDENTITY_SD: Final = 0.75
_SKIN_PX: Final = 2048
_EYE_PX: Final = 512
_IRIS_AT: Final = (0.293, 0.711)  # in MakeHuman's pictures of eyes
_IRIS_RADIUS: Final = 0.117
_LASH_CM: Final = 0.22
_LID_SHADOW: Final = 0.85
"""Of the light that falls on a face, what reaches the eyeballs."""


@dataclass(frozen=True)
class Light:
    """A light from one side, and from all sides, fixed to the camera.

    Attributes:
        towards: Where it comes from, unit vector [3], x right, y up, z towards the viewer.
        direct: How strong it is where it falls straight.
        ambient: How strong everything else is.
        tint: RGB factors, [3].
    """

    towards: Floats
    direct: float
    ambient: float
    tint: Floats

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Light":
        """Mostly from the front and above, sometimes from a side."""
        towards = np.array([rng.normal(0.0, 0.6), rng.normal(0.35, 0.35), 1.0])
        ambient = rng.uniform(0.35, 0.7)
        return cls(
            (towards / np.linalg.norm(towards)).astype(np.float32),
            float(rng.uniform(0.85, 1.05) - ambient),
            float(ambient),
            (rng.uniform(0.95, 1.05, 3) * rng.uniform(0.75, 1.0)).astype(np.float32),
        )

    def shade(self, normal: Floats) -> Floats:
        """Factors [N] on the colours of a surface with these normals [N, 3]; half way round it is not yet dark."""
        wrapped = np.clip((normal @ self.towards + 0.3) / 1.3, 0.0, 1.0)
        return (self.ambient + self.direct * wrapped).astype(np.float32)


@dataclass(frozen=True)
class Posed:
    """A head in one state, ready to be drawn.

    Attributes:
        place: Its vertices in px of the picture that is kept, [V, 3].
        solid: As `Raster.draw` takes them, like the rest.
        cards: Brows and hair.
        lashes: Veil.
        lash_triangles: Of the veil.
    """

    place: Floats
    solid: Floats
    cards: list[tuple[Floats, NDArray[np.uint8]]]
    lashes: Floats
    lash_triangles: Ints


class Head:
    """One made-up person, ready to be drawn in any state."""

    def __init__(self, wardrobe: Wardrobe, small: Rig, number: int, size_px: int) -> None:
        self.wardrobe, self.size_px = wardrobe, size_px
        self.name = person_hash(f"{FOLDER}/{number}")
        self.rng = rng = np.random.default_rng(int(self.name, 16))
        self.shape = random_shape(small, rng, size_px)
        self.base = person(wardrobe.rig, self.shape)
        self.light = Light.random(rng)
        self.background = random_background(rng, size_px)
        self.texture = self._texture()
        brows = rng.choice(wardrobe.styles("eyebrows"))
        self.cards: list[Cards] = [wardrobe.cards("eyebrows", str(brows))]
        if rng.random() < 0.9:
            self.cards.append(wardrobe.cards("hair", str(rng.choice(wardrobe.styles("hair")))))
        self.dye = hair_colour(rng)
        self._skin()

    def _texture(self) -> NDArray[np.uint8]:
        """A skin with, under it, an eye."""
        folder = self.wardrobe.data / "makehuman-textures"
        skins, eyes = sorted(folder.glob("skin2048_*.jpg")), sorted(folder.glob("*_eye.png"))
        skin = _picture(skins[int(self.rng.integers(len(skins)))], _SKIN_PX)
        eye = _picture(eyes[int(self.rng.integers(len(eyes)))], _EYE_PX)
        below = np.zeros((_EYE_PX, _SKIN_PX, 3), np.uint8)
        below[:, :_EYE_PX] = eye
        tone = self.rng.uniform(0.85, 1.1) * self.rng.uniform(0.97, 1.03, 3)
        skin = np.clip(skin * tone, 0, 255).astype(np.uint8)
        return np.concatenate([skin, below])

    def _skin(self) -> None:
        rig, rng = self.wardrobe.rig, self.rng
        part = rig.part.numpy()
        height = _SKIN_PX + _EYE_PX
        self.texels = self.wardrobe.texels * np.array([1.0, _SKIN_PX / height], np.float32)
        for eye, ball in enumerate(rig.eyeballs):
            off = (rig.neutral[ball] - rig.eye_centre[eye]).numpy()[:, :2] * np.array([1.0, -1.0])
            at = np.array(_IRIS_AT) + off * (_IRIS_RADIUS / IRIS_RADIUS_CM)
            self.texels[ball.numpy()] = (at * _EYE_PX + [0, _SKIN_PX]) / [_SKIN_PX, height]
        self.paint = np.zeros((len(part), 4), np.float32)
        teeth = np.array([0.93, 0.89, 0.81]) * rng.uniform(0.85, 1.05)
        rgb = {
            Part.SOCKET: np.array([0.36, 0.13, 0.12]) * rng.uniform(0.7, 1.3),
            Part.GUMS: np.array([0.68, 0.34, 0.34]) * rng.uniform(0.8, 1.1),
            Part.TEETH: teeth,
        }
        for kind, colour in rgb.items():
            self.paint[part == kind] = (*colour, 1.0)
        self.triangles: Ints = rig.triangles.numpy().astype(np.int32)
        torn = self.triangles[self.wardrobe.seams]
        self.torn = torn.ravel()  # vertices that are drawn once more, for triangles of one colour
        self.drawn = self.triangles.copy()
        self.drawn[self.wardrobe.seams] = len(part) + np.arange(len(self.torn)).reshape(-1, 3)
        self.texels = np.concatenate([self.texels, self.texels[torn[:, :1].repeat(3, 1).ravel()]])
        self.balls = torch.cat(rig.eyeballs).numpy()
        self.inside = np.flatnonzero(np.isin(part, (Part.SOCKET, Part.GUMS, Part.TEETH)))

    def draw(self, raster: Raster, posed: "Posed") -> NDArray[np.uint8]:
        """One picture [size_px, size_px, 3]; `raster` must hold this head's texture."""
        raw = raster.draw_clothed(posed.solid, self.drawn, posed.cards, posed.lashes, posed.lash_triangles)
        small = np.asarray(
            Image.fromarray(raw, "RGBa").resize((self.size_px, self.size_px), Image.Resampling.BOX), np.float32
        )
        lit = small[..., :3] * self.light.tint
        return np.clip(lit + self.background * (1.0 - small[..., 3:] / 255.0), 0, 255).astype(np.uint8)

    def posed(self, controls: Tensor, size_px: int) -> "Posed":
        """Everything to draw for controls [57] in a picture of `size_px`."""
        rig, shape, controls = self.wardrobe.rig, self.shape, controls[None]
        own = (self.base + (weights(shape, controls) @ rig.expression.flatten(1)).unflatten(-1, (-1, 3)))[0]
        head_cm = own.numpy().copy()
        for eye, ball in enumerate(rig.eyeballs):
            own[ball] = turn_eyes(rig, shape, controls, self.base[:, None, ball])[0, eye]
            own[ball, 2] -= EYE_SINK_CM
        factor = size_px / self.size_px

        def to_px(points_cm: Tensor) -> Floats:
            return (turn_head(shape, controls, points_cm[None])[0] * factor).numpy()

        depth_px = 4.0 * size_px
        place = to_px(own)
        normal = normals(place * np.array([1.0, -1.0, 1.0], np.float32), self.triangles.astype(np.int64))
        shade = self.light.shade(normal)
        shade[self.inside] *= self._dimness(place, float(shape.scale_px_per_cm) * factor)
        shade[self.balls] *= _LID_SHADOW
        rows = np.concatenate([np.arange(len(place)), self.torn])
        cards: list[tuple[Floats, NDArray[np.uint8]]] = []
        for worn in self.cards:
            corners = to_px(torch.from_numpy(worn.moved(head_cm, self.wardrobe.neutral)))
            paint = np.tile(self.dye, (len(corners), 1))
            light = self.light.shade(normal[worn.follows[:, 0]])
            cards.append((vertices(corners, worn.texels, paint, light, size_px, depth_px), worn.texture))
        return Posed(
            place / factor,
            vertices(place[rows], self.texels, self.paint[rows], shade[rows], size_px, depth_px),
            cards,
            *self._lashes(place, factor),
        )

    def truth(self, raster: Raster, states: "list[Posed]") -> Truth:
        """The truth of these states, drawn by a raster of the picture's own size; the first one is the photo."""
        kind = np.full(len(states[0].place), 1.0, np.float32)
        kind[self.inside], kind[self.balls] = 2.0, 3.0
        rows = np.concatenate([np.arange(len(kind)), self.torn])
        numbers = np.column_stack([states[0].place, kind])[rows].astype(np.float32)
        worn = [np.column_stack([to_place(card, self.size_px), np.full(len(card), 4.0)]) for card, _ in states[0].cards]
        traces = [
            raster.trace(
                state.solid,
                numbers,
                self.drawn,
                [(*card, own.astype(np.float32)) for card, own in zip(state.cards, worn, strict=True)],
            )
            for state in states
        ]
        marks = np.stack([state.place[self.wardrobe.rig.landmarks68.numpy(), :2] for state in states])
        return truth_of(np.stack(traces), marks, 0, NEAR_CM * float(self.shape.scale_px_per_cm))

    def _dimness(self, place: Floats, scale: float) -> Floats:
        """How much of the light reaches into the mouth: less with depth behind the lips."""
        front = place[self.wardrobe.rig.inner_lip.numpy(), 2].max()
        back_cm = (front - place[self.inside, 2]) / scale
        return np.clip(1.3 - back_cm / 6.0, 0.2, 1.0).astype(np.float32)

    def _lashes(self, place: Floats, factor: float) -> tuple[Floats, Ints]:
        """A dark line along each upper lid that fades outwards."""
        rig = self.wardrobe.rig
        scale = float(self.shape.scale_px_per_cm) * factor
        rows: list[Floats] = []
        index: list[Ints] = []
        for chain, corner in ((rig.eye_left, rig.landmarks68[45]), (rig.eye_right, rig.landmarks68[39])):
            rim = place[chain[: int((chain == corner).nonzero()) + 1].numpy()]
            taper = np.sin(np.linspace(0.06, 0.94, len(rim)) * np.pi)[:, None]
            start = sum(map(len, rows))
            for rise_cm, alpha in ((-0.03, 0.0), (0.0, 0.8), (0.05, 0.6), (_LASH_CM, 0.0)):
                row = rim.copy()
                row[:, 1:2] -= 0.5 * rise_cm * scale * taper
                colour = np.tile(np.array([0.07, 0.05, 0.04, 1.0], np.float32), (len(row), 1))
                colour[:, 3] = alpha * np.minimum(1.0, 2 * taper[:, 0])
                ones, none = np.ones(len(row), np.float32), np.zeros((len(row), 2), np.float32)
                rows.append(
                    vertices(row, none, colour, ones, round(self.size_px * factor), 4.0 * self.size_px * factor)
                )
            index.append(strip(len(rim), 4) + start)
        return np.concatenate(rows), np.concatenate(index)


def _picture(path: Path, size_px: int) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path).convert("RGB").resize((size_px, size_px)))


def random_shape(rig: Rig, rng: np.random.Generator, size_px: int) -> Shape:
    """A person at random, in a frame of `size_px`: rest has closed lips, blinks close the lids."""
    identity = torch.from_numpy(rng.normal(0.0, _IDENTITY_SD, len(rig.identity))).float().clamp(-2.0, 2.0)
    angles = [rng.uniform(-1, 1) * OWN_YAW_DEG, rng.uniform(-6, 6), rng.uniform(-6, 6)]
    zeros = torch.zeros(52)
    shape = Shape(
        identity=identity,
        expression=zeros,
        rest=zeros,
        angles_deg=torch.tensor(angles),
        scale_px_per_cm=torch.tensor(10.0),
        centre_px=torch.zeros(2),
        gaze_deg=torch.zeros(2, 2),
        blink_gain=torch.ones(2),
        residual_cm=torch.tensor(0.0),
    )
    shape = replace(shape, rest=rest_expression(rig, shape))
    shape = replace(shape, expression=shape.rest, blink_gain=blink_gain(rig, shape))
    return shape_in_frame(shape, crop_box(shape), size_px)


def random_background(rng: np.random.Generator, size_px: int) -> Floats:
    """A wall, or something out of focus: [size_px, size_px, 3], 0 to 255."""
    spread = rng.choice([4.0, 35.0])
    coarse = (
        rng.uniform(20, 235) + rng.normal(0, 12, 3) + rng.normal(0, spread, (5, 5, 1)) + rng.normal(0, 8, (5, 5, 3))
    )
    even = torch.from_numpy(np.clip(coarse, 0, 255)).permute(2, 0, 1)[None].float()
    smooth = functional.interpolate(even, size=(size_px, size_px), mode="bicubic", align_corners=True)
    return smooth[0].permute(1, 2, 0).clamp(0, 255).numpy()


def hair_colour(rng: np.random.Generator) -> Floats:
    """RGB and how much of it replaces the texture's own colour, [4]."""
    colours = ((0.06, 0.05, 0.04), (0.16, 0.10, 0.06), (0.30, 0.19, 0.10), (0.55, 0.42, 0.25), (0.55, 0.53, 0.50))
    return np.array([*colours[int(rng.integers(len(colours)))], rng.uniform(0.3, 0.6)], np.float32)


def head_controls(rng: np.random.Generator, own: Tensor) -> Tensor:
    """A random state [57] with larger turns than photos bear."""
    controls = random_controls(rng, own)
    controls[INDEX["headYaw"]] = float(rng.uniform(-TURN_DEG, TURN_DEG))
    return controls


def to_place(packed: Floats, size_px: int) -> Floats:
    """Where vertices that `raster.vertices` packed with the depth of a head lie, [N, 3] px."""
    unit = packed[:, :3] * np.array([0.5, -0.5, -4.0], np.float32)
    return (unit + np.array([0.5, 0.5, 0.0], np.float32)) * size_px


def make_head(
    wardrobe: Wardrobe, rig: Rig, raster: Raster, number: int, states: int, plain: Raster | None = None
) -> Person:
    """The person of this number in `states` states: at rest first. `plain` draws the truth, if it is wanted."""
    size_px = raster.size_px // SUPERSAMPLED
    head = Head(wardrobe, rig, number, size_px)
    rest = torch.zeros(57)
    controls = torch.stack([rest, *(head_controls(head.rng, rest) for _ in range(states - 1))])
    raster.photo(head.texture)
    drawn = [head.draw(raster, head.posed(row, raster.size_px)) for row in controls]
    return Person(
        images=np.stack(drawn),
        controls=controls.numpy(),
        shape=head.shape,
        held_out=is_held_out(head.name),
        folder=FOLDER,
        valid=np.array([0.0, 0.0, size_px, size_px], np.float32),
        truth=None if plain is None else head.truth(plain, [head.posed(row, size_px) for row in controls]),
    )


def draw_heads(
    data: Path, first: int, count: int, states: int, size_px: int, *, truth: bool = False
) -> Iterator[Person]:
    """Draw the persons from number `first` on; with `truth`, flow and the like too."""
    wardrobe, rig, raster = Wardrobe(data), Rig.load(), Raster(size_px * SUPERSAMPLED)
    plain = Raster(size_px) if truth else None
    for number in range(first, first + count):
        yield make_head(wardrobe, rig, raster, number, states, plain)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw made-up people in random states, as training pairs.")
    parser.add_argument("--data", type=Path, required=True, help="folder with ict-facekit/ and makehuman-*/")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder to write heads-NNN.npz to; what is there is kept"
    )
    parser.add_argument("--persons", type=int, default=100)
    parser.add_argument("--states", type=int, default=14, help="images per person")
    parser.add_argument("--truth", action="store_true", help="keep flow, visibility, matte and landmarks too")
    parser.add_argument("--size", type=int, default=FRAME_PX, help="side of the pictures in px")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    with tqdm(total=args.persons, unit="person") as bar:
        for first in range(0, args.persons, PERSONS_PER_FILE):
            path = args.out / f"heads-{first // PERSONS_PER_FILE:03d}.npz"
            count = min(PERSONS_PER_FILE, args.persons - first)
            people: list[Person] = []
            todo = 0 if path.exists() else count
            for head in draw_heads(args.data, first, todo, args.states, args.size, truth=args.truth):
                people.append(head)
                bar.update()
            if people:
                save(path, people)
            else:
                bar.update(count)


if __name__ == "__main__":
    main()
