import os

import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # Triton reads it when it is imported: before any test imports the kernels

settings.register_profile("visavis", deadline=None)  # speed belongs in benchmarks
settings.load_profile("visavis")
torch.set_num_threads(1)
