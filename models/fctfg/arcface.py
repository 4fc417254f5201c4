"""Who is on a picture, as a vector: ArcFace on the trunk of the visual encoder. Only the identity loss uses it."""

from pathlib import Path
from typing import Final

import torch.nn.functional as F
from torch import Tensor, nn

from models.checkpoint import load_published, read_checkpoint, tensors_in
from models.errors import CheckpointError
from models.fctfg.visual import IrSe

FACE_PX: Final = 112
_WIDTHS: Final = (64, 128, 256, 512)
_UNITS: Final = (3, 4, 14, 3)


class ArcFace(nn.Module):
    """IR-SE-50 with the released head. Source: Deng et al., CVPR 2019; key names are those of `model_ir_se50.pth`."""

    def __init__(
        self,
        widths: tuple[int, int, int, int] = _WIDTHS,
        units: tuple[int, int, int, int] = _UNITS,
        vector: int = 512,
    ) -> None:
        super().__init__()
        self.trunk = IrSe(widths, units)
        flat = widths[3] * (FACE_PX // 16) ** 2
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(widths[3]), nn.Dropout(), nn.Flatten(), nn.Linear(flat, vector), nn.BatchNorm1d(vector)
        )

    @classmethod
    def load(cls, path: Path) -> "ArcFace":
        """The published network, frozen.

        Raises:
            CheckpointError: If the file holds something else.
        """
        net = cls()
        names = {"input_layer": "trunk.input_layer", "body": "trunk.body", "output_layer": "output_layer"}
        report = load_published(net, tensors_in(read_checkpoint(path)), names)
        if report.missing:
            raise CheckpointError(f"{path.name} without {report.missing[0]}", "the ArcFace weights model_ir_se50.pth")
        return net.eval().requires_grad_(False)

    def forward(self, faces: Tensor) -> Tensor:
        """Faces [B, 3, S, S], RGB, -1 to 1, any S, to unit vectors [B, vector]."""
        faces = F.interpolate(faces, size=(FACE_PX, FACE_PX), mode="bilinear", antialias=True, align_corners=False)
        return F.normalize(self.output_layer(self.trunk(faces)[-1]))
