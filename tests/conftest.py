import torch
from hypothesis import settings

settings.register_profile("visavis", deadline=None)  # speed belongs in benchmarks
settings.load_profile("visavis")
torch.set_num_threads(1)
