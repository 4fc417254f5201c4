"""The identities of a batch, checked and stacked; an identity's origin."""

import zlib
from collections.abc import Iterable

import torch
from torch import Tensor

from models.errors import IdentityError
from models.system import IdentityState


class IdentityRows:
    """Stacks the tensors of a batch's identities and keeps the last stack, since who sits in which row rarely changes.

    Args:
        system: Name that the identities must have.
        version: Version that they must have.
        names: Tensors to stack; they have one shape.
    """

    def __init__(self, system: str, version: int, names: tuple[str, ...]) -> None:
        self._origin, self._names = (system, version), names
        self._last: tuple[list[IdentityState], dict[str, Tensor]] | None = None

    def stack(self, identities: list[IdentityState]) -> dict[str, Tensor]:
        """The named tensors, [B, ...].

        Raises:
            IdentityError: If an identity is of another system or version.
        """
        if self._last and [id(i) for i in self._last[0]] == [id(i) for i in identities]:
            return self._last[1]
        self.check(identities)
        rows = {name: torch.stack([i.tensors[name] for i in identities]) for name in self._names}
        self._last = (list(identities), rows)
        return rows

    def check(self, identities: list[IdentityState]) -> None:
        """Do nothing if all are of this system and version.

        Raises:
            IdentityError: If one is not.
        """
        for identity in identities:
            if (identity.system, identity.version) != self._origin:
                want = f"{self._origin[0]} {self._origin[1]}"
                raise IdentityError(f"{identity.system} {identity.version}", want)


def checksum(tensors: Iterable[Tensor], start: int) -> int:
    """A number for a format and the weights that make an identity: `IdentityState.version`."""
    for tensor in tensors:
        start = zlib.crc32(tensor.detach().cpu().contiguous().numpy().tobytes(), start)
    return start
