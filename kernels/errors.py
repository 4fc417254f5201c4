"""Every error that `kernels` raises on purpose."""


class ShapeError(ValueError):
    """Tensors that must agree in shape do not."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}"


class LayoutError(ValueError):
    """A tensor does not lie in memory as a kernel reads it: strided, or on another device than the rest."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}"


class DtypeError(TypeError):
    """A tensor has a type that the operator does not compute with."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}"


class TritonUnavailableError(RuntimeError):
    """A Triton kernel was asked for where none can run."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __str__(self) -> str:
        return f"no Triton kernel can run: {self.why}"
