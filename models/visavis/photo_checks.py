"""Whether a found face is good enough to be enrolled: its size, turn, light and sharpness, by its mesh points."""

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from models.errors import PhotoError
from models.visavis.fit import MEDIAPIPE_68
from models.visavis.landmarks import CROP_PX, Placement, cut

MIN_EYE_DISTANCE_PX: Final = 40.0
MAX_YAW_DEG: Final = 25.0
MIN_LIGHT: Final = 45.0
"""See `light`; 210 good photos of light and dark skin start at 88."""
MIN_SHARPNESS: Final = 0.035
"""See `sharpness`; 210 good photos start at 0.048, half are below when blurred by 4 % of the eye distance."""
MAX_FLATNESS: Final = 0.3
"""See `flatness`; 733 photos end at 0.21, a drawing of even colours has 0.8, with a scanner's noise 0.4 to 0.6."""

_RIGHT_IRIS, _LEFT_IRIS = 468, 473
_RIGHT_EAR, _LEFT_EAR, _NOSE_TIP = 234, 454, 4
_YAW_DEG_PER_OFFSET: Final = 65.5  # least squares over the 4,399 labelled photos: 1.6 degrees rms to 35 degrees


def eye_distance_px(points_px: NDArray[np.float64]) -> float:
    """Distance between the irises' centres."""
    return float(np.linalg.norm(points_px[_LEFT_IRIS] - points_px[_RIGHT_IRIS]))


def yaw_deg(points_px: NDArray[np.float64]) -> float:
    """Turn of the head, degrees, positive towards the picture's right: from where the nose stands between the ears."""
    across = points_px[263] - points_px[33]
    across = across / np.linalg.norm(across)
    width = float((points_px[_LEFT_EAR] - points_px[_RIGHT_EAR]) @ across)
    middle = (points_px[_LEFT_EAR] + points_px[_RIGHT_EAR]) / 2
    return _YAW_DEG_PER_OFFSET * float((points_px[_NOSE_TIP] - middle) @ across) / width


def light(photo: NDArray[np.uint8], points_px: NDArray[np.float64]) -> float:
    """How bright the face's bright parts are: 90th percentile of luma between brows and chin, 0 to 255."""
    inner = points_px[list(MEDIAPIPE_68[17:])]
    height, width = photo.shape[:2]
    low = np.floor(inner.min(axis=0)).clip(0, (width - 1, height - 1)).astype(int)
    high = np.ceil(inner.max(axis=0)).clip(low + 1, (width, height)).astype(int)
    return float(np.percentile(_luma(photo[low[1] : high[1], low[0] : high[0]]), 90))


def sharpness(photo: NDArray[np.uint8], points_px: NDArray[np.float64], place: Placement) -> float:
    """How much fine detail the eyes hold: energy of the Laplacian over that of the contrast, at a fixed face size.

    Args:
        photo: RGB, [H, W, 3], uint8.
        points_px: Mesh points, [478, 2].
        place: The aligned crop: it makes the measure independent of the face's size in pixels.
    """
    luma = torch.from_numpy(_aligned_luma(photo, place))[None, None]
    kernel = torch.tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    detail = F.conv2d(luma, kernel, padding=1)[0, 0]
    eyes = place.to_crop(points_px)[list(MEDIAPIPE_68[36:48])] * luma.shape[-1]
    left, top = (int(v) for v in np.floor(eyes.min(axis=0) - 4).clip(1, luma.shape[-1] - 3))
    right, bottom = (int(v) for v in np.ceil(eyes.max(axis=0) + 4).clip((left + 2, top + 2), luma.shape[-1] - 1))
    contrast = luma[0, 0, top:bottom, left:right].var()
    return float(detail[top:bottom, left:right].var() / (contrast + 1.0))


def flatness(photo: NDArray[np.uint8], place: Placement) -> float:
    """Share of the face, brows to chin, whose brightness changes by less than one level from pixel to pixel, 0 to 1.

    Skin has grain at any size; a drawing has areas of one colour.
    """
    rows, columns = (slice(int(low * CROP_PX), int(high * CROP_PX)) for low, high in ((0.22, 0.92), (0.18, 0.82)))
    luma = _aligned_luma(photo, place)[rows, columns]
    change = np.abs(np.diff(luma, axis=0))[:, :-1] + np.abs(np.diff(luma, axis=1))[:-1]
    return float((change < 1.0).mean())


def check_face(photo: NDArray[np.uint8], points_px: NDArray[np.float64]) -> None:
    """Refuse a face that is too small, turned away or dark.

    Args:
        photo: RGB, [H, W, 3], uint8.
        points_px: Mesh points, [478, 2].

    Raises:
        PhotoError: too_small, turned_away or dark, with what to do about it.
    """
    distance_px = eye_distance_px(points_px)
    if distance_px < MIN_EYE_DISTANCE_PX:
        raise PhotoError(
            "too_small",
            f"the eyes are {distance_px:.0f} pixels apart, at least {MIN_EYE_DISTANCE_PX:.0f} are needed: "
            "take a photo from nearer or send a larger one",
        )
    turn_deg = yaw_deg(points_px)
    if abs(turn_deg) > MAX_YAW_DEG:
        side = "right" if turn_deg > 0 else "left"
        raise PhotoError(
            "turned_away",
            f"the face is turned about {abs(turn_deg):.0f} degrees to the picture's {side}, at most "
            f"{MAX_YAW_DEG:.0f} work: send a photo that looks into the camera",
        )
    if light(photo, points_px) < MIN_LIGHT:
        raise PhotoError("dark", "the face is too dark to make out: send a photo with light on the face")


def check_taken(photo: NDArray[np.uint8], place: Placement) -> None:
    """Refuse a face that no camera took.

    Args:
        photo: RGB, [H, W, 3], uint8.
        place: The aligned crop about the face.

    Raises:
        PhotoError: drawn, with what to do about it.
    """
    if flatness(photo, place) > MAX_FLATNESS:
        raise PhotoError("drawn", "the face looks drawn, without the grain of skin: send a photo of a person")


def check_sharp(photo: NDArray[np.uint8], points_px: NDArray[np.float64], place: Placement) -> None:
    """Refuse a blurred face.

    Args:
        photo: RGB, [H, W, 3], uint8.
        points_px: Mesh points, [478, 2].
        place: The aligned crop about them.

    Raises:
        PhotoError: blurred, with what to do about it.
    """
    if sharpness(photo, points_px, place) < MIN_SHARPNESS:
        raise PhotoError("blurred", "the face is out of focus or shaken: send a sharper photo")


def _aligned_luma(photo: NDArray[np.uint8], place: Placement) -> NDArray[np.float32]:
    """Brightness of the aligned crop, [CROP_PX, CROP_PX], 0 to 255."""
    crop = (cut(photo, place)[0].permute(1, 2, 0).numpy() + 1) * 127.5
    return _luma(crop.astype(np.float32))


def _luma(pixels: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
    return (pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)).astype(np.float32)
