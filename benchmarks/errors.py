"""Every error that `benchmarks` raises on purpose.

BenchError
|-- WrongAnswerError     a form disagrees with the reference: it is not timed
|-- NothingSeenError     a live run did not show what was to be measured
|-- NotHereError         this machine lacks what a part needs: the part is left out
\\-- ResultsFileError     a file of results cannot be read or added to
"""

from pathlib import Path


class BenchError(Exception):
    """Root of them all."""


class WrongAnswerError(BenchError):
    """Something gave another answer than its reference, so no time of it is worth anything."""

    def __init__(self, what: str, apart: float, most: float) -> None:
        self.what, self.apart, self.most = what, apart, most

    def __str__(self) -> str:
        return f"{self.what} is {self.apart:g} off its reference, at most {self.most:g}: not timed"


class NothingSeenError(BenchError):
    """A live run went by without what was to be measured."""

    def __init__(self, what: str) -> None:
        self.what = what

    def __str__(self) -> str:
        return f"saw nothing of {self.what}: nothing recorded"


class NotHereError(BenchError):
    """A part needs what this machine lacks."""

    def __init__(self, missing: str) -> None:
        self.missing = missing

    def __str__(self) -> str:
        return f"needs {self.missing}"


class ResultsFileError(BenchError):
    """A file is not what `visavis bench` wrote, or what it wrote in another format."""

    def __init__(self, path: Path, got: str, want: str) -> None:
        self.path, self.got, self.want = path, got, want

    def __str__(self) -> str:
        return f"{self.path}: got {self.got}, want {self.want}"
