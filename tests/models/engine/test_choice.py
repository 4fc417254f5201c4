"""Which backend draws on which machine, and what is refused."""

import re

import pytest
import torch

from models.engine import BACKENDS, Machine, choose, choose_published
from models.errors import BackendError

LAPTOP = Machine(compiler=True, openvino="2026.4", cpu_types=frozenset({"fp32"}))
SERVER = Machine(compiler=True, openvino="2026.4", cpu_types=frozenset({"fp32", "bf16"}))
BARE = Machine()
GPU = Machine(gpu="H100", triton=True, compiler=True)


@pytest.fixture(autouse=True)
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        (LAPTOP, "openvino in fp32 on cpu: no CUDA device; OpenVINO 2026.4 is installed"),
        (SERVER, "openvino in bf16 on cpu: no CUDA device; OpenVINO 2026.4 is installed"),
        (GPU, "cudagraph in fp16 on cuda:0: H100 is there"),
        (
            BARE,
            "eager in fp32 on cpu: no CUDA device; OpenVINO is not installed (pip install 'openvino>=2026.1' "
            "draws faster)",
        ),
        (
            Machine(gpu="H100", openvino="2026.4", cpu_types=frozenset({"fp32"})),
            "openvino in fp32 on cpu: H100 stays idle, it lacks Triton (pip install 'visavis[gpu]'); "
            "OpenVINO 2026.4 is installed",
        ),
        (
            Machine(gpu="H100", triton=True),
            "eager in fp32 on cpu: H100 stays idle, it lacks a C++ compiler (apt-get install g++); "
            "OpenVINO is not installed (pip install 'openvino>=2026.1' draws faster)",
        ),
    ],
)
def test_auto_takes_what_is_fastest_and_says_why(machine, told):
    assert str(choose(machine=machine)) == told


@pytest.mark.parametrize(
    ("backend", "precision", "machine", "told"),
    [
        ("onnx", "auto", LAPTOP, "got backend 'onnx', want one of auto, eager, compile, cudagraph, tensorrt, openvino"),
        ("eager", "fp8", LAPTOP, "got precision 'fp8', want one of auto, fp32, fp16, bf16"),
        ("cudagraph", "auto", LAPTOP, "got backend cudagraph without a CUDA device that torch can use, want an NVIDIA"),
        ("tensorrt", "auto", LAPTOP, "got backend tensorrt without a CUDA device that torch can use, want an NVIDIA"),
        ("tensorrt", "auto", GPU, "want the package torch-tensorrt: pip install 'visavis[tensorrt]'"),
        ("eager", "auto", Machine(gpu="H100"), "got backend eager on H100 without Triton, want the package triton"),
        ("compile", "auto", BARE, "got backend compile without a C++ compiler, want g++, clang++ or c++"),
        ("openvino", "auto", BARE, "want the package openvino: pip install 'openvino>=2026.1'"),
        ("openvino", "bf16", LAPTOP, "got precision bf16 in OpenVINO on a processor without it, want one of fp32"),
    ],
)
def test_what_cannot_work_here_is_refused_with_a_remedy(backend, precision, machine, told):
    with pytest.raises(BackendError) as refused:
        choose(backend, precision, machine)
    assert told in str(refused.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16"])
def test_a_machine_with_everything_refuses_nothing(backend, precision):
    every = frozenset({"fp32", "fp16", "bf16"})
    plan = choose(
        backend,
        precision,
        Machine("H100", triton=True, compiler=True, tensorrt=True, openvino="2026.4", cpu_types=every),
    )
    assert (plan.backend, plan.precision, plan.why) == (backend, precision, "as asked for")
    assert plan.device == torch.device("cpu" if backend == "openvino" else "cuda:0")


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        (
            SERVER,
            "openvino in fp32 on cpu: the published systems are drawn by the CPU; OpenVINO 2026.4 is installed",
        ),
        (
            GPU,
            "eager in fp32 on cpu: the published systems are drawn by the CPU; OpenVINO is not installed "
            "(pip install 'openvino>=2026.1' draws faster)",
        ),
    ],
)
def test_published_systems_are_drawn_by_the_cpu_in_float32(machine, told):
    assert str(choose_published(machine=machine)) == told


def test_published_systems_take_what_they_are_told_if_they_can():
    assert str(choose_published("eager", machine=GPU)) == "eager in fp32 on cpu: as asked for"
    assert str(choose_published("openvino", "bf16", SERVER)) == "openvino in bf16 on cpu: as asked for"


@pytest.mark.parametrize(
    ("backend", "precision", "machine", "told"),
    [
        ("cudagraph", "auto", GPU, "got backend cudagraph for a published system, want one of auto, eager, openvino: "),
        ("compile", "auto", LAPTOP, "got backend compile for a published system, want one of auto, eager, openvino: "),
        ("onnx", "auto", LAPTOP, "got backend 'onnx', want one of auto, eager"),
        ("eager", "bf16", SERVER, "got precision bf16 in eager for a published system, want fp32"),
        ("auto", "bf16", LAPTOP, "got precision bf16 in OpenVINO on a processor without it, want one of fp32"),
        ("openvino", "auto", BARE, "want the package openvino: pip install 'openvino>=2026.1'"),
    ],
)
def test_what_cannot_draw_a_published_system_is_refused(backend, precision, machine, told):
    with pytest.raises(BackendError, match=re.escape(told)):
        choose_published(backend, precision, machine)
