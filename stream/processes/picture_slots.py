"""Pictures on their way from the engine's process to a gateway's, in memory that both hold: a slot for each seat.

The memory is a file without a name (`memfd_create`) that the processes inherit. It has no path that could be left
behind, and is gone with the last of them, however they end. Pages that no picture was written to do not exist.
"""

import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOT_BYTES: Final = 4 << 20
"""Room for 1672 x 1672 px at 1.5 bytes each; photos are cut to 1280 px."""


def make_memory() -> int:
    """The file descriptor of new memory without pictures."""
    return os.memfd_create("visavis-pictures")


def write_picture(memory: int, slot: int, picture: NDArray[np.uint8]) -> None:
    """Leave a picture, planar pixels [H * 3 / 2, W], in a slot."""
    assert picture.nbytes <= SLOT_BYTES
    written = os.pwrite(memory, np.ascontiguousarray(picture).data, slot * SLOT_BYTES)
    assert written == picture.nbytes


def read_picture(memory: int, slot: int, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A copy of the picture of that shape that was left in a slot."""
    picture = np.empty(shape, np.uint8)
    read = os.preadv(memory, [picture.data], slot * SLOT_BYTES)
    assert read == picture.nbytes
    return picture
