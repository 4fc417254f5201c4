"""Runs the house model's drawing on what a machine has: one file per backend."""

from models.visavis.engine.engines import start
from models.visavis.engine.rows import Recent, Row

__all__ = ["Recent", "Row", "start"]
