import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps

import models
from models.errors import PhotoError
from models.visavis.enrol import LONG_SIDE_PX, MAX_FILE_BYTES, find_face, load_photo
from models.visavis.photo_checks import eye_distance_px

IDENTITIES = sorted(p for p in (Path(models.__file__).parent / "identities").glob("*.*g") if p.suffix != ".svg")


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png_header(width_px, height_px):
    """The start of a PNG that promises this size and holds no pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (head, body, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def reason_of(call, argument):
    with pytest.raises(PhotoError) as caught:
        call(argument)
    assert len(str(caught.value)) > 30  # a person must learn what to do
    return caught.value.reason


def picture():
    """Four unequal quarters, so that every turn and mirror image differs."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :30], pixels[:20, 30:], pixels[20:, :30] = (200, 30, 30), (30, 200, 30), (30, 30, 200)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.4", b"GIF89a", b"\xff\xd8\xff\xe0", bytes(1000)])
def test_what_is_no_image_is_refused(data):
    assert reason_of(load_photo, data) == "not_an_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_an_image_cut_off_in_the_middle_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8))
    data = encoded(noise, kind)
    assert reason_of(load_photo, data[: len(data) // 2]) == "not_an_image"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_damaged_bytes_give_a_picture_or_a_refusal_and_nothing_else(kind):
    rng = np.random.default_rng(1)
    whole = np.frombuffer(encoded(picture(), kind), np.uint8)
    refusals = set()
    for _ in range(40):
        data = whole.copy()
        data[rng.integers(0, len(data), 6)] = rng.integers(0, 256, 6)
        try:
            assert load_photo(data.tobytes()).shape[2] == 3
        except PhotoError as error:
            refusals.add(error.reason)
    assert refusals <= {"not_an_image", "too_large"}


@pytest.mark.parametrize("side_px", [6_400, 12_000, 60_000])
def test_a_header_that_promises_too_many_pixels_is_refused_unread(side_px):
    assert reason_of(load_photo, png_header(side_px, side_px)) == "too_large"


def test_a_large_header_without_pixels_is_refused():
    assert reason_of(load_photo, png_header(6_000, 5_000)) == "not_an_image"


def test_a_file_of_more_than_ten_megabytes_is_refused():
    assert reason_of(load_photo, encoded(picture()) + bytes(MAX_FILE_BYTES)) == "too_large"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_s_orientation_is_applied(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture(), "PNG", exif=exif)
    want = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(load_photo(data), np.asarray(want))


def test_an_orientation_that_does_not_exist_is_ignored():
    exif = Image.Exif()
    exif[0x0112] = 77
    np.testing.assert_array_equal(load_photo(encoded(picture(), "PNG", exif=exif)), np.asarray(picture()))


def test_cmyk_keeps_its_colours():
    photo = load_photo(encoded(picture().convert("CMYK"), "JPEG", quality=95, subsampling=0))
    np.testing.assert_allclose(photo[5:15, 5:25], np.broadcast_to((200, 30, 30), (10, 20, 3)), atol=8)


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_grey_and_palette_pictures_become_rgb(mode):
    image = picture().convert(mode)
    np.testing.assert_array_equal(load_photo(encoded(image)), np.asarray(image.convert("RGB")))


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    photo = load_photo(encoded(Image.fromarray(ramp)))
    np.testing.assert_allclose(photo[..., 1], ramp / 257, atol=1)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_parts_become_mid_grey(mode):
    image = picture().convert(mode)
    alpha = Image.new("L", image.size, 255)
    alpha.paste(0, (0, 0, 30, 40))
    image.putalpha(alpha)
    photo = load_photo(encoded(image))
    assert (photo[:, :30] == 128).all()
    np.testing.assert_array_equal(photo[:, 30:], np.asarray(image.convert("RGB"))[:, 30:])


def test_a_transparent_palette_colour_becomes_mid_grey():
    image = picture().quantize(4)
    photo = load_photo(encoded(image, "PNG", transparency=image.getpixel((5, 5))))
    assert (photo[:20, :30] == 128).all()
    assert (photo[:20, 30:, 1] > 150).all()


def test_of_an_animation_the_first_frame_is_taken():
    data = encoded(picture(), "GIF", save_all=True, append_images=[Image.new("RGB", (60, 40), "white")])
    photo = load_photo(data)
    np.testing.assert_allclose(photo, np.asarray(picture()), atol=8)


@pytest.mark.parametrize(("size", "want"), [((3200, 800), (400, 1600)), ((900, 2400), (1600, 600)), ((9, 7), (7, 9))])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_the_long_side_is_brought_to_1600_pixels_and_never_enlarged(size, want, kind):
    photo = load_photo(encoded(Image.new("RGB", size, (10, 120, 240)), kind))
    assert photo.shape[:2] == want
    assert max(want) <= LONG_SIDE_PX
    np.testing.assert_allclose(photo.reshape(-1, 3).mean(0), (10, 120, 240), atol=3)


def landscape():
    y, x = np.mgrid[:600, :800]
    sky = np.stack([120 + 0 * x, 160 + y * 0.1, 255 - y * 0.2], axis=-1)
    hill = y > 350 + 60 * np.sin(x / 90)
    return np.where(hill[..., None], np.stack([60 + x * 0.05, 120 + 0 * x, 40 + 0 * x], -1), sky).astype(np.uint8)


@pytest.mark.parametrize(
    "photo",
    [
        np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8),
        landscape(),
        np.full((300, 300, 3), 128, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((3, 1600, 3), np.uint8),
    ],
    ids=["noise", "landscape", "grey", "one pixel", "a line"],
)
def test_where_nobody_is_no_face_is_found(photo):
    assert reason_of(find_face, photo) == "no_face"


@pytest.fixture(scope="module", params=IDENTITIES, ids=lambda path: path.stem)
def portrait(request):
    """A picture of nobody, as shipped."""
    return load_photo(request.param.read_bytes())


def changed(photo, change):
    return np.array(change(Image.fromarray(photo)))


def test_a_portrait_s_points_lie_in_it_in_the_order_of_a_face(portrait):
    points = find_face(portrait)
    assert points.shape == (478, 2)
    assert (points >= 0).all()
    assert (points <= portrait.shape[1::-1]).all()
    assert points[468, 0] < points[473, 0]  # the person's right iris is on the viewer's left
    assert points[10, 1] < points[468, 1] < points[4, 1] < points[13, 1] < points[14, 1] + 1 < points[152, 1]


def test_two_portraits_side_by_side_are_several_faces(portrait):
    assert reason_of(find_face, np.concatenate([portrait, portrait], axis=1)) == "several_faces"


def test_a_small_portrait_is_too_small(portrait):
    scale = 25 / eye_distance_px(find_face(portrait))
    size = (round(portrait.shape[1] * scale), round(portrait.shape[0] * scale))
    assert reason_of(find_face, changed(portrait, lambda image: image.resize(size))) == "too_small"


def test_a_blurred_portrait_is_refused(portrait):
    radius = 0.08 * eye_distance_px(find_face(portrait))
    assert reason_of(find_face, changed(portrait, lambda i: i.filter(ImageFilter.GaussianBlur(radius)))) == "blurred"


def test_a_dark_portrait_is_refused(portrait):
    assert reason_of(find_face, (portrait * 0.12).astype(np.uint8)) == "dark"


@pytest.mark.parametrize("turn_deg", [-20, 20])
def test_a_tilted_portrait_is_found_with_the_same_points(portrait, turn_deg):
    straight = find_face(portrait)
    tilted = find_face(changed(portrait, lambda image: image.rotate(turn_deg, Image.Resampling.BICUBIC)))
    middle = np.array(portrait.shape[1::-1]) / 2
    cos, sin = np.cos(np.radians(turn_deg)), np.sin(np.radians(turn_deg))
    back = (tilted - middle) @ np.array([[cos, sin], [-sin, cos]]) + middle
    eyes_px = np.linalg.norm(straight[468] - straight[473])
    assert np.linalg.norm(back - straight, axis=1).mean() < 0.04 * eyes_px


# what people send: every kind of photo has one outcome


def eyes_and_lips(points):
    """Middles of the two eyes and of the lips, and the distance of the eyes, all in pixels."""
    right, left = points[468], points[473]
    return right, left, points[[13, 14]].mean(axis=0), float(np.linalg.norm(left - right))


def painted(portrait, paint):
    image = Image.fromarray(portrait)
    paint(ImageDraw.Draw(image), *eyes_and_lips(find_face(portrait)))
    grain = np.random.default_rng(0).normal(0.0, 6.0, portrait.shape)  # a camera's, on what was painted as well
    return (np.array(image) + grain).round().clip(0, 255).astype(np.uint8)


def sunglasses(draw, right, left, lips, apart):
    for x, y in (right, left):
        box = (x - 0.4 * apart, y - 0.26 * apart, x + 0.4 * apart, y + 0.34 * apart)
        draw.rounded_rectangle(box, 0.2 * apart, fill=(22, 20, 24), outline=(5, 5, 5), width=3)
    draw.line((*right, *left), fill=(10, 10, 10), width=round(0.08 * apart))


def spectacles(draw, right, left, lips, apart):
    for x, y in (right, left):
        box = (x - 0.4 * apart, y - 0.26 * apart, x + 0.4 * apart, y + 0.34 * apart)
        draw.rounded_rectangle(box, 0.2 * apart, outline=(30, 20, 15), width=round(0.04 * apart))


def hand(draw, right, left, lips, apart):
    for finger in range(4):
        y = lips[1] + (finger - 1.3) * 0.24 * apart
        ends = (lips[0] - 0.5 * apart, y, lips[0] + 1.6 * apart, y + 0.5 * apart)
        draw.line(ends, fill=(120, 78, 60), width=round(0.3 * apart))
        draw.line(ends, fill=(205, 150, 125), width=round(0.24 * apart))
        draw.circle(ends[:2], 0.12 * apart, fill=(205, 150, 125))


def mask(draw, right, left, lips, apart):
    x, y = lips
    corners = [(-0.95, -0.5), (0, -0.75), (0.95, -0.5), (0.75, 0.6), (0, 0.95), (-0.75, 0.6)]
    draw.polygon([(x + dx * apart, y + dy * apart) for dx, dy in corners], fill=(190, 215, 225))


@pytest.mark.parametrize(
    ("paint", "reason"), [(sunglasses, "eyes_covered"), (hand, "mouth_covered"), (mask, "mouth_covered")]
)
def test_covered_eyes_and_mouths_are_refused(portrait, paint, reason):
    assert reason_of(find_face, painted(portrait, paint)) == reason


def test_ordinary_glasses_are_accepted(portrait):
    points = find_face(painted(portrait, spectacles))
    assert np.linalg.norm(points - find_face(portrait), axis=1).mean() < 0.1 * eye_distance_px(points)


def test_a_child_s_drawing_is_refused():
    page = Image.new("RGB", (600, 600), "white")
    draw = ImageDraw.Draw(page)
    draw.ellipse((120, 100, 480, 520), outline="black", width=6, fill=(255, 224, 189))
    for x in (230, 370):
        draw.ellipse((x - 28, 230, x + 28, 286), outline="black", width=5, fill="white")
        draw.ellipse((x - 9, 248, x + 9, 268), fill="black")
    draw.line((300, 280, 285, 350, 312, 350), fill="black", width=5)
    draw.arc((220, 340, 380, 450), 20, 160, fill="red", width=8)
    for x in range(120, 480, 24):
        draw.line((x, 160, x, 90), fill=(120, 70, 20), width=6)
    assert reason_of(find_face, np.array(page)) == "drawn"


def test_a_statue_is_a_face(portrait):
    """Grey stone with grain: nothing tells it from a powdered face, so it is accepted and may speak."""
    height, width = portrait.shape[:2]
    grain = np.random.default_rng(0).normal(0, 8, (height // 3, width // 3)).astype(np.float32)
    grain = np.array(Image.fromarray(grain).resize((width, height), Image.Resampling.BICUBIC))
    grey = np.array(Image.fromarray(portrait).convert("L")) * 0.55 + 70 + grain
    stone = np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    want = find_face(portrait)
    assert np.linalg.norm(find_face(stone) - want, axis=1).mean() < 0.04 * eye_distance_px(want)


def as_sent(portrait, change, kind="PNG", **options):
    """What the server reads when somebody changes the portrait and sends it."""
    return load_photo(encoded(change(Image.fromarray(portrait)), kind, **options))


def cut_out(image):
    """A head on nothing, as background removers make it."""
    alpha = Image.new("L", image.size)
    width, height = image.size
    ImageDraw.Draw(alpha).ellipse((0.1 * width, 0, 0.9 * width, 1.2 * height), fill=255)
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda image: image.convert("L"), "JPEG"),
        (lambda image: image.convert("CMYK"), "JPEG"),
        (lambda image: image.quantize(128), "GIF"),
        (cut_out, "PNG"),
    ],
    ids=["black and white", "CMYK", "128 colours", "cut out"],
)
def test_a_portrait_in_any_colours_has_the_same_points(portrait, change, kind):
    want = find_face(portrait)
    points = find_face(as_sent(portrait, change, kind))
    assert np.linalg.norm(points - want, axis=1).mean() < 0.05 * eye_distance_px(want)


def test_a_portrait_turned_by_the_camera_has_the_same_points(portrait):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = as_sent(portrait, lambda image: image.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif)
    np.testing.assert_allclose(find_face(lying), find_face(portrait), atol=1)


def test_of_an_animated_portrait_the_first_frame_speaks(portrait):
    blank = Image.new("RGB", portrait.shape[1::-1], "white")
    moving = as_sent(portrait, lambda image: image, "WEBP", save_all=True, append_images=[blank], lossless=True)
    np.testing.assert_allclose(find_face(moving), find_face(portrait), atol=1)


def test_a_head_and_shoulders_of_200_pixels_is_just_large_enough(portrait):
    small = as_sent(portrait, lambda image: image.resize((200, 200), Image.Resampling.LANCZOS))
    want = find_face(portrait) * 200 / portrait.shape[0]
    assert np.linalg.norm(find_face(small) - want, axis=1).mean() < 0.05 * eye_distance_px(want)


def test_8000_pixels_are_brought_down_and_a_square_of_them_is_refused(portrait):
    def wide(image):
        page = Image.new("RGB", (8000, 4000), "gray")
        page.paste(image.resize((3600, 3600)), (2200, 200))
        return page

    photo = as_sent(portrait, wide, "JPEG", quality=80)
    assert photo.shape == (800, 1600, 3)
    points = find_face(photo)
    want = (find_face(portrait) * 3600 / portrait.shape[0] + (2200, 200)) / 5
    assert np.linalg.norm(points - want, axis=1).mean() < 0.05 * eye_distance_px(want)
    assert reason_of(load_photo, png_header(8000, 8000)) == "too_large"
