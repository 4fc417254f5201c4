"""How much the processor prefers this server to its neighbours, where it may ask for that."""

import os
from pathlib import Path
from typing import Final

NICENESS: Final = -5
"""Three times the usual share of a contested core. Browsers give their media threads -8 where they may."""
AUTOGROUP: Final = Path("/proc/self/autogroup")
"""Where Linux shares the processor out between login sessions first, it heeds this file, not a process's niceness."""


def ask_for_preference() -> bool:
    """Raise the priority of this process and of all threads that it starts from now on.

    Frames are due 40 ms apart, and whoever draws them shares the processor with a browser, an encoder, a desktop.
    A niceness that somebody has set already is left alone.

    Returns:
        False if the system does not allow it: that takes root, CAP_SYS_NICE or a limit (`LimitNICE=` of systemd).
    """
    if os.getpriority(os.PRIO_PROCESS, 0) != 0:
        return True
    try:
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
        if AUTOGROUP.exists():
            AUTOGROUP.write_text(str(NICENESS))
    except OSError:
        return False
    return True
