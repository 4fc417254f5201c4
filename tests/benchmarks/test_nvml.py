import sys
import time

import pytest
import torch

from benchmarks import nvml
from benchmarks.machine import environment
from benchmarks.nvml import GpuFacts, GpuMonitor, GpuState, gpu_facts
from tests.benchmarks.fake_nvml import FakeNvml

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="the fake has no GPU with the real one's number")


@pytest.fixture
def fake(monkeypatch):
    module = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    monkeypatch.setattr(nvml, "EVERY_S", 0.001)
    return module


@pytest.mark.usefixtures("fake")
def test_name_memory_and_driver_are_told():
    assert gpu_facts() == GpuFacts("A Fake 9000", "80000", "580.1")
    around = environment()
    assert (around["gpu"], around["driver"], around["nvml"]) == ("A Fake 9000", "580.1", "")


def test_a_monitor_tells_usual_clocks_and_the_most_power_and_memory(fake):
    with GpuMonitor() as monitor:
        while fake.reads < 30:
            time.sleep(0.001)
    # a power of 102 W and 1900 MHz were seen once, then 90 W and 1700 MHz; temperature is not told by this board
    assert monitor.state == GpuState(1700.0, 2600.0, 102.0, None, 4000.0, 97.0)


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (None, "nvidia-ml-py is not installed"),
        (FakeNvml(driver=False), "Driver Not Loaded"),
        (FakeNvml(gpus=0), "Not Found"),
    ],
    ids=["no library", "no driver", "no gpu"],
)
def test_a_machine_without_it_says_why(module, why, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", module)
    assert gpu_facts() == GpuFacts(silent_because=why)
    assert environment()["nvml"] == why
    with GpuMonitor() as monitor:
        pass
    assert monitor.state is None
