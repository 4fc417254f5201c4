import os
import subprocess
import sys

import pytest

from stream.priority import AUTOGROUP, NICENESS

ASK = """
import os
from stream.priority import ask_for_preference
print(ask_for_preference(), os.getpriority(os.PRIO_PROCESS, 0))
"""


def ask(**options):
    answer = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, start_new_session=True, **options
    )
    return answer.stdout.split()


def may_raise():
    return subprocess.run(["nice", "-n", "-5", "true"], capture_output=True).stderr == b""


def test_the_server_is_preferred_where_the_system_allows_it():
    assert ask() == (["True", str(NICENESS)] if may_raise() else ["False", "0"])


def test_a_niceness_that_was_set_stays():
    assert ask(preexec_fn=lambda: os.nice(7)) == ["True", "7"]


@pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel does not group by session")
def test_the_session_is_preferred_too():
    code = ASK + "print(open('/proc/self/autogroup').read().split()[-1])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True)
    assert answer.stdout.split()[-1] == (str(NICENESS) if may_raise() else "0")
