"""`visavis convert`: a system's published checkpoint to one safetensors file."""

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from stream.config import PUBLISHED_FILES, ConvertConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `visavis convert`."""
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH", help="what the authors of the system published")
    files = "; ".join(f"{system}: {what}" for system, what in PUBLISHED_FILES.items())
    parser.add_argument(
        "--system",
        required=True,
        metavar="NAME",
        help=f"whose checkpoint it is, and so what PATH is. {files}. FC-TFG's authors have published none",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors", help="the weights to write")
    parser.add_argument("--json", action="store_true", help="tell the name of every tensor, as JSON")


def configure(args: argparse.Namespace) -> ConvertConfig:
    """The config of those options."""
    return ConvertConfig(system=args.system, paths=tuple(args.paths), out=args.out)


def run(config: ConvertConfig, *, as_json: bool) -> None:
    """Convert, and print what was loaded, ignored and missing."""
    from models.published import convert

    report = convert(config.system, config.paths, config.out)
    if as_json:
        print(json.dumps({"out": str(config.out), "system": config.system, **asdict(report)}, indent=2))
    else:
        print(f"{config.out}: {config.system}, {report}")
