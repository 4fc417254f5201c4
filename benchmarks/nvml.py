"""What NVIDIA's management library tells of the GPU; on a machine without it, that and why."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from types import ModuleType, TracebackType
from typing import Any, Final, Self

import numpy as np
import torch

EVERY_S: Final = 0.2


@dataclass(frozen=True)
class GpuFacts:
    """What does not change while a benchmark runs; texts are empty where unknown."""

    name: str = ""
    memory_mb: str = ""
    driver: str = ""
    silent_because: str = ""


@dataclass(frozen=True)
class GpuState:
    """What a GPU did for a while: medians, but of power, temperature and memory the most; None where it does not tell.

    MB are 10^6 bytes.
    """

    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    power_w: float | None = None
    temperature_c: float | None = None
    memory_used_mb: float | None = None
    utilisation_percent: float | None = None


STATE_FIELDS: Final = tuple(field.name for field in fields(GpuState))
_WORST: Final = ("power_w", "temperature_c", "memory_used_mb")


class _SilentError(Exception):
    """NVML says nothing; its text says why."""


def gpu_facts() -> GpuFacts:
    """Name, memory and driver of the GPU, or why NVML is silent."""
    try:
        nvml, handle = _gpu()
        return GpuFacts(
            str(nvml.nvmlDeviceGetName(handle)),
            f"{nvml.nvmlDeviceGetMemoryInfo(handle).total / 1e6:.0f}",
            str(nvml.nvmlSystemGetDriverVersion()),
        )
    except _SilentError as silent:
        return GpuFacts(silent_because=str(silent))


class GpuMonitor:
    """Reads the GPU's state five times a second between entering and leaving.

    Attributes:
        state: What it saw, set on leaving; None where NVML is silent.
    """

    def __init__(self) -> None:
        self.state: GpuState | None = None
        self._seen: list[GpuState] = []
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            nvml, handle = _gpu()
        except _SilentError:
            return self
        self._seen.append(_read(nvml, handle))
        self._thread = threading.Thread(target=self._watch, args=(nvml, handle), name="nvml", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self.state = _summary(self._seen)

    def _watch(self, nvml: ModuleType, handle: Any) -> None:
        while not self._over.wait(EVERY_S):
            self._seen.append(_read(nvml, handle))


def _summary(seen: list[GpuState]) -> GpuState:
    def of(name: str) -> float | None:
        values = [value for value in (getattr(state, name) for state in seen) if value is not None]
        return round(float(max(values) if name in _WORST else np.median(values)), 1) if values else None

    return GpuState(**{name: of(name) for name in STATE_FIELDS})


def _gpu() -> tuple[ModuleType, Any]:
    """NVML and its handle of the GPU that torch uses, or of the first where torch uses none.

    Raises:
        _SilentError: If there is no library, no driver or no GPU.
    """
    try:
        import pynvml
    except ImportError:
        raise _SilentError("nvidia-ml-py is not installed") from None
    try:
        pynvml.nvmlInit()
        if not torch.cuda.is_available():
            return pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        uuid = torch.cuda.get_device_properties(
            torch.cuda.current_device()
        ).uuid  # NVML and torch may count differently
        return pynvml, pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
    except pynvml.NVMLError as error:
        raise _SilentError(str(error)) from None


def _read(nvml: ModuleType, handle: Any) -> GpuState:
    def ask(question: Callable[[], float]) -> float | None:
        try:
            return float(question())
        except nvml.NVMLError:  # some boards and virtual machines do not tell everything
            return None

    return GpuState(
        ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)),
        ask(lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)),
        ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1e3),
        ask(lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)),
        ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6),
        ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu),
    )
