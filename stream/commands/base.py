"""What a subcommand is, and what all of them share."""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

EXIT_FAILED: Final = 1

Arguments = argparse.Namespace
T = TypeVar("T")


@dataclass(frozen=True)
class Command:
    """One subcommand: a line for `visavis --help`, a paragraph for its own, its options, and what it does."""

    summary: str
    description: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Arguments], int]


class UsageError(ValueError):
    """An option has a value that the config refuses."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


def configured(make: Callable[[], T]) -> T:
    """A config; what it refuses is wrong usage."""
    try:
        return make()
    except ValueError as error:
        raise UsageError(str(error)) from error


def print_json(value: object) -> None:
    """Tell a result to programs."""
    print(json.dumps(value, indent=2))
