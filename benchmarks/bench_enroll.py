"""Photo to identity: `System.enroll`, once decoded."""

from functools import partial
from typing import Final

from benchmarks.faces import demo_photos
from benchmarks.harness import Row, latency_row, measure
from models.registry import load_system

LIMIT_MS: Final = 3000.0


def run(n: int = 10) -> list[Row]:
    """A row for each demo photo, `n` enrolments each; the first, cold one is a row of its own."""
    system = load_system()
    photos = demo_photos()
    rows = [latency_row("enroll", "first after loading", measure(partial(system.enroll, photos[0]), 1, 0), LIMIT_MS)]
    for photo in photos:
        name = f"{photo.shape[1]}x{photo.shape[0]} photo"
        rows.append(latency_row("enroll", name, measure(partial(system.enroll, photo), n, 1), LIMIT_MS, "p95"))
    return rows
