"""Whole sessions but for their network, until the 99th percentile misses a frame: what `visavis capacity` counts."""

from benchmarks.bench_sessions import rows, seconds
from benchmarks.faces import demo_photos
from benchmarks.harness import Row
from benchmarks.plan import Plan
from benchmarks.suite import Part
from models.registry import load_system
from stream.capacity import find_capacity


def parts(plan: Plan) -> list[Part]:
    """One: the bundled default with the demo photos."""
    return [Part("whole sessions", lambda: _measured(plan))]


def _measured(plan: Plan) -> list[Row]:
    system = load_system()
    found = find_capacity(system, [system.enroll(photo) for photo in demo_photos()], seconds(plan))
    return rows(f"{system.name}, whole sessions", found.steps, plan.device)
