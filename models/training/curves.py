"""What a training run shows of itself: losses by step, and sheets of pictures."""

import json
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch import Tensor

logger = logging.getLogger(__name__)


class Curves:
    """Losses to `losses.jsonl` and, where it is installed, to TensorBoard; sheets as PNG and there too."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._lines = (out / "losses.jsonl").open("a")
        self._board: Any = None
        if find_spec("tensorboard") is None:
            logger.warning("tensorboard is not installed (extra [train]): losses go to %s alone", self._lines.name)
        else:
            from torch.utils.tensorboard.writer import SummaryWriter

            self._board = SummaryWriter(str(out / "tensorboard"))

    def losses(self, stage: str, step: int, losses: dict[str, float]) -> None:
        """Note the losses of a step."""
        self._lines.write(json.dumps({"stage": stage, "step": step, **losses}) + "\n")
        if self._board is not None:
            for name, value in losses.items():
                self._board.add_scalar(f"{stage}/{name}", value, step)

    def sheet(self, stage: str, step: int, picture: Tensor) -> None:
        """Keep a sheet, [3, H, W], uint8."""
        from PIL import Image

        (self._out / "sheets").mkdir(exist_ok=True)
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(self._out / "sheets" / f"{step:07d}-{stage}.png")
        if self._board is not None:
            self._board.add_image("sheet", picture, step)

    def flush(self) -> None:
        """Bring everything to the disk."""
        self._lines.flush()
        if self._board is not None:
            self._board.flush()

    def close(self) -> None:
        """Let go of the files."""
        self._lines.close()
        if self._board is not None:
            self._board.close()
