"""The machine that numbers come from: processor, graphics processor, versions, commit."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import torch

from benchmarks.nvml import gpu_facts

PACKAGES: Final = ("torch", "triton", "openvino", "aiortc", "av", "numpy")


def environment() -> dict[str, str]:
    """Where the numbers come from; empty where there is no such thing.

    Keys: taken_utc, commit, cpu, cores, gpu, gpu_memory_mb, driver, nvml (why it says nothing), cuda, python, and the
    packages.
    """
    facts = gpu_facts()
    return {
        "taken_utc": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "commit": _commit(),
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "gpu": facts.name or _gpu_of_torch(),
        "gpu_memory_mb": facts.memory_mb,
        "driver": facts.driver,
        "nvml": facts.silent_because,
        "cuda": torch.version.cuda or "",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _gpu_of_torch() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    root = Path(__file__).parent.parent
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
