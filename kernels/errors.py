"""Every error that `kernels` raises on purpose."""


class ShapeError(ValueError):
    """Tensors that must agree in shape do not."""

    def __init__(self, got: str, want: str) -> None:
        self.got = got
        self.want = want

    def __str__(self) -> str:
        return f"got {self.got}, want {self.want}"
