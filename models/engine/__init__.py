"""What networks run on: the choice of a backend, and OpenVINO with its kept exports."""

from models.engine.choice import (
    AUTO,
    BACKENDS,
    PRECISIONS,
    REFERENCE,
    Backend,
    Machine,
    Plan,
    Precision,
    choose,
    choose_published,
    look,
)

__all__ = [
    "AUTO",
    "BACKENDS",
    "PRECISIONS",
    "REFERENCE",
    "Backend",
    "Machine",
    "Plan",
    "Precision",
    "choose",
    "choose_published",
    "look",
]
