"""All subcommands, in the order in which `visavis --help` tells them."""

from typing import Final

from stream.commands.base import Command
from stream.commands.film import ENROLL, RENDER
from stream.commands.machine import CAPACITY, SYSTEMS
from stream.commands.serve import DOCTOR, SERVE
from stream.commands.tools import BENCH, CONVERT, CORPUS, EVAL, PROBE, TRAIN

COMMANDS: Final[dict[str, Command]] = {
    "serve": SERVE,
    "render": RENDER,
    "enroll": ENROLL,
    "probe": PROBE,
    "doctor": DOCTOR,
    "systems": SYSTEMS,
    "capacity": CAPACITY,
    "convert": CONVERT,
    "corpus": CORPUS,
    "train": TRAIN,
    "eval": EVAL,
    "bench": BENCH,
}
