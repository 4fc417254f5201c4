"""What the server's processes write to standard error."""

import logging
import sys


def log_to_stderr(process: str | None = None) -> None:
    """Log what happens from now on; of several processes each line begins with the name of its own."""
    begin = "" if process is None else f"{process}: "
    logging.basicConfig(level=logging.INFO, format=f"{begin}%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for chatty in ("aioice", "aiortc"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
