"""Which backend draws, in which precision, and why. A choice that cannot work here is refused before anything loads."""

import shutil
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Final, Literal

import torch

from models.errors import BackendError

Backend = Literal["eager", "compile", "cudagraph", "tensorrt", "openvino"]
Precision = Literal["fp32", "fp16", "bf16"]
BACKENDS: Final[tuple[Backend, ...]] = ("eager", "compile", "cudagraph", "tensorrt", "openvino")
PRECISIONS: Final[tuple[Precision, ...]] = ("fp32", "fp16", "bf16")
AUTO: Final = "auto"

_CPU: Final = torch.device("cpu")
_DRAWN_BY_CPU: Final = "the published systems are drawn by the CPU"
_OF_PUBLISHED: Final[tuple[Backend, ...]] = ("eager", "openvino")
_INSTALL_OPENVINO: Final = "pip install 'openvino>=2026.1'"
_INSTALL_TRITON: Final = "pip install 'visavis[gpu]'"


@dataclass(frozen=True)
class Machine:
    """What this machine has that backends need.

    Attributes:
        gpu: Name of the CUDA device that torch can use, None without one.
        triton: Whether Triton is installed; the kernels and the compiler need it on CUDA.
        compiler: Whether a C++ compiler is there, which torch.compile needs.
        tensorrt: Whether Torch-TensorRT is installed.
        openvino: OpenVINO's version, None where it is not installed.
        cpu_types: The precisions that OpenVINO computes in on this processor.
    """

    gpu: str | None = None
    triton: bool = False
    compiler: bool = False
    tensorrt: bool = False
    openvino: str | None = None
    cpu_types: frozenset[Precision] = frozenset()


@dataclass(frozen=True)
class Plan:
    """What draws, and why."""

    backend: Backend
    precision: Precision
    device: torch.device
    why: str

    def __str__(self) -> str:
        return f"{self.backend} in {self.precision} on {self.device}: {self.why}"

    @property
    def dtype(self) -> torch.dtype:
        """The painter's type in torch."""
        return {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[self.precision]


def look() -> Machine:
    """Look at the machine."""
    return Machine(
        gpu=torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        triton=find_spec("triton") is not None,
        compiler=any(shutil.which(name) for name in ("g++", "clang++", "c++")),
        tensorrt=find_spec("torch_tensorrt") is not None,
        openvino=_openvino_version(),
        cpu_types=_cpu_types(),
    )


def choose(backend: str = AUTO, precision: str = AUTO, machine: Machine | None = None) -> Plan:
    """Decide what draws.

    Args:
        backend: One of `BACKENDS`, or "auto": what is fastest here.
        precision: One of `PRECISIONS`, for the painter; the geometry is always computed in float32. "auto" takes what
            the device is fast in: fp16 on CUDA, bf16 in OpenVINO where the processor has it, else fp32.
        machine: What there is; None looks.

    Raises:
        BackendError: If there is no such backend or precision, or it cannot work on this machine.
    """
    machine = machine or look()
    named, why = _auto(machine) if backend == AUTO else (backend, "as asked for")
    if named not in BACKENDS:
        raise BackendError(f"backend {named!r}", f"one of {', '.join((AUTO, *BACKENDS))}", "name one of them")
    if backend == AUTO and named != "cudagraph":
        machine = replace(machine, gpu=None)  # it stays idle
    _check_backend(named, machine)
    on_gpu = machine.gpu is not None and named != "openvino"
    device = torch.device("cuda", torch.cuda.current_device()) if on_gpu else _CPU
    return Plan(named, _precision(precision, named, on_gpu, machine), device, why)


REFERENCE: Final = Plan("eager", "fp32", _CPU, "the reference")


def choose_published(backend: str = AUTO, precision: str = AUTO, machine: Machine | None = None) -> Plan:
    """Decide what draws a published system: torch eager or OpenVINO, on the CPU.

    Args:
        backend: "eager", "openvino", or "auto": OpenVINO where it is installed.
        precision: One of `PRECISIONS`, for what draws; what hears is always computed in float32. "auto" is fp32, the
            only one that they were measured in; torch eager knows no other.
        machine: What there is; None looks.

    Raises:
        BackendError: If that is not one of theirs, or it cannot work on this machine.
    """
    if backend in BACKENDS and backend not in _OF_PUBLISHED:
        raise BackendError(
            f"backend {backend} for a published system",
            f"one of {', '.join((AUTO, *_OF_PUBLISHED))}: {_DRAWN_BY_CPU}",
            "take --backend auto, or --system visavis",
        )
    machine = replace(machine or look(), gpu=None)
    named, why = _on_cpu(machine, _DRAWN_BY_CPU) if backend == AUTO else (backend, "as asked for")
    plan = replace(choose(named, "fp32" if precision == AUTO else precision, machine), why=why)
    if plan.backend == "eager" and plan.precision != "fp32":
        raise BackendError(f"precision {precision} in eager for a published system", "fp32", "take --precision auto")
    return plan


def _auto(machine: Machine) -> tuple[Backend, str]:
    if machine.gpu is not None and machine.triton and machine.compiler:
        return "cudagraph", f"{machine.gpu} is there"
    lacking = "a C++ compiler (apt-get install g++)" if machine.triton else f"Triton ({_INSTALL_TRITON})"
    idle = "no CUDA device" if machine.gpu is None else f"{machine.gpu} stays idle, it lacks {lacking}"
    return _on_cpu(machine, idle)


def _on_cpu(machine: Machine, idle: str) -> tuple[Backend, str]:
    """What is fastest without a GPU; `idle` says why without."""
    if machine.openvino is not None:
        return "openvino", f"{idle}; OpenVINO {machine.openvino} is installed"
    return "eager", f"{idle}; OpenVINO is not installed ({_INSTALL_OPENVINO} draws faster)"


def _check_backend(backend: Backend, machine: Machine) -> None:
    """Refuse what cannot work here."""
    if backend == "openvino":
        if machine.openvino is None:
            raise BackendError("backend openvino without OpenVINO", "the package openvino", _INSTALL_OPENVINO)
        return
    if backend in ("cudagraph", "tensorrt") and machine.gpu is None:
        raise BackendError(
            f"backend {backend} without a CUDA device that torch can use",
            "an NVIDIA GPU, its driver, and a torch built for CUDA",
            "take --backend openvino on this machine, or run `visavis doctor`",
        )
    if machine.gpu is not None and not machine.triton:
        raise BackendError(f"backend {backend} on {machine.gpu} without Triton", "the package triton", _INSTALL_TRITON)
    if backend != "eager" and not machine.compiler:
        raise BackendError(f"backend {backend} without a C++ compiler", "g++, clang++ or c++", "apt-get install g++")
    if backend == "tensorrt" and not machine.tensorrt:
        remedy = "pip install 'visavis[tensorrt]', or take --backend cudagraph"
        raise BackendError("backend tensorrt without Torch-TensorRT", "the package torch-tensorrt", remedy)


def _precision(asked: str, backend: Backend, on_gpu: bool, machine: Machine) -> Precision:
    if asked == AUTO:
        if on_gpu:
            return "fp16"
        return "bf16" if backend == "openvino" and "bf16" in machine.cpu_types else "fp32"
    if asked not in PRECISIONS:
        raise BackendError(f"precision {asked!r}", f"one of {', '.join((AUTO, *PRECISIONS))}", "name one of them")
    if backend == "openvino" and asked not in machine.cpu_types:
        known = ", ".join(sorted(machine.cpu_types))
        raise BackendError(
            f"precision {asked} in OpenVINO on a processor without it",
            f"one of {known}",
            "take --precision fp32, or a processor with AVX-512 BF16 or AMX",
        )
    return asked


def _openvino_version() -> str | None:
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None


def _cpu_types() -> frozenset[Precision]:
    if _openvino_version() is None:
        return frozenset()
    import openvino  # most of a second to import: only a machine that has it pays

    able = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return frozenset(name for name in PRECISIONS if name.upper() in able)
