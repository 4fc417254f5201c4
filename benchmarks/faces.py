"""The demo identities, who are nobody, as photos to enrol."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IDENTITIES_DIR: Final = Path(__file__).parent.parent / "models" / "identities"


def demo_photos() -> list[NDArray[np.uint8]]:
    """Each RGB, [H, W, 3] uint8."""
    paths = sorted(p for p in IDENTITIES_DIR.iterdir() if p.suffix in (".jpg", ".png"))
    if not paths:
        raise FileNotFoundError(f"no photo in {IDENTITIES_DIR}")
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]
