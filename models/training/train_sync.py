"""Train the sync expert: `python -m models.training.train_sync --data DIR --work DIR --out FILE`.

Learns on real speech alone: clips of the GRID corpus (Cooke, Barker, Cunningham, Shao 2006). In a stretch of a clip
each picture must pick its own sound among all the others of the stretch, and each sound its picture (van den Oord, Li,
Vinyals, arXiv:1807.03748, equation 4, with the offsets as negatives). Ends by the offset test on the clips held out.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from models.training.sync_clips import SyncClip, draw, load_clips
from models.training.sync_expert import SyncExpert

logger = logging.getLogger(__name__)

SHIFTS: Final = (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5)
_SHARPNESS: Final = 12.0  # of the softmax over cosines
_NEAR: Final = 0.15  # of the answer that the sounds one frame off may have: mouths move slowly
_KEEP: Final = 0.995
_SAVE_EVERY_S: Final = 60.0


@dataclass(frozen=True)
class TrainConfig:
    """What a run is told.

    Attributes:
        data: Folder with grid-s1/ and landmarks/.
        work: Folder for the cut clips and the checkpoint.
        out: The .safetensors file to write.
        minutes: Processor time.
    """

    data: Path
    work: Path
    out: Path
    minutes: float = 20.0
    batch: int = 10
    frames: int = 36
    rate: float = 2e-3
    seed: int = 0


@dataclass(frozen=True)
class OffsetTest:
    """Held-out clips with their sound shifted by each of `SHIFTS`, and how often the expert finds the shift.

    Attributes:
        trials: Clips times shifts.
        exact: Share found to the frame.
        within_one: Share found within one frame.
        confidence: Mean confidence.
    """

    trials: int
    exact: float
    within_one: float
    confidence: float


def loss_of(seen: Tensor, heard: Tensor) -> Tensor:
    """Cross entropy of picking the sound of the same moment, and back.

    Args:
        seen: Embeddings of pictures, [B, N, 128].
        heard: Of the sounds of the same moments, [B, N, 128].
    """
    count = seen.shape[1]
    answer = torch.eye(count) + _NEAR * (torch.eye(count).roll(1, 0).tril() + torch.eye(count).roll(-1, 0).triu())
    answer = (answer / answer.sum(1, keepdim=True)).expand(len(seen), -1, -1)
    alike = _SHARPNESS * seen @ heard.transpose(1, 2)
    return F.cross_entropy(alike.transpose(1, 2), answer.transpose(1, 2)) + F.cross_entropy(
        alike, answer.transpose(1, 2)
    )


def train(config: TrainConfig, clips: list[SyncClip]) -> SyncExpert:
    """Run (or go on with) a run, and return the averaged net."""
    torch.manual_seed(config.seed)
    net, average = SyncExpert(), SyncExpert()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), config.rate, weight_decay=0.02)
    checkpoint = config.work / "sync.checkpoint"
    step, spent_s = 0, 0.0
    if checkpoint.exists():
        saved = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step, spent_s = int(saved["step"]), float(saved["spent_s"])
    random = np.random.default_rng([config.seed, step])
    budget_s, saved_s, mean = config.minutes * 60, spent_s, 0.0
    learning = [clip for clip in clips if not clip.held_out]
    with tqdm(total=round(budget_s), initial=round(spent_s), unit="s", desc="sync expert", mininterval=10.0) as bar:
        while spent_s < budget_s:
            started_s = time.process_time()
            for group in optimiser.param_groups:
                group["lr"] = config.rate * min(1.0, (step + 1) / 50) * (1.01 - (spent_s / budget_s) ** 2)
            mouths, mel = draw(learning, config.batch, config.frames, random)
            loss = loss_of(net.see(mouths), net.hear(mel))
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            step += 1
            _follow(average, net, min(_KEEP, step / (step + 10)))
            mean += (loss.item() - mean) * max(0.02, 1 / step)
            spent_s += time.process_time() - started_s
            bar.update(round(spent_s) - bar.n)
            bar.set_postfix(step=step, loss=f"{mean:.3f}", refresh=False)
            if spent_s - saved_s > _SAVE_EVERY_S or spent_s >= budget_s:
                saved_s = spent_s
                state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
                torch.save({**state, "step": step, "spent_s": spent_s}, checkpoint)
                write_weights(average, config.out)
    logger.info("%d steps in %.0f s, loss %.3f", step, spent_s, mean)
    return average.eval()


@torch.no_grad()
def _follow(average: SyncExpert, net: SyncExpert, keep: float) -> None:
    for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - keep)
    for slow, fast in zip(average.buffers(), net.buffers(), strict=True):
        slow.copy_(fast)


def write_weights(net: SyncExpert, path: Path) -> None:
    """Write the weights in half precision, as `SyncExpert.load` reads them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {n: t.half() if t.is_floating_point() else t for n, t in net.state_dict().items()}
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)


def offset_test(net: SyncExpert, clips: Sequence[SyncClip]) -> OffsetTest:
    """Shift the sound of each clip against its pictures; nothing wraps round, the clip is cut to what both have."""
    most = max(SHIFTS)
    off: list[int] = []
    confidence: list[float] = []
    for clip in clips:
        frames = len(clip.mouths) - 2 * most
        for late in SHIFTS:
            first = most - late  # pictures that are late show the sound of `late` frames ago
            found = net.judge(clip.mouths[first : first + frames], clip.mel[4 * most : 4 * (most + frames)])
            off.append(abs(found.offset_frames - late))
            confidence.append(found.confidence)
    far = np.array(off)
    return OffsetTest(
        len(far),
        round(float((far == 0).mean()), 3),
        round(float((far <= 1).mean()), 3),
        round(float(np.mean(confidence)), 3),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(prog="python -m models.training.train_sync", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with grid-s1/ and landmarks/")
    parser.add_argument("--work", type=Path, required=True, help="folder for the cut clips and the checkpoint")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--minutes", type=float, default=TrainConfig.minutes, help="processor time (default 20)")
    parser.add_argument("--clips", type=int, help="cut only so many clips (default: all)")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--test-only", action="store_true", help="only the offset test of the weights in --out")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    args.work.mkdir(parents=True, exist_ok=True)
    clips = load_clips(args.data, args.work / "clips", args.clips)
    if not args.test_only:
        train(TrainConfig(args.data, args.work, args.out, minutes=args.minutes, seed=args.seed), clips)
    held_out = [clip for clip in clips if clip.held_out]
    logger.info("%s", json.dumps(asdict(offset_test(SyncExpert.load(args.out), held_out))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
