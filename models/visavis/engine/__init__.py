"""Runs the house model's drawing on what a machine has: one file per backend, and the choice between them."""

from models.visavis.engine.choice import AUTO, BACKENDS, PRECISIONS, Backend, Machine, Plan, Precision, choose, look
from models.visavis.engine.engines import start
from models.visavis.engine.rows import Recent, Row

__all__ = [
    "AUTO",
    "BACKENDS",
    "PRECISIONS",
    "Backend",
    "Machine",
    "Plan",
    "Precision",
    "Recent",
    "Row",
    "choose",
    "look",
    "start",
]
