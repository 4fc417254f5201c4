"""One portrait as a scene that can be drawn in any state: face and background from the photo, the rest painted.

What a photo does not show is made up: mouth interior and teeth, the skin of a closed lid (taken from between brow and
lid), lashes, the hidden parts of the eyeballs. What is made up is the same in all states of one person.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.rig import INDEX
from models.training.raster import Floats, Ints, vertices
from models.visavis.fit import Box, crop, lip_gap_cm
from models.visavis.ict import BLINK, NECK_CM, Part, Rig, Shape, person, pose, rotation, weights

MARGIN: Final = 1.3
"""The texture shows this much more than the frame, for what head turns bring in."""

TEXTURE_PX: Final = 704
GRID: Final = 41
LASH_CM: Final = 0.16
EYE_SINK_CM: Final = 0.3
"""How much deeper than the truth eyeballs are drawn, so that no closed lid is pierced by one."""


@dataclass(frozen=True)
class Look:
    """What is made up for one person."""

    teeth_rgb: Floats
    gums_rgb: Floats
    mouth_rgb: Floats
    lash_rgb: Floats
    light: float
    gap: float


def own_controls(shape: Shape) -> Tensor:
    """The controls [57] that give the photo itself."""
    return functional.pad(shape.expression - shape.rest, (0, 5))


class Scene:
    """A fitted portrait, ready to be drawn in any state.

    Args:
        rig: The whole rig.
        shape: The person in frame pixels (`models.visavis.fit.shape_in_frame`).
        photo: The photo, RGB, [H, W, 3].
        box: The frame in photo pixels, from `crop_box`.
        size_px: Side of the frame.
        rng: Chooses what is made up.
    """

    def __init__(
        self, rig: Rig, shape: Shape, photo: NDArray[np.uint8], box: Box, size_px: int, rng: np.random.Generator
    ) -> None:
        self.rig, self.shape, self.size_px = rig, shape, size_px
        extra = (MARGIN - 1) / 2 * (box[2] - box[0])
        wide = (box[0] - extra, box[1] - extra, box[2] + extra, box[3] + extra)
        self.texture = crop(photo, wide, TEXTURE_PX).copy()
        self.base = person(rig, shape)
        own = own_controls(shape)[None]
        self.own_px = pose(rig, shape, own, self.base)[0].numpy()
        expression = weights(shape, own)
        self.own_cm = (self.base + (expression @ rig.expression.flatten(1)).unflatten(-1, (-1, 3)))[0].numpy()
        self.face = np.flatnonzero(rig.part.numpy() == Part.FACE)
        self.inside = np.flatnonzero(np.isin(rig.part.numpy(), (Part.SOCKET, Part.GUMS, Part.TEETH)))
        self.balls = torch.cat(self.rig.eyeballs).numpy()
        self.uv = self._texel(self.own_px[:, :2])
        self.paint = np.zeros((len(self.own_px), 4), np.float32)
        self.look = self._look(rng)
        self._fill_eyes()
        self._pull_lip_texture()
        self._paint_mouth(rng)
        self._lids()
        self._background()

    def _texel(self, frame_px: Floats) -> Floats:
        """Texture coordinates of places in the frame."""
        side = self.size_px * MARGIN
        return ((frame_px + (side - self.size_px) / 2) / side).astype(np.float32)

    def _sample(self, frame_px: Floats) -> Floats:
        """Colours [N, 3], 0 to 1, at places in the frame."""
        at = np.clip((self._texel(frame_px) * TEXTURE_PX).astype(int), 0, TEXTURE_PX - 1)
        return (self.texture[at[:, 1], at[:, 0]] / 255.0).astype(np.float32)

    def _look(self, rng: np.random.Generator) -> Look:
        skin = self._sample(self.own_px[self.face, :2])
        light = float(np.clip(np.median(skin.mean(1)) / 0.55, 0.55, 1.2))
        tone = rng.uniform(0.0, 1.0)
        teeth = np.array([0.93, 0.90, 0.84]) * tone + np.array([0.84, 0.77, 0.66]) * (1 - tone)
        teeth = teeth * rng.uniform(0.9, 1.05)
        ring = self.own_px[self.rig.inner_lip.numpy(), :2]
        if float(lip_gap_cm(self.rig, torch.from_numpy(self.own_cm)[None]).mean()) > 0.25:
            grid = np.stack(np.meshgrid(np.arange(self.size_px), np.arange(self.size_px)), -1).reshape(-1, 2)
            shown = self._sample(grid[inside_polygon(grid.astype(np.float32), ring)].astype(np.float32))
            if len(shown) > 40:
                bright = shown[shown.mean(1) >= np.percentile(shown.mean(1), 70)]
                teeth = np.median(bright, axis=0) / max(light, 0.85) * 1.15
        lashes = self._sample(self.own_px[self.rig.landmarks68.numpy()[36:48], :2])
        return Look(
            teeth_rgb=np.clip(teeth, 0.3, 1.0).astype(np.float32),
            gums_rgb=np.array([0.66, 0.34, 0.33], np.float32) * np.float32(rng.uniform(0.8, 1.1)),
            mouth_rgb=np.array([0.34, 0.12, 0.11], np.float32) * np.float32(rng.uniform(0.6, 1.3)),
            lash_rgb=(np.percentile(lashes, 15, axis=0) * 0.6).astype(np.float32),
            light=light,
            gap=float(rng.uniform(0.45, 0.85)),
        )

    def _fill_eyes(self) -> None:
        """Replace what the lids cover on the eyeballs by what shows, in the texture around each eye.

        The eyeballs read from a copy of the texture below the photo: the picture grows by half its height.
        """
        clean = self.texture.copy()
        per_px = TEXTURE_PX / (self.size_px * MARGIN)
        for chain, ring in ((self.rig.eye_left, self.rig.iris_left), (self.rig.eye_right, self.rig.iris_right)):
            lids = self._texel(self.own_px[chain.numpy(), :2]) * TEXTURE_PX
            iris = self._texel(self.own_px[ring.numpy(), :2]) * TEXTURE_PX
            middle, radius = iris.mean(0), float(np.linalg.norm(iris - iris.mean(0), axis=1).mean())
            reach = 3.2 * radius
            low = np.maximum((middle - reach).astype(int), 0)
            high = np.minimum((middle + reach).astype(int) + 1, TEXTURE_PX)
            grid = np.stack(np.meshgrid(np.arange(low[0], high[0]), np.arange(low[1], high[1])), -1)
            flat = grid.reshape(-1, 2).astype(np.float32) + 0.5
            hub = lids.mean(0)
            seen = inside_polygon(flat, (lids - hub) * 0.9 + hub - np.array([0, -0.6 * per_px]))
            away = np.linalg.norm(flat - middle, axis=1) / radius
            patch = clean[low[1] : high[1], low[0] : high[0]].reshape(-1, 3).astype(np.float32)
            patch_out = fill_eye(patch, seen, away)
            clean[low[1] : high[1], low[0] : high[0]] = patch_out.reshape(*grid.shape[:2], 3)
        self.texture = np.concatenate([self.texture, clean])
        self.uv[:, 1] *= 0.5
        self.uv[self.balls, 1] += 0.5

    def _pull_lip_texture(self) -> None:
        """Take the lips' seam and inner rim from the lip beside it: the seam is dark and teeth may touch it."""
        upper_rows = self.rig.inner_lip.numpy()
        turn = int((self.rig.inner_lip == self.rig.landmarks68[64]).nonzero())
        ring = self.own_cm[upper_rows]
        lips = self.face[(np.abs(self.own_cm[self.face, 0]) < 3.2) & (np.abs(self.own_cm[self.face, 1] + 3.5) < 1.8)]
        off = self.own_cm[lips][:, None, :2] - ring[None, :, :2]
        nearest = np.linalg.norm(off, axis=2).argmin(1)
        distance = np.linalg.norm(off, axis=2).min(1)
        behind = np.isin(lips, inner_rim(self.rig))
        share = np.where(behind, 1.0, np.clip(1.0 - distance / 0.3, 0.0, 1.0))
        corner = np.clip((2.0 - np.abs(ring[nearest, 0])) / 0.6, 0.0, 1.0)
        upwards = np.where(nearest < turn, 1.0, -1.0)
        moved = self.own_px[lips, :2].copy()
        moved[:, 1] -= upwards * share * corner * 0.13 * float(self.shape.scale_px_per_cm)
        self.uv[lips] = self._texel(moved) * np.array([1.0, 0.5], np.float32)
        self.paint[lips, :3] = np.array([0.45, 0.16, 0.15], np.float32) * np.float32(self.look.light)
        self.paint[lips, 3] = np.where(behind, 0.35, 0.0) * corner

    def _paint_mouth(self, rng: np.random.Generator) -> None:
        part = self.rig.part.numpy()
        for kind, rgb in ((Part.SOCKET, self.look.mouth_rgb), (Part.GUMS, self.look.gums_rgb)):
            self.paint[part == kind] = (*(rgb * self.look.light), 1.0)
        teeth = np.flatnonzero(part == Part.TEETH)
        self.paint[teeth] = (*(self.look.teeth_rgb * max(self.look.light, 0.85)), 1.0)
        tooth = np.floor(self.rig.neutral[teeth, 0].numpy() / 0.8).astype(int) + 20
        self.paint[teeth, :3] *= rng.normal(1.0, 0.03, 64).astype(np.float32)[tooth][:, None]
        self.normal = normals(self.rig.neutral.numpy(), self.rig.triangles.numpy())

    def _lids(self) -> None:
        """Where in the photo each vertex around an eye takes its skin from when the lid is closed.

        Between brow and lid rim the skin is stretched evenly over the closed lid, rather than the few pixels of lid.
        """
        self.lid: list[tuple[NDArray[np.int64], Floats]] = []
        marks = self.rig.landmarks68.numpy()
        turn = rotation(self.shape.angles_deg).numpy()
        scale, centre = float(self.shape.scale_px_per_cm), self.shape.centre_px.numpy()
        for eye, (chain, corner, brow) in enumerate(
            (
                (self.rig.eye_left.numpy(), 45, marks[22:27]),
                (self.rig.eye_right.numpy(), 39, marks[17:22]),
            )
        ):
            upper = chain[: int(np.flatnonzero(chain == marks[corner])[0]) + 1]
            full = self.rig.expression[BLINK[eye]].numpy() * float(self.shape.blink_gain[eye])
            closed = self.own_cm + full
            rim_x, rim_y = self.own_cm[upper, 0], self.own_cm[upper, 1]
            sunk = self.face[(full[self.face, 1] < -0.02)]
            x = closed[sunk, 0]
            own_rim = np.interp(x, rim_x, rim_y)
            shut_rim = np.interp(x, closed[upper, 0], closed[upper, 1])
            under_brow = np.interp(x, self.own_cm[brow, 0], self.own_cm[brow, 1]) - 0.45
            top = np.maximum(np.minimum(under_brow, own_rim + 0.9), own_rim + 0.25)
            above = np.clip((top - closed[sunk, 1]) / np.maximum(top - shut_rim, 0.05), 0.0, 1.0)
            lash_free = own_rim + 0.10
            target = top + above * (lash_free - top)
            outside = closed[sunk, 1] >= top
            target = np.where(outside, self.own_cm[sunk, 1], target)
            source = np.stack([np.clip(x, rim_x.min(), rim_x.max()), target, self.own_cm[sunk, 2]], 1)
            source = np.where(outside[:, None], self.own_cm[sunk], source)
            px = ((source - np.array(NECK_CM)) @ turn.T)[:, :2] * scale * np.array([1.0, -1.0]) + centre
            share = np.clip(-full[sunk, 1] / 0.12, 0.0, 1.0)[:, None]
            texel = self._texel(px.astype(np.float32)) * np.array([1.0, 0.5], np.float32)
            self.lid.append((sunk, (share * (texel - self.uv[sunk])).astype(np.float32)))

    def _background(self) -> None:
        """A grid behind the face that follows the projected mesh, less with distance from it."""
        side = np.linspace(-(MARGIN - 1) / 2, 1 + (MARGIN - 1) / 2, GRID) * self.size_px
        self.grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2).astype(np.float32)
        index = np.arange(GRID * GRID).reshape(GRID, GRID)
        quads = np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 4)
        self.triangles: Ints = np.concatenate(
            [quads[:, [0, 1, 2]], quads[:, [0, 2, 3]], self.rig.triangles.numpy() + GRID * GRID]
        ).astype(np.int32)
        self.anchors = self.face[::8]
        off_cm = self.grid[:, None] - self.own_px[None, self.anchors, :2]
        square = (off_cm**2).sum(-1) / float(self.shape.scale_px_per_cm) ** 2
        weight = 1.0 / (square + 0.15) ** 2
        self.anchor_weight = weight / weight.sum(1, keepdims=True)
        far = np.maximum(np.sqrt(square.min(1)) - 0.4, 0.0) / 4.0
        self.follow = (1.0 / (1.0 + far**2))[:, None]

    def states(self, controls: Tensor) -> list[tuple[Floats, Ints, Floats, Ints]]:
        """What `Raster.draw` takes for each row of controls [N, 57]."""
        places = pose(self.rig, self.shape, controls, self.base).numpy()
        blinks = controls[:, BLINK].clamp(0, 1).numpy()
        turns = rotation(self.shape.angles_deg + controls[:, [INDEX["headYaw"], INDEX["headPitch"], INDEX["headRoll"]]])
        return [
            (*self._solid(place, blink, turn.numpy()), *self._lashes(place, blink))
            for place, blink, turn in zip(places, blinks, turns, strict=True)
        ]

    def _solid(self, place: Floats, blink: Floats, turn: Floats) -> tuple[Floats, Ints]:
        depth_px = 3.0 * self.size_px
        own_blink = self.shape.expression[list(BLINK)].numpy()
        uv = self.uv.copy()
        for (sunk, shift), closing, before in zip(self.lid, blink, own_blink, strict=True):
            uv[sunk] += shift * smoothstep(max(0.0, closing - before) / max(0.2, 1.0 - before))
        shade = np.ones(len(place), np.float32)
        scale = float(self.shape.scale_px_per_cm)
        lip = place[self.rig.inner_lip.numpy()]
        turn_at = len(lip) // 2
        ceiling = np.interp(place[self.inside, 0], lip[:turn_at, 0], lip[:turn_at, 1])
        below_cm = (place[self.inside, 1] - ceiling) / scale
        back_cm = (lip[:, 2].max() - place[self.inside, 2]) / scale
        facing = np.clip((self.normal[self.inside] @ turn.T)[:, 2], 0.0, 1.0)
        lit = 0.7 + 0.3 * np.clip(below_cm / 0.3, 0.0, 1.0)
        deep = np.clip(1.3 - back_cm / 4.5, 0.2, 1.0)
        shade[self.inside] = lit * deep * (self.look.gap + (1.0 - self.look.gap) * facing)
        place = place.copy()
        place[self.balls, 2] -= EYE_SINK_CM * scale
        solid = vertices(place, uv, self.paint, shade, self.size_px, depth_px)
        moved = self.grid + self.anchor_weight @ (place[self.anchors, :2] - self.own_px[self.anchors, :2]) * self.follow
        still = np.full((len(moved), 1), -0.9 * depth_px)
        texel = self._texel(self.grid) * np.array([1.0, 0.5], np.float32)
        ones = np.ones(len(moved), np.float32)
        behind = vertices(
            np.hstack([moved, still]), texel, np.zeros((len(moved), 4), np.float32), ones, self.size_px, depth_px
        )
        return np.concatenate([behind, solid]), self.triangles

    def _lashes(self, place: Floats, blink: Floats) -> tuple[Floats, Ints]:
        """Strips along the upper lids' rims that show as the lids come down: the photo's own lashes stay above."""
        marks = self.rig.landmarks68.numpy()
        scale = float(self.shape.scale_px_per_cm)
        packed: list[Floats] = []
        index: list[Ints] = []
        for eye, (chain, corner) in enumerate(((self.rig.eye_left.numpy(), 45), (self.rig.eye_right.numpy(), 39))):
            upper = chain[: int(np.flatnonzero(chain == marks[corner])[0]) + 1]
            rim = place[upper].copy()
            taper = np.sin(np.linspace(0.06, 0.94, len(upper)) * np.pi)[:, None]
            rows: list[Floats] = []
            for drop_cm, alpha in ((-0.07, 0.0), (0.0, 0.8), (0.05, 0.7), (LASH_CM, 0.0)):
                row = rim.copy()
                row[:, 1:2] += drop_cm * scale * taper
                strength = alpha * smoothstep(float(blink[eye])) * np.minimum(1.0, 2 * taper[:, 0])
                colour = np.tile(np.append(self.look.lash_rgb, 1.0).astype(np.float32), (len(row), 1))
                colour[:, 3] = strength
                zero = np.zeros((len(row), 2), np.float32)
                rows.append(
                    vertices(row, zero, colour, np.ones(len(row), np.float32), self.size_px, 3.0 * self.size_px)
                )
            start = sum(len(p) for p in packed)
            packed.append(np.concatenate(rows))
            index.append(strip(len(upper), len(rows)) + start)
        return np.concatenate(packed), np.concatenate(index)


def inner_rim(rig: Rig) -> NDArray[np.int64]:
    """Vertices of the face between the line where the lips meet and the mouth's hole behind it."""
    facets = rig.triangles[(rig.part[rig.triangles] == Part.FACE).all(1)].numpy()
    seam = np.zeros(len(rig.part), bool)
    seam[rig.inner_lip.numpy()] = True
    reached = np.zeros(len(rig.part), bool)
    reached[rig.mouth_hole.numpy()] = True
    while True:
        touched = (reached & ~seam)[facets].any(1)
        grown = reached.copy()
        grown[facets[touched].ravel()] = True
        if (grown == reached).all():
            return np.flatnonzero(reached & ~seam)
        reached = grown


def strip(columns: int, rows: int) -> Ints:
    """Triangles of a sheet of `rows` by `columns` vertices, row after row."""
    at = np.arange(rows * columns).reshape(rows, columns)
    quads = np.stack([at[:-1, :-1], at[:-1, 1:], at[1:, 1:], at[1:, :-1]], -1).reshape(-1, 4)
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]]).astype(np.int32)


def smoothstep(value: float) -> float:
    """0 to 1 with level ends, of a value clamped to 0 to 1."""
    value = min(max(value, 0.0), 1.0)
    return value * value * (3.0 - 2.0 * value)


def inside_polygon(points: Floats, polygon: Floats) -> NDArray[np.bool_]:
    """Whether each point [N, 2] lies in a closed polygon [M, 2], by counting crossings."""
    x, y = points[:, :1], points[:, 1:]
    ax, ay = polygon[:, 0], polygon[:, 1]
    bx, by = np.roll(ax, -1), np.roll(ay, -1)
    rise = np.where(np.abs(by - ay) < 1e-9, 1e-9, by - ay)
    crosses = ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / rise + ax)
    return crosses.sum(1) % 2 == 1


def normals(places: Floats, triangles: NDArray[np.int64]) -> Floats:
    """Unit normals of vertices [V, 3]."""
    a, b, c = (places[triangles[:, corner]] for corner in range(3))
    facet = np.cross(b - a, c - a)
    out = np.zeros_like(places)
    for corner in range(3):
        np.add.at(out, triangles[:, corner], facet)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def fill_eye(patch: Floats, seen: NDArray[np.bool_], away: Floats) -> Floats:
    """Pixels [N, 3] around an eye with the hidden ones made up.

    Args:
        patch: Colours, 0 to 255.
        seen: Which show the eyeball, [N].
        away: Distance from the middle of the iris in iris radii, [N].

    Returns:
        Hidden iris pixels take the mean of those seen at the same radius, hidden white the typical seen white.
    """
    out = patch.copy()
    white = patch[seen & (away > 1.15)]
    if len(white) < 8:
        white = patch[seen] if seen.any() else patch
    typical = np.percentile(white, 55, axis=0) * 0.95
    hidden = ~seen
    for low in np.arange(0.0, 1.1, 0.1):
        ring = (away >= low) & (away < low + 0.1)
        known = patch[ring & seen]
        out[ring & hidden] = known.mean(0) if len(known) >= 3 else typical * 0.35
    rim = hidden & (away >= 1.0) & (away < 1.12)
    out[rim] = 0.5 * out[rim] + 0.5 * typical
    out[hidden & (away >= 1.1)] = typical
    return out
