"""What a benchmark consists of. Light: the command line knows every suite without importing what it measures with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.harness import Row
    from benchmarks.plan import Plan


@dataclass(frozen=True)
class Part:
    """What is measured in one go: some seconds, so that a budget can be kept."""

    name: str
    run: "Callable[[], list[Row]]"


@dataclass(frozen=True)
class Suite:
    """A benchmark of several parts, the most telling first."""

    name: str
    parts: "Callable[[Plan], list[Part]]"
