"""Options that several subcommands take."""

import argparse
from pathlib import Path

from models.framing import FRAMINGS
from stream.config import default_data_dir
from stream.types import MAX_LOOKAHEAD_MS


def listen_options(parser: argparse.ArgumentParser) -> None:
    """Where a server listens, and what it keeps and needs for that."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; browsers open the microphone only on localhost or over HTTPS (default: 127.0.0.1)",
    )
    parser.add_argument("--port", type=int, default=8080, help="TCP port, 0 for a free one (default: 8080)")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=default_data_dir(),
        metavar="DIR",
        help="where uploaded photos and computed features are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--ice-server",
        action="append",
        default=[],
        metavar="URL[,USER,CREDENTIAL]",
        help="STUN or TURN server for callers from other networks, for example turn:turn.example.org:3478,ann,secret; "
        "may be repeated (default: none)",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM) for HTTPS")


def system_option(parser: argparse.ArgumentParser) -> None:
    """What draws the face."""
    parser.add_argument("--system", default="visavis", help="what draws the face; see `visavis systems`")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="its weights, as `visavis train` or `visavis convert` wrote them (default: the bundled ones)",
    )


def engine_options(parser: argparse.ArgumentParser) -> None:
    """What runs the networks, and in what precision."""
    parser.add_argument(
        "--backend",
        choices=("auto", "eager", "compile", "cudagraph", "tensorrt", "openvino"),
        default="auto",
        help="what runs the networks (default: auto, what is fastest on this machine; `visavis doctor` says which)",
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "fp32", "fp16", "bf16"),
        default="auto",
        help="what the painter is computed in (default: auto, what the device is fast in)",
    )


def framing_option(parser: argparse.ArgumentParser, default: str | None) -> None:
    """What the picture shows."""
    parser.add_argument(
        "--framing",
        choices=FRAMINGS,
        default=default,
        help="what the picture shows: the head, or the photo with the living head in it (default: head)",
    )


def lookahead_option(parser: argparse.ArgumentParser) -> None:
    """How much of the future a frame may hear."""
    parser.add_argument(
        "--lookahead-ms",
        type=int,
        default=40,
        metavar="MS",
        help=f"how much of the voice's future a frame may hear, 0 to {MAX_LOOKAHEAD_MS}, of which the nearest that the "
        "system offers is taken: more gives better lips and more delay (default: 40)",
    )
