"""The suites that need the server's libraries or a face from a photo."""

from typing import TYPE_CHECKING, Final

from benchmarks.suite import Part, Suite

if TYPE_CHECKING:
    from benchmarks.plan import Plan

PROBE_S: Final = 60.0
SOAK_S: Final = 600.0


def _encode(plan: "Plan") -> list[Part]:
    from benchmarks import bench_encode

    return bench_encode.parts(plan)


def _render(_: "Plan") -> list[Part]:
    from benchmarks import bench_render

    return [Part("voice to picture", bench_render.run)]


def _enroll(_: "Plan") -> list[Part]:
    from benchmarks import bench_enroll

    return [Part("demo photos", bench_enroll.run)]


def _capacity(plan: "Plan") -> list[Part]:
    from benchmarks import bench_capacity

    return bench_capacity.parts(plan)


def _loop(plan: "Plan") -> list[Part]:
    from benchmarks import bench_loop

    return bench_loop.parts(plan)


def _server(plan: "Plan") -> list[Part]:
    from benchmarks import bench_server

    return [Part("probe and connections", lambda: bench_server.run(plan.seconds or PROBE_S))]


def _soak(plan: "Plan") -> list[Part]:
    from benchmarks import bench_server

    return [Part("long probe", lambda: bench_server.soak(plan.seconds or SOAK_S))]


LIVE_SUITES: Final = (
    Suite("encode", _encode),
    Suite("render", _render),
    Suite("enroll", _enroll),
    Suite("capacity", _capacity),
    Suite("loop", _loop),
    Suite("server", _server),
    Suite("soak", _soak),
)
