"""From a file that somebody uploaded to the mesh points of the one face in it, or a reason that a person can act on."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from models.errors import PhotoError
from models.visavis.covers import check_uncovered
from models.visavis.landmarks import LandmarkNet, Placement, align, load_net, locate_twice
from models.visavis.parts import load_parts, look_closer
from models.visavis.photo_checks import check_face, check_sharp, check_taken, eye_distance_px

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE_BYTES: Final = 10_000_000
MAX_PHOTO_PIXELS: Final = 40_000_000
LONG_SIDE_PX: Final = 1600
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
"""What is decoded; the rest of Pillow's formats would only widen the attack surface."""

_NOT_AN_IMAGE: Final = "the file is not a picture that can be read: send a JPEG, PNG or WebP file"
_NO_FACE: Final = "no face was found: send a photo of one person's face, seen from the front, with nothing over it"
_SEVERAL: Final = "more than one face was found: send a photo of one person, or cut the others away"

_DETECTOR_PX: Final = 640
_CROP_PER_BOX: Final = 1.486  # aligned crop side over dlib's box side, median over 141 labelled photos
_RIVAL_WIDTH: Final = 1 / 3
_MAX_DISAGREEMENT: Final = 0.12


def load_photo(data: bytes) -> NDArray[np.uint8]:
    """Decode an uploaded picture, upright and without transparency.

    The orientation that the camera noted is applied, transparent parts become mid-grey, of an animation the first
    frame is taken. Size limits are checked on the header, before any pixel is decoded.

    Args:
        data: The file's content.

    Returns:
        RGB, [H, W, 3], uint8, long side at most 1600 px.

    Raises:
        PhotoError: not_an_image or too_large.
    """
    from PIL import Image

    if len(data) > MAX_FILE_BYTES:
        raise PhotoError(
            "too_large", f"the file has {len(data) / 1e6:.1f} MB, at most {MAX_FILE_BYTES / 1e6:.0f} are taken"
        )
    try:
        with warnings.catch_warnings():
            # Pillow warns about damaged metadata and large headers; both are judged here
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_pixels(*image.size)
                return _decode(image)
    except PhotoError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("far more than 100") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, struct.error, zlib.error) as error:
        raise PhotoError("not_an_image", _NOT_AN_IMAGE) from error


def _check_pixels(width_px: int, height_px: int) -> None:
    if width_px * height_px > MAX_PHOTO_PIXELS:
        raise _too_many_pixels(f"{width_px * height_px / 1e6:.0f}")


def _too_many_pixels(megapixels: str) -> PhotoError:
    limit = MAX_PHOTO_PIXELS // 1_000_000
    return PhotoError("too_large", f"the photo has {megapixels} megapixels, at most {limit} are taken: make it smaller")


def _decode(image: "Image") -> NDArray[np.uint8]:
    from PIL import Image

    turn = _UPRIGHT.get(_orientation(image))
    image.draft("RGB", (LONG_SIDE_PX, LONG_SIDE_PX))
    if image.mode.startswith("I"):  # 16 bits a pixel: convert() would clip instead of scale
        deep = np.asarray(image).astype(np.float32) / 257
        upright = Image.fromarray(deep.clip(0, 255).astype(np.uint8)).convert("RGB")
    elif image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        upright = Image.new("RGBA", layer.size, (128, 128, 128, 255))
        upright.alpha_composite(layer)
        upright = upright.convert("RGB")
    else:
        upright = image.convert("RGB")
    upright.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
    if turn is not None:
        upright = upright.transpose(Image.Transpose[turn])
    return np.array(upright, dtype=np.uint8)


_UPRIGHT: Final = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation to the transposition that undoes it."""


def _orientation(image: "Image") -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except (OSError, ValueError, TypeError, SyntaxError, KeyError, struct.error):  # a picture may carry broken EXIF
        return 1


@dataclass(frozen=True)
class Face:
    """A face that both looks agree on.

    Attributes:
        points_px: The 478 mesh points in photo pixels, [478, 2].
        place: The crop that lies on it as the mean face lies in its own.
    """

    points_px: NDArray[np.float64]
    place: Placement


def find_face(photo: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Find the one face and its mesh points.

    Args:
        photo: RGB, [H, W, 3], uint8, upright.

    Returns:
        The 478 mesh points x, y in photo pixels, [478, 2] (see `models.visavis.landmarks`).

    Raises:
        PhotoError: no_face, several_faces, too_small, turned_away, dark, eyes_covered, mouth_covered, blurred or drawn,
            with what to do about it.
    """
    faces = look_for_faces(photo)
    if not faces:
        raise PhotoError("no_face", _NO_FACE)
    main = faces[0]
    if any(is_rival(main, other) for other in faces[1:]):
        raise PhotoError("several_faces", _SEVERAL)
    points_px = look_closer(load_net(), load_parts(), photo, main.points_px)
    check_face(photo, points_px)
    check_taken(photo, main.place)
    check_uncovered(photo, main.place)
    check_sharp(photo, points_px, main.place)
    return points_px


def look_for_faces(photo: NDArray[np.uint8]) -> list[Face]:
    """The faces of a picture [H, W, 3], the largest first, by the first way of looking that finds any; unjudged."""
    net = load_net()
    for boxes in _detections(photo):
        faces = [face for face in (_look(net, photo, box) for box in boxes[:5]) if face is not None]
        if faces:
            return sorted(faces, key=lambda face: face.place.side_px, reverse=True)
    return []


def is_rival(main: Face, other: Face) -> bool:
    """Whether another face is so large and so far from the main one that nobody knows which is meant."""
    apart_px = float(np.linalg.norm(main.points_px.mean(axis=0) - other.points_px.mean(axis=0)))
    return other.place.side_px > main.place.side_px * _RIVAL_WIDTH and apart_px > main.place.side_px * 0.4


def _look(net: LandmarkNet, photo: NDArray[np.uint8], box: Placement) -> Face | None:
    """The face in a box, or None where the second look contradicts the first: then it is none."""
    first, second = locate_twice(net, photo, box)
    across_px = eye_distance_px(second)
    off_px = float(np.linalg.norm(first - second, axis=1).mean())
    if across_px < 2 or off_px > across_px * _MAX_DISAGREEMENT:
        return None
    return Face(second, align(net.mean_shape.double().numpy(), second))


@dataclass(frozen=True)
class _Try:
    """One way to look at the photo when the last has found nothing."""

    long_side_px: int
    turn_deg: float = 0.0
    equalised: bool = False
    margin: float = 0.0


_TRIES: Final = (
    _Try(_DETECTOR_PX),
    _Try(1280),
    _Try(_DETECTOR_PX, equalised=True, margin=0.25),
    _Try(_DETECTOR_PX, turn_deg=-25),
    _Try(_DETECTOR_PX, turn_deg=25),
)


_DETECTING: Final = Lock()  # dlib's detector keeps its image pyramid inside


@cache
def _detector() -> Any:
    import dlib

    return dlib.get_frontal_face_detector()  # pyright: ignore[reportAttributeAccessIssue]


def _detections(photo: NDArray[np.uint8]) -> Iterator[list[Placement]]:
    """Boxes of possible faces, largest first, from every way of looking, one way at a time."""
    for way in _TRIES:
        view, back = _view(photo, way)
        with _DETECTING:
            found = [_placed(box, back) for box in _detector()(view, 0)]
        yield sorted(found, key=lambda place: place.side_px, reverse=True)


def _view(photo: NDArray[np.uint8], way: _Try) -> tuple[NDArray[np.uint8], Placement]:
    """The photo as the detector sees it, and how its pixels map back to the photo's."""
    from PIL import Image, ImageOps

    image = Image.fromarray(photo)
    if way.equalised:
        image = ImageOps.autocontrast(ImageOps.equalize(image.convert("L")))
    image = image.convert("L")
    scale = way.long_side_px / (max(photo.shape[:2]) * (1 + 2 * way.margin))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    view = np.asarray(image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0))
    border = round(way.long_side_px * way.margin / (1 + 2 * way.margin))
    view = np.pad(view, border, mode="edge")
    back = Placement(complex(1 / scale), complex(-border, -border) / scale)
    if way.turn_deg:
        view = np.asarray(Image.fromarray(view).rotate(way.turn_deg, Image.Resampling.BILINEAR))
        about = complex(view.shape[1], view.shape[0]) / 2
        turn = back.turn * np.exp(1j * np.radians(way.turn_deg))
        back = Placement(complex(turn), back.corner + back.turn * about - turn * about)
    return view, back


def _placed(box: Any, back: Placement) -> Placement:
    """dlib's box as the crop to look at first."""
    side = (box.width() * box.height()) ** 0.5 * _CROP_PER_BOX
    centre = complex(box.left() + box.width() / 2, box.top() + box.height() / 2)
    turn = back.turn * side
    return Placement(turn, back.corner + back.turn * centre - turn * (0.5 + 0.5j))
