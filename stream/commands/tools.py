"""Subcommands whose options and work have a file of their own: convert, corpus, train, probe, eval, bench."""

import argparse
from typing import Final

from stream.commands.base import Arguments, Command, configured


def _convert_options(parser: argparse.ArgumentParser) -> None:
    from stream.convert import add_arguments

    add_arguments(parser)


def _convert(args: Arguments) -> int:
    from stream.convert import configure, run

    run(configured(lambda: configure(args)), as_json=args.json)
    return 0


def _corpus_options(parser: argparse.ArgumentParser) -> None:
    from stream.corpus import add_arguments

    add_arguments(parser)


def _corpus(args: Arguments) -> int:
    from stream.corpus import configure, look

    look(configured(lambda: configure(args)), as_json=args.json)
    return 0


def _train_options(parser: argparse.ArgumentParser) -> None:
    from stream.train import add_arguments

    add_arguments(parser)


def _train(args: Arguments) -> int:
    from stream.train import configure, train

    return train(configured(lambda: configure(args)))


def _probe_options(parser: argparse.ArgumentParser) -> None:
    from stream.probe import add_arguments

    add_arguments(parser)


def _probe(args: Arguments) -> int:
    from stream.probe import run

    return run(args)


def _eval_options(parser: argparse.ArgumentParser) -> None:
    from benchmarks.quality.command import add_arguments

    add_arguments(parser)


def _eval(args: Arguments) -> int:
    from benchmarks.quality.command import run

    return run(args)


def _bench_options(parser: argparse.ArgumentParser) -> None:
    from benchmarks.command import add_arguments

    add_arguments(parser)


def _bench(args: Arguments) -> int:
    from benchmarks.command import run

    return run(args)


CONVERT: Final = Command(
    "read the weights that a system's authors published",
    "Read a system's published checkpoint and write it as safetensors, with the system's name and sizes in it. "
    "Nothing in the checkpoint is executed.",
    _convert_options,
    _convert,
)
CORPUS: Final = Command(
    "look at the training corpus, or make clips of videos",
    "Draw a contact sheet of any part of the training corpus, fit all its portraits, or make the clips that the "
    "published systems train on, and report the rejects. Nothing is written but what --out names.",
    _corpus_options,
    _corpus,
)
TRAIN: Final = Command(
    "train the weights anew from the corpus",
    "Train the house model's weights from the corpus folder, or a published system's from the clips that `visavis "
    "corpus videos` made: hours on a CPU. A rerun goes on where the last ended.",
    _train_options,
    _train,
)
PROBE: Final = Command(
    "measure a running server with a real browser",
    "Drive a real Chromium against a running server and measure how long it takes from microphone to screen.",
    _probe_options,
    _probe,
)
EVAL: Final = Command(
    "measure how good the face is, from its pictures",
    "Enrol photos, move every control, let the face speak and be silent, and measure what the pictures show: does "
    "it obey, does anything else move, do the lips close, is it still the person.",
    _eval_options,
    _eval,
)
BENCH: Final = Command(
    "time the parts and the whole on this machine",
    "Time the parts and the whole on this machine, and keep the results with device and versions.",
    _bench_options,
    _bench,
)
