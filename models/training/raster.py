"""Draw textured triangles into small pictures with OpenGL on the CPU (EGL, Mesa's llvmpipe) or a GPU.

Needs the `[train]` extra (moderngl) and Debian's libegl1, libegl-mesa0 and libgl1-mesa-dri.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]

_VERTEX = """#version 330
in vec3 place; in vec2 texel; in vec4 paint; in float shade;
out vec2 uv; out vec4 colour; out float light;
void main() { gl_Position = vec4(place, 1.0); uv = texel; colour = paint; light = shade; }"""

_SOLID = """#version 330
in vec2 uv; in vec4 colour; in float light; uniform sampler2D photo; out vec4 pixel;
void main() { pixel = vec4(mix(texture(photo, uv).rgb, colour.rgb, colour.a) * light, 1.0); }"""

_CARDS = """#version 330
in vec2 uv; in vec4 colour; in float light; uniform sampler2D cards; out vec4 pixel;
void main() {
    vec4 texel = texture(cards, uv);
    if (texel.a < 0.4) discard;
    pixel = vec4(mix(texel.rgb, colour.rgb, colour.a) * light, 1.0);
}"""

_NUMBERS = """#version 330
in vec3 place; in vec4 value; out vec4 number;
void main() { gl_Position = vec4(place, 1.0); number = value; }"""

_TRACE = """#version 330
in vec4 number; out vec4 pixel;
void main() { pixel = number; }"""

_CARD_NUMBERS = """#version 330
in vec3 place; in vec2 texel; in vec4 value; out vec2 uv; out vec4 number;
void main() { gl_Position = vec4(place, 1.0); uv = texel; number = value; }"""

_CARD_TRACE = """#version 330
in vec2 uv; in vec4 number; uniform sampler2D cards; out vec4 pixel;
void main() { if (texture(cards, uv).a < 0.4) discard; pixel = number; }"""

_VEIL = """#version 330
in vec2 uv; in vec4 colour; in float light; out vec4 pixel;
void main() { pixel = vec4(colour.rgb * light, colour.a); }"""


def vertices(place: Floats, texel: Floats, paint: Floats, shade: Floats, size_px: int, depth_px: float) -> Floats:
    """Pack what `Raster.draw` takes.

    Args:
        place: [N, 3], px: x right, y down, z towards the viewer.
        texel: Where in the texture, [N, 2], 0 to 1, y down.
        paint: RGB and how much of it replaces the texture, [N, 4], 0 to 1.
        shade: Factor on the colour, [N].
        size_px: Side of the picture.
        depth_px: z from -depth_px to depth_px is drawn.

    Returns:
        [N, 10], float32.
    """
    out = np.empty((len(place), 10), np.float32)
    out[:, 0] = place[:, 0] * (2.0 / size_px) - 1.0
    out[:, 1] = 1.0 - place[:, 1] * (2.0 / size_px)
    out[:, 2] = -place[:, 2] / depth_px
    out[:, 3:5], out[:, 5:9], out[:, 9] = texel, paint, shade
    return out


class Raster:
    """One OpenGL context that draws square pictures with 4 samples a pixel; there may be several in a process."""

    def __init__(self, size_px: int) -> None:
        import moderngl  # pyright: ignore[reportMissingImports] - the [train] extra

        self.size_px = size_px
        self._gl = moderngl.create_standalone_context(backend="egl")  # pyright: ignore[reportArgumentType]
        self._solid = self._gl.program(vertex_shader=_VERTEX, fragment_shader=_SOLID)
        self._veil = self._gl.program(vertex_shader=_VERTEX, fragment_shader=_VEIL)
        self._cards = self._gl.program(vertex_shader=_VERTEX, fragment_shader=_CARDS)
        self._cards["cards"] = 1  # the texture unit; the photo is in 0
        self._trace = self._gl.program(vertex_shader=_NUMBERS, fragment_shader=_TRACE)
        self._card_trace = self._gl.program(vertex_shader=_CARD_NUMBERS, fragment_shader=_CARD_TRACE)
        self._card_trace["cards"] = 1
        size = (size_px, size_px)
        self._samples = self._gl.framebuffer(
            [self._gl.renderbuffer(size, 4, samples=4)], self._gl.depth_renderbuffer(size, samples=4)
        )
        self._flat = self._gl.framebuffer([self._gl.renderbuffer(size, 4)])
        self._numbers = self._gl.framebuffer(
            [self._gl.renderbuffer(size, 4, dtype="f4")], self._gl.depth_renderbuffer(size)
        )
        self._blend, self._depth = moderngl.BLEND, moderngl.DEPTH_TEST
        keep_alpha = (moderngl.ZERO, moderngl.ONE)
        self._blended = (moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA, *keep_alpha)
        self._texture = None

    def photo(self, pixels: NDArray[np.uint8]) -> None:
        """Use this picture [H, W, 3] as the texture from now on."""
        with self._gl:
            if self._texture is not None:
                self._texture.release()
            height, width = pixels.shape[:2]
            self._texture = self._gl.texture((width, height), 3, np.ascontiguousarray(pixels).tobytes(), alignment=1)
            self._texture.build_mipmaps()
            self._texture.repeat_x = self._texture.repeat_y = False
            self._texture.use(0)

    def draw(self, solid: Floats, triangles: Ints, veil: Floats, veil_triangles: Ints) -> NDArray[np.uint8]:
        """Draw `solid` vertices with depth, then blend `veil` over them. Returns RGB [size_px, size_px, 3]."""
        return self.draw_clothed(solid, triangles, (), veil, veil_triangles)[..., :3]

    def draw_clothed(
        self,
        solid: Floats,
        triangles: Ints,
        cards: Sequence[tuple[Floats, NDArray[np.uint8]]],
        veil: Floats,
        veil_triangles: Ints,
    ) -> NDArray[np.uint8]:
        """`draw` with hair and the like under the veil.

        Args:
            solid: As for `draw`.
            triangles: As for `draw`.
            cards: Vertices, three to a triangle, and an RGBA texture [H, W, 4] of which what is less than 0.4 opaque is
                left out.
            veil: As for `draw`.
            veil_triangles: As for `draw`.

        Returns:
            RGBA, [size_px, size_px, 4]; where nothing was drawn 0, and colours are already multiplied by alpha.
        """
        with self._gl:
            self._samples.use()
            self._samples.clear(0.0, 0.0, 0.0, 0.0)
            self._gl.enable_only(self._depth)
            self._pass(self._solid, "3f 2f 4f 1f", ("place", "texel", "paint", "shade"), solid, triangles)
            for corners, pixels in cards:
                self._card(self._cards, corners, pixels, "3f 2f 4f 1f", ("place", "texel", "paint", "shade"))
            self._gl.enable_only(self._blend)
            self._gl.blend_func = self._blended  # pyright: ignore[reportAttributeAccessIssue] - the stub knows two
            self._pass(self._veil, "3f 8x 4f 1f", ("place", "paint", "shade"), veil, veil_triangles)
            self._gl.copy_framebuffer(self._flat, self._samples)
            raw = self._flat.read(components=4)
            return np.frombuffer(raw, np.uint8).reshape(self.size_px, self.size_px, 4)[::-1].copy()

    def trace(
        self,
        solid: Floats,
        values: Floats,
        triangles: Ints,
        cards: Sequence[tuple[Floats, NDArray[np.uint8], Floats]] = (),
    ) -> Floats:
        """Draw numbers instead of colours, one sample a pixel, at the middle of each.

        Args:
            solid: Vertices as for `draw`, [N, 10].
            values: Four numbers for each, [N, 4].
            triangles: [T, 3].
            cards: As for `draw_clothed`, with numbers [M, 4] for their vertices.

        Returns:
            [size_px, size_px, 4], float32; 0 where nothing was drawn.
        """
        with self._gl:
            self._numbers.use()
            self._numbers.clear(0.0, 0.0, 0.0, 0.0)
            self._gl.enable_only(self._depth)
            self._pass(self._trace, "3f 28x 4f", ("place", "value"), np.hstack([solid, values]), triangles)
            for corners, pixels, numbers in cards:
                both = np.hstack([corners, numbers])
                self._card(self._card_trace, both, pixels, "3f 2f 20x 4f", ("place", "texel", "value"))
            raw = self._numbers.read(components=4, dtype="f4")
            return np.frombuffer(raw, np.float32).reshape(self.size_px, self.size_px, 4)[::-1].copy()

    def _card(
        self, program: object, corners: Floats, pixels: NDArray[np.uint8], layout: str, names: tuple[str, ...]
    ) -> None:
        texture = self._gl.texture((pixels.shape[1], pixels.shape[0]), 4, np.ascontiguousarray(pixels).tobytes())
        texture.build_mipmaps()
        texture.use(1)
        self._pass(program, layout, names, corners, np.arange(len(corners), dtype=np.int32).reshape(-1, 3))
        texture.release()

    def _pass(self, program: object, layout: str, names: tuple[str, ...], data: Floats, triangles: Ints) -> None:
        if len(triangles) == 0:
            return
        buffer = self._gl.buffer(np.ascontiguousarray(data, np.float32).tobytes())
        index = self._gl.buffer(np.ascontiguousarray(triangles, np.int32).tobytes())
        array = self._gl.vertex_array(program, [(buffer, layout, *names)], index)
        array.render()
        for item in (array, buffer, index):
            item.release()
