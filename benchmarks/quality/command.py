"""`visavis eval`."""

import argparse
from pathlib import Path
from typing import Final

SYNC_EXPERT: Final = Path(__file__).parent / "weights" / "sync.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis eval`."""
    parser.add_argument(
        "photos", nargs="*", type=Path, metavar="PHOTO", help="portraits or folders of them (default: the demo faces)"
    )
    parser.add_argument(
        "--system",
        action="append",
        metavar="NAME",
        help="what draws the face (visavis); see `visavis systems`; with --videos repeated for each system, "
        "or equiav and equiav-plain, which are scored on sounds and mouths that belong together",
    )
    parser.add_argument(
        "--weights",
        action="append",
        metavar="FILE",
        help="its weights, as `visavis train` or `visavis convert` wrote them, repeated for each --system; -: bundled",
    )
    parser.add_argument("--backend", choices=("auto", "eager", "openvino"), default="auto", help="what draws (auto)")
    parser.add_argument(
        "--videos",
        type=Path,
        metavar="DIR",
        help="instead of photos: compare the systems on held-out clips of `visavis corpus videos` or `spoken`",
    )
    parser.add_argument(
        "--clips",
        type=Path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="what it says: sounds, or .npz of speech_corpus",
    )
    parser.add_argument(
        "--clip-count", type=int, default=8, metavar="N", help="clips taken of each .npz, or of --videos (8)"
    )
    parser.add_argument(
        "--lookahead-ms",
        type=int,
        nargs="+",
        metavar="MS",
        help="look-aheads to try (0 40 80 120 200; for --videos 80); each system takes the nearest that it offers",
    )
    parser.add_argument("--recogniser", type=Path, metavar="FILE", help="dlib's face recognition net, for likeness")
    parser.add_argument(
        "--sync-expert", type=Path, default=SYNC_EXPERT, metavar="FILE", help="weights of models.training.train_sync"
    )
    parser.add_argument("--pairs", type=Path, metavar="DIR", help="re-rendered truth (models.training.pairs)")
    parser.add_argument("--persons", type=int, metavar="N", help="look at no more persons of the pairs")
    parser.add_argument(
        "--squeezenet",
        type=Path,
        metavar="FILE",
        help="SqueezeNet 1.1 (HDF5; train extra), for feature distance",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write a page with plots and strips (HTML)")
    parser.add_argument("--json", metavar="FILE", help="write everything as JSON; - writes it to standard output")


def run(args: argparse.Namespace) -> int:
    """Measure and print. Exit codes: 0 done, 1 no photo could be enrolled, 2 wrong usage."""
    from benchmarks.quality.evaluate import evaluate  # torch and the system: not for --help

    return evaluate(args)
