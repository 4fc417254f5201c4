"""Dataclasses of tensors as flat dicts: what safetensors files and exported graphs are made of."""

from dataclasses import Field, fields
from typing import Any, ClassVar, Self

from torch import Tensor


class TensorFields:
    """Base of a frozen dataclass whose fields are all tensors."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """The fields in their order, each name behind `prefix`."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], prefix: str = "") -> Self:
        """The inverse of `tensors`; other entries are ignored.

        Raises:
            KeyError: If a field is missing.
        """
        return cls(**{name: tensors[prefix + name] for name in cls.__dataclass_fields__})
