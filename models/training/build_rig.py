"""Build the rig file that ships with visavis from USC ICT's FaceKit.

    python -m models.training.build_rig --data DIR

ICT-FaceKit (github.com/ICT-VGL/ICT-FaceKit, MIT licence, Copyright 2020 USC Institute for Creative Technologies) has
26,719 vertices, most of which a portrait never shows. Kept are the face with neck and ears, what an open mouth shows
of socket, gums, tongue and front teeth (thinned out), and the front of the eyeballs.
"""

import argparse
import heapq
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from models.rig import BLENDSHAPES
from models.visavis.ict import RIG_FILE, Part

IDENTITY_MODES = 60
IRIS_RADIUS_CM = 0.59
IRIS_RING = 24
FRONT_TOOTH_CM = 8.0
EAR_CM = 7.2
THROAT_CM = 4.0
"""What lies less far forward is never seen."""

# the vertex ranges of ICT-FaceKit's README, first and last
FACE = (0, 9408)
SOCKET = (11248, 13293)
GUMS_TONGUE = (14062, 17038)
TEETH = (17039, 21450)
EYEBALL_L = (21451, 22220)
EYEBALL_R = (23021, 23790)

LANDMARKS_68 = (
    *(1225, 1888, 1052, 367, 1719, 1722, 2199, 1447, 966, 3661, 4390, 3927, 3924, 2608, 3272, 4088, 3443),
    *(268, 493, 1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978, 4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360),
    *(1507, 1542, 1537, 1528, 1518, 1511, 3742, 3751, 3756, 3721, 3725, 3732),
    *(5708, 5695, 2081, 0, 4275, 6200, 6213, 6346, 6461, 5518, 5957, 5841),
    *(5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966),
)
"""`idx_to_landmark_verts` of ICT-FaceKit's vertex_indices.json: the 68 Multi-PIE points."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def ict_names(blendshape: str) -> list[str]:
    """ICT-FaceKit's expressions that add up to one ARKit blendshape; none for `tongueOut`."""
    if blendshape == "tongueOut":
        return []
    if blendshape in ("browInnerUp", "cheekPuff"):
        return [blendshape + "_L", blendshape + "_R"]
    for side in ("Left", "Right"):
        if blendshape.endswith(side) and not blendshape.startswith(("jaw", "mouthLeft", "mouthRight")):
            return [f"{blendshape.removesuffix(side)}_{side[0]}"]
    return [blendshape]


def thin(vertices: Floats, chosen: Ints, group: Ints, cell_cm: float) -> dict[int, int]:
    """Which vertex stands for each of `chosen`: the first one of its cell of a cubic grid and its group."""
    cells: dict[tuple[int, ...], int] = {}
    keys = np.floor(vertices[chosen] / cell_cm).astype(int)
    return {
        int(v): cells.setdefault((*map(int, key), int(group[v])), int(v)) for v, key in zip(chosen, keys, strict=True)
    }


def components(triangles: Ints, count: int) -> Ints:
    """A label per vertex [count], equal for vertices that triangles connect."""
    label = np.arange(count)
    while True:
        lowest = label[triangles].min(1)
        spread = label.copy()
        for corner in range(3):
            np.minimum.at(spread, triangles[:, corner], lowest)
        if (spread == label).all():
            return label
        label = spread


def eyeball(vertices: Floats, span: tuple[int, int]) -> tuple[Floats, Ints, Ints, Ints]:
    """Centre [3] of an eyeball, its front vertices, those inside the iris, and a closed ring on the iris's rim."""
    index = np.arange(span[0], span[1] + 1)
    ball = vertices[index].astype(np.float64)
    # least squares sphere: |v|^2 = 2 c.v + k
    solved = np.linalg.lstsq(np.c_[2 * ball, np.ones(len(ball))], (ball**2).sum(1), rcond=None)[0]
    centre = solved[:3]
    off = ball - centre
    across = np.hypot(off[:, 0], off[:, 1])
    front = index[off[:, 2] > -0.1]
    iris = index[(off[:, 2] > 0) & (across < IRIS_RADIUS_CM)]
    turns = np.linspace(0, 2 * np.pi, IRIS_RING, endpoint=False)
    wanted = np.stack([np.cos(turns), np.sin(turns)], 1) * IRIS_RADIUS_CM
    reach = np.linalg.norm(off[None, :, :2] - wanted[:, None], axis=2) + 10.0 * (off[None, :, 2] < 0)
    ring = index[reach.argmin(1)]
    return centre.astype(np.float32), front, iris, np.array(list(dict.fromkeys(ring.tolist())))


def closed_path(vertices: Floats, triangles: Ints, through: tuple[int, ...]) -> Ints:
    """The closed chain of mesh edges that goes through these vertices in order by the shortest ways."""
    edges: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for a, b in ((0, 1), (1, 2), (2, 0)):
        length = np.linalg.norm(vertices[triangles[:, a]] - vertices[triangles[:, b]], axis=1)
        for i, j, cm in zip(triangles[:, a].tolist(), triangles[:, b].tolist(), length.tolist(), strict=True):
            edges[i][j] = edges[j][i] = cm
    chain: list[int] = []
    for start, goal in zip(through, through[1:] + through[:1], strict=True):
        before: dict[int, int] = {}
        queue = [(0.0, goal, goal)]
        while start not in before:
            cm, vertex, previous = heapq.heappop(queue)
            if vertex in before:
                continue
            before[vertex] = previous
            for neighbour, step in edges[vertex].items():
                heapq.heappush(queue, (cm + step, neighbour, vertex))
        while start != goal:
            chain.append(start)
            start = before[start]
    return np.array(chain)


def hole_rim(vertices: Floats, triangles: Ints, near_cm: tuple[float, float, float]) -> Ints:
    """The closed border chain of a mesh that passes closest to a point."""
    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    unique, times = np.unique(edges, axis=0, return_counts=True)
    after: defaultdict[int, list[int]] = defaultdict(list)
    for a, b in unique[times == 1].tolist():
        after[a].append(b)
        after[b].append(a)
    chain = [min(after, key=lambda v: float(np.linalg.norm(vertices[v] - near_cm)))]
    while ways := [v for v in after[chain[-1]] if v not in chain]:
        chain.append(ways[0])
    return np.array(chain)


def build(data: Path) -> dict[str, Tensor]:
    """The rig's tensors from the folder that holds `ict-facekit/ict_facekit_f16.npz`."""
    source = np.load(data / "ict-facekit" / "ict_facekit_f16.npz")
    neutral: Floats = source["neutral"].astype(np.float32)
    triangles: Ints = source["tri"].astype(np.int64)
    names = [str(name) for name in source["expr_names"]]
    expression = source["expr"].astype(np.float32)
    shapes = np.zeros((len(BLENDSHAPES), *neutral.shape), np.float32)
    for row, blendshape in enumerate(BLENDSHAPES):
        for name in ict_names(blendshape):
            shapes[row] += expression[names.index(name)]

    part = np.full(len(neutral), -1, np.int8)
    stands_for = np.arange(len(neutral))
    label = components(triangles, len(neutral))
    teeth = np.unique(label[TEETH[0] : TEETH[1] + 1])
    front_teeth = {tooth for tooth in teeth.tolist() if neutral[label == tooth, 2].mean() > FRONT_TOOTH_CM}

    part[FACE[0] : FACE[1] + 1] = Part.FACE
    ears = np.setdiff1d(np.flatnonzero(np.abs(neutral[: FACE[1] + 1, 0]) > EAR_CM), LANDMARKS_68)
    part[ears] = -1
    for vertex, standin in thin(neutral, ears, label, 0.4).items():
        stands_for[vertex] = standin
        part[standin] = Part.FACE
    for kind, span, cell_cm in ((Part.SOCKET, SOCKET, 0.7), (Part.GUMS, GUMS_TONGUE, 0.55), (Part.TEETH, TEETH, 0.2)):
        chosen = np.arange(span[0], span[1] + 1)
        if kind == Part.TEETH:
            chosen = chosen[[int(label[v]) in front_teeth for v in chosen]]
        else:
            chosen = chosen[neutral[chosen, 2] > THROAT_CM]
        for vertex, standin in thin(neutral, chosen, label, cell_cm).items():
            stands_for[vertex] = standin
            part[standin] = kind
    identity = source["identity"][:IDENTITY_MODES].astype(np.float32)
    centres: list[Floats] = []
    drift: list[Floats] = []
    iris_rings: list[Ints] = []
    for span, sclera, iris_part in (
        (EYEBALL_L, Part.SCLERA_L, Part.IRIS_L),
        (EYEBALL_R, Part.SCLERA_R, Part.IRIS_R),
    ):
        centre, front, iris, ring = eyeball(neutral, span)
        part[front], part[iris] = sclera, iris_part
        inner = np.setdiff1d(iris, ring)
        part[inner] = -1
        for vertex, standin in thin(neutral, inner, label, 0.16).items():
            stands_for[vertex] = standin
            part[standin] = iris_part
        centres.append(centre)
        drift.append(identity[:, span[0] : span[1] + 1].mean(1))
        iris_rings.append(ring)

    drawn = stands_for[triangles]
    solid = (drawn[:, 0] != drawn[:, 1]) & (drawn[:, 1] != drawn[:, 2]) & (drawn[:, 2] != drawn[:, 0])
    drawn = drawn[solid & (part[drawn] >= 0).all(1)]
    drawn = np.unique(np.stack([np.roll(t, -int(t.argmin())) for t in drawn]), axis=0)

    kept = np.flatnonzero(part >= 0)
    place = np.full(len(neutral), -1)
    place[kept] = np.arange(len(kept))
    face = triangles[(triangles <= FACE[1]).all(1)]
    contours = {
        "inner_lip": closed_path(neutral, face, LANDMARKS_68[60:68]),
        "mouth_hole": hole_rim(neutral, face, (0.0, -3.9, 10.6)),
        "eye_left": closed_path(neutral, face, LANDMARKS_68[42:48]),
        "eye_right": closed_path(neutral, face, LANDMARKS_68[36:42]),
        "iris_left": iris_rings[0],
        "iris_right": iris_rings[1],
        "landmarks68": np.array(LANDMARKS_68),
    }
    jaw = np.abs(shapes[BLENDSHAPES.index("jawOpen")]).sum(1) > 0.5
    tensors = {
        "neutral": torch.from_numpy(neutral[kept]),
        "identity": torch.from_numpy(identity[:, kept]).half(),
        "expression": torch.from_numpy(shapes[:, kept]).half(),
        "triangles": torch.from_numpy(place[drawn]).short(),
        "part": torch.from_numpy(part[kept]),
        "with_jaw": torch.from_numpy(jaw[kept]),
        "eye_centre": torch.from_numpy(np.stack(centres)),
        "eye_identity": torch.from_numpy(np.stack(drift, 1)),
    }
    tensors |= {name: torch.from_numpy(place[chain]).short() for name, chain in contours.items()}
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Build the shipped rig file from ICT-FaceKit.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds ict-facekit/")
    parser.add_argument("--out", type=Path, default=RIG_FILE)
    args = parser.parse_args()
    tensors = build(args.data)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, args.out, {"source": "ICT-FaceKit, MIT, USC Institute for Creative Technologies"})
    counts = torch.bincount(tensors["part"].long(), minlength=len(Part)).tolist()
    print(json.dumps({p.name: n for p, n in zip(Part, counts, strict=True)} | {"bytes": args.out.stat().st_size}))


if __name__ == "__main__":
    main()
