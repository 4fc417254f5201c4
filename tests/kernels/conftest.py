import os

import pytest
import torch

os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # what deterministic algorithms want of cuBLAS


@pytest.fixture(autouse=True)
def _poisoned_memory():
    """`torch.empty` gives NaN, or the greatest integer: a cell that no kernel wrote shows."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A GPU where there is one, else the CPU, on which Triton interprets its kernels."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
