"""A model thread and an event loop that hang, in processes of their own: the watchdog ends those."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
STILL_S = 0.5
PROGRAM = f"""
import asyncio, time
from stream.processes.watchdog import watch
from stream.worker import ModelWorker

def hang():
    time.sleep(30)

async def draw(worker):
    STEP

async def main():
    with ModelWorker() as worker:
        watching = asyncio.create_task(watch(lambda: worker.run(lambda: None), {STILL_S}))
        await draw(worker)
        watching.cancel()
    await asyncio.sleep(2 * {STILL_S})
    print("went on")

asyncio.run(main())
"""


def run(step):
    program = PROGRAM.replace("STEP", step)
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, timeout=25)


@pytest.mark.parametrize("step", ["await worker.run(hang)", "await asyncio.sleep(0); hang()"])
def test_a_process_that_stands_still_ends_and_says_where_it_stood(step):
    ended = run(step)
    assert ended.returncode == 1
    assert ended.stderr.startswith("Timeout (0:00:00.5")
    assert "in hang" in ended.stderr
    assert ended.stdout == ""


def test_a_process_that_moves_lives_on_and_is_not_watched_after_its_end():
    ended = run(f"[await worker.run(lambda: time.sleep({STILL_S / 5})) for _ in range(10)]")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "went on\n", "")
