"""Networks, their streaming state, systems, training, weights."""

import sys
from types import ModuleType
from typing import cast

# OpenVINO reports its import and every export to Google Analytics, unasked; without this package it uses a silent stub
sys.modules.setdefault("openvino_telemetry", cast(ModuleType, None))
