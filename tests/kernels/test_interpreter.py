import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.skipif(
    not torch.cuda.is_available(), reason="without a GPU every other test here runs in Triton's interpreter"
)
def test_on_a_machine_with_a_gpu_the_interpreter_agrees_too():
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "pytest", "-q", str(Path(__file__).parent)]
    done = subprocess.run(command, env=hidden, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout
