"""Train the speech net: `python -m models.training.train_speech --corpus DIR --out FILE`.

Runs for a number of processor minutes on one thread, keeps a checkpoint beside the output and goes on from it when
started again. Ends by writing the averaged weights in half precision and a summary of how they score on the held-out
voices.
"""

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from models.rig import SPEECH
from models.training.speech_clips import Clip, read_clips
from models.training.speech_examples import LOOKAHEADS_MS, Batch, Examples
from models.training.speech_score import rest_range, score
from models.visavis.speech import SpeechNet

logger = logging.getLogger(__name__)

_SCALE: Final = {"jawOpen": 0.2, "mouthClose": 0.05, "mouthPucker": 0.3, "mouthFunnel": 0.25}
_USUAL_SCALE: Final = 0.15
_CLOSED_SCALE: Final = 0.1
_WARM_UP_FRAMES: Final = 5  # of a window that starts in the middle of speech: the net cannot know them
_REMEMBERED_BATCHES: Final = 20
_KEEP: Final = 0.99  # of the averaged weights at each step
_SAVE_EVERY_S: Final = 20.0


@dataclass(frozen=True)
class TrainConfig:
    """What a run is told."""

    corpus: Path
    out: Path
    minutes: float = 10.0
    batch: int = 12
    frames: int = 120
    learning_rate: float = 3e-3
    seed: int = 0


def loss(controls: Tensor, voice: Tensor, batch: Batch) -> Tensor:
    """How far the curves are from the rule's: values, velocities, sealed lips, and the belief in speech.

    Args:
        controls: [B, F, 19].
        voice: [B, F], 0 to 1.
    """
    scale = torch.tensor([_SCALE.get(name, _USUAL_SCALE) for name in SPEECH])
    off = (controls - batch.target) / scale
    known = torch.ones_like(batch.speaking)
    known[:, :_WARM_UP_FRAMES] = (batch.speaking[:, :1] == 0.0).float()
    value = ((1.0 + 2.0 * batch.sealed) * known)[..., None] * off.square()
    velocity = known[:, 1:, None] * off.diff(dim=1).square()
    apart = (controls[..., SPEECH.index("jawOpen")] - controls[..., SPEECH.index("mouthClose")]).clamp_min(0.0)
    seal = known * batch.sealed * apart / _CLOSED_SCALE
    belief = known * F.binary_cross_entropy(voice.clamp(1e-5, 1 - 1e-5), batch.speaking, reduction="none")
    return value.mean() + 0.5 * velocity.mean() + 0.1 * seal.mean() + 0.3 * belief.mean()


def train(config: TrainConfig) -> SpeechNet:
    """Train until the minutes are used up and return the averaged net."""
    torch.manual_seed(config.seed)
    net = SpeechNet()
    average = SpeechNet()
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.AdamW(net.parameters(), lr=config.learning_rate, weight_decay=0.01)
    checkpoint = config.out.with_suffix(".checkpoint")
    step, spent_s = 0, 0.0
    if checkpoint.exists():
        saved: dict[str, Any] = torch.load(checkpoint, weights_only=True)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        step, spent_s = saved["step"], saved["spent_s"]
    voices = {path.stem: read_clips(path) for path in sorted(config.corpus.glob("train-*.npz"))}
    examples = Examples(voices, config.frames, config.seed + step)
    logger.info("%s: %s", "training on", {name: len(clips) for name, clips in voices.items()})
    budget_s = config.minutes * 60
    saved_s, mean = spent_s, 0.0
    recent: list[Batch] = []
    with tqdm(total=round(budget_s), initial=round(spent_s), unit="s", mininterval=10.0) as bar:
        while spent_s < budget_s:
            started_s = time.process_time()
            share = spent_s / budget_s
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * min(1.0, (step + 1) / 30) * (1.02 - share**2)
            recent = [examples.batch(config.batch), *recent[:_REMEMBERED_BATCHES]]
            for batch in (recent[0], recent[step % len(recent)]):  # making a batch costs as much as learning from it
                controls, voice = net(batch.values, batch.lookahead_ms)
                value = loss(controls, voice, batch)
                optimiser.zero_grad()
                value.backward()
                torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimiser.step()
                step += 1
                _follow(average, net, min(_KEEP, step / (step + 20)))
                mean += (value.item() - mean) * max(0.02, 1 / step)
            took_s = time.process_time() - started_s
            spent_s += took_s
            bar.update(round(spent_s) - bar.n)
            bar.set_postfix_str(f"step {step}, loss {mean:.4f}")
            if spent_s - saved_s > _SAVE_EVERY_S or spent_s >= budget_s:
                saved_s = spent_s
                state = {"net": net.state_dict(), "average": average.state_dict(), "optimiser": optimiser.state_dict()}
                torch.save({**state, "step": step, "spent_s": spent_s}, checkpoint)
                write_weights(average, config.out)
    logger.info("%d steps in %.0f s, loss %.4f", step, spent_s, mean)
    return average


@torch.no_grad()
def _follow(average: SpeechNet, net: SpeechNet, keep: float) -> None:
    for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1.0 - keep)


def write_weights(net: SpeechNet, path: Path) -> None:
    """Write the weights in half precision, as `SpeechNet.load` reads them."""
    save_file({name: tensor.half().contiguous() for name, tensor in net.state_dict().items()}, path)


def summary(net: SpeechNet, corpus: Path) -> dict[str, Any]:
    """Scores on every held-out voice at every look-ahead, and the range at rest."""
    held_out: dict[str, list[Clip]] = {path.stem: read_clips(path) for path in sorted(corpus.glob("eval-*.npz"))}
    scores = {
        name: {ahead_ms: asdict(score(net, clips, ahead_ms)) for ahead_ms in LOOKAHEADS_MS}
        for name, clips in held_out.items()
    }
    return {"voices": scores, "rest": {ahead_ms: rest_range(net, ahead_ms) for ahead_ms in (0, 40, 200)}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.train_speech", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="what models.training.speech_corpus wrote")
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument("--minutes", type=float, default=TrainConfig.minutes, help="processor time (default 10)")
    parser.add_argument("--seed", type=int, default=TrainConfig.seed)
    parser.add_argument("--score-only", action="store_true", help="only score the weights in --out")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    if not any(args.corpus.glob("train-*.npz")):
        parser.error(f"--corpus must hold a train-*.npz, got {args.corpus}: run models.training.speech_corpus first")
    if not args.score_only:
        train(TrainConfig(args.corpus, args.out, minutes=args.minutes, seed=args.seed))
    logger.info("%s", json.dumps(summary(SpeechNet.load(args.out), args.corpus), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
