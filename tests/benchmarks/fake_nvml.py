"""NVML of a machine that has none: a module with the calls that we make, and a GPU whose clock falls as it warms."""

from types import ModuleType, SimpleNamespace


class FakeNvml(ModuleType):
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = "sm", "memory", "gpu"

    class NVMLError(Exception):
        pass

    def __init__(self, *, gpus=1, driver=True):
        super().__init__("pynvml")
        self.gpus, self.driver = gpus, driver
        self.reads = 0

    def nvmlInit(self):  # noqa: N802
        if not self.driver:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if index >= self.gpus:
            raise self.NVMLError("Not Found")
        return index

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return "A Fake 9000"

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return "580.1"

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        return SimpleNamespace(total=80e9, used=2e9 + 1e9 * min(self.reads, 2))

    def nvmlDeviceGetClockInfo(self, handle, clock):  # noqa: N802
        if clock == "sm":
            self.reads += 1
            return 2000 - 100 * min(self.reads, 3)
        return 2600

    def nvmlDeviceGetPowerUsage(self, handle):  # noqa: N802
        return 1000 * (100 + self.reads if self.reads < 3 else 90)

    def nvmlDeviceGetTemperature(self, handle, sensor):  # noqa: N802
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetUtilizationRates(self, handle):  # noqa: N802
        return SimpleNamespace(gpu=97)
