"""The suites that need torch, numpy and safetensors alone, in order of worth: a short budget ends the later ones."""

from typing import TYPE_CHECKING, Final

from benchmarks.suite import Part, Suite

if TYPE_CHECKING:
    from benchmarks.plan import Plan


def _parity(plan: "Plan") -> list[Part]:
    from benchmarks import bench_parity

    return bench_parity.parts(plan)


def _kernels(plan: "Plan") -> list[Part]:
    from benchmarks import bench_kernels

    return bench_kernels.parts(plan)


def _engine(plan: "Plan") -> list[Part]:
    from benchmarks import bench_engine

    return bench_engine.parts(plan)


def _stages(plan: "Plan") -> list[Part]:
    from benchmarks import bench_stages

    return bench_stages.parts(plan)


def _systems(plan: "Plan") -> list[Part]:
    from benchmarks import bench_systems

    return bench_systems.parts(plan)


def _sessions(plan: "Plan") -> list[Part]:
    from benchmarks import bench_sessions

    return bench_sessions.parts(plan)


def _start(plan: "Plan") -> list[Part]:
    from benchmarks import bench_start

    return bench_start.parts(plan)


TORCH_SUITES: Final = (
    Suite("parity", _parity),
    Suite("kernels", _kernels),
    Suite("stages", _stages),
    Suite("sessions", _sessions),
    Suite("systems", _systems),
    Suite("engine", _engine),  # compiles whole systems, which may take all the time that the others leave
    Suite("start", _start),
)
