"""One start of the house model in a process of its own, told as JSON on the last line of standard output.

Run as `python -m benchmarks.cold_start BACKEND FRAMES`: the time of each phase in the order in which it happens, and of
each of the first frames, ms.
"""

import json
import sys
import time

_started_s = time.perf_counter()  # before torch is imported: that is the first phase


def main(backend: str, frames: int) -> None:
    """Start, draw and tell."""
    phases_ms: dict[str, float] = {}
    before_s = _started_s

    def lap(phase: str) -> None:
        nonlocal before_s
        now_s = time.perf_counter()
        phases_ms[phase], before_s = (now_s - before_s) * 1e3, now_s

    import torch

    torch.set_num_threads(1)
    lap("import torch")
    from benchmarks.nobody import draw_frame, nobody
    from models.visavis.system import Visavis

    lap("import models")
    system = Visavis.load(backend)
    lap("load and compile")
    identity, state = nobody(system), system.init_state(1)
    lap("bind a face")
    frames_ms: list[float] = []
    for number in range(frames):
        begun_s = time.perf_counter()
        draw_frame(system, identity, state, number).cpu()
        frames_ms.append((time.perf_counter() - begun_s) * 1e3)
    print(json.dumps({"phases_ms": phases_ms, "frames_ms": frames_ms}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
