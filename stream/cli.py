"""The command line: `visavis COMMAND`. argparse ends here in a frozen config; exit 0 done, 1 failed, 2 wrong usage."""

import argparse
import sys
from collections.abc import Sequence

from stream.commands.base import EXIT_FAILED, UsageError
from stream.commands.table import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    chosen = next((word for word in words if word in COMMANDS), None)
    parser, own = build_parser(chosen)
    args = parser.parse_args(words)
    try:
        return COMMANDS[args.command].run(args)
    except UsageError as error:
        own.error(str(error))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if not _expected(error):
            raise
        print(f"visavis: {error}", file=sys.stderr)
        return EXIT_FAILED


def build_parser(chosen: str | None) -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The parser, and the one of the chosen command; the others get no options, so that nothing needless is loaded."""
    parser = argparse.ArgumentParser(
        prog="visavis",
        description="Speak into a microphone, and a face made from one photo speaks with you.",
        epilog="Begin with `visavis serve` and open http://127.0.0.1:8080. `visavis COMMAND --help` says more.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    own = parser
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.summary, description=command.description)
        if name == chosen:
            command.add_options(sub)
            own = sub
    return parser, own


def _expected(error: Exception) -> bool:
    from models.errors import ModelError
    from stream.errors import StreamError

    return isinstance(error, ModelError | StreamError | OSError)


if __name__ == "__main__":
    sys.exit(main())
