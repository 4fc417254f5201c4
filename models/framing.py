"""What the picture shows of a photo. Imports nothing heavy: the command line reads it."""

from typing import Final, Literal, get_args

Framing = Literal["head", "photo"]
"""The frame around the head alone, or the photo with the frame pasted back into it."""
FRAMINGS: Final[tuple[Framing, ...]] = get_args(Framing)
