"""The house system on a face of nobody: the mean head of the rig under a synthetic picture."""

import numpy as np
import pytest
import torch

from models import rig
from models.canvas import Canvas, Paste
from models.errors import IdentityError
from models.finite import broken
from models.system import AudioFeatures, ControlBatch, IdentityState
from models.visavis.fit import crop
from models.visavis.ict import Shape, mean_shape
from models.visavis.renderer import MARGIN_PX
from models.visavis.system import Visavis, shown, zoom


@pytest.fixture(scope="module")
def eager():
    return Visavis.load("eager")


@pytest.fixture(scope="module")
def picture():
    """Smooth random colours, [256, 256, 3], with a bright dot on the mean face's nose."""
    torch.manual_seed(0)
    coarse = torch.rand(1, 3, 12, 12) * 0.6 + 0.1
    smooth = torch.nn.functional.interpolate(coarse, size=(256, 256), mode="bicubic").clamp(0, 1)
    levels = (smooth[0].permute(1, 2, 0) * 255).byte().numpy().copy()
    levels[147:153, 125:131] = 255
    return levels


def with_margin(picture):
    return np.pad(picture, ((MARGIN_PX, MARGIN_PX), (MARGIN_PX, MARGIN_PX), (0, 0)), mode="edge")


@pytest.fixture(scope="module")
def nobody(eager, picture):
    one = mean_shape()
    return eager.bind(with_margin(picture), Shape.from_tensors({name: t[0] for name, t in one.tensors().items()}))


def draw(system, identity, **controls):
    return system.draw([identity], rig.vector(controls)[None])[0]


def brightest(frame):
    flat = int(frame[:, 90:200].sum(0).argmax())
    return flat % 256, flat // 256 + 90


def test_at_rest_the_frame_is_the_photo(eager, nobody, picture):
    frame = draw(eager, nobody)
    truth = torch.from_numpy(picture).permute(2, 0, 1) / 127.5 - 1
    off = (frame - truth).abs().mean(0)
    assert off.mean() < 0.02  # lips that are the photo's are not painted, only resampled


def test_what_moves_by_parts_of_a_pixel_stays_sharp(eager):
    stripes = np.repeat((127 + 80 * np.sin(np.arange(256) * np.pi / 2))[None, :, None], 256, 0).repeat(3, 2)
    shape = Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()})
    striped = eager.bind(with_margin(stripes.astype(np.uint8)), shape)
    still, *moved = (draw(eager, striped, headYaw=yaw)[:, 60:90, 100:156].std() for yaw in (0, 0.25, 0.5, 0.75))
    assert min(moved) > 0.85 * still


def test_positive_yaw_turns_the_nose_to_the_right_of_the_picture(eager, nobody):
    x0, _ = brightest(draw(eager, nobody))
    right, _ = brightest(draw(eager, nobody, headYaw=12))
    left, _ = brightest(draw(eager, nobody, headYaw=-12))
    assert left < x0 - 8
    assert right > x0 + 8


def test_positive_pitch_lifts_the_nose(eager, nobody):
    _, y0 = brightest(draw(eager, nobody))
    _, up = brightest(draw(eager, nobody, headPitch=10))
    assert up < y0 - 5


def test_the_jaw_leaves_the_forehead_alone(eager, nobody):
    closed, opened = draw(eager, nobody), draw(eager, nobody, jawOpen=0.4)
    off = (opened - closed).abs().mean(0)
    assert off[:90].mean() < 0.02
    assert off[175:215, 108:148].mean() > 0.05


def test_rows_of_a_batch_do_not_mix(eager, nobody, picture):
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    other = eager.bind(
        with_margin(mirrored), Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()})
    )
    controls = torch.stack([rig.vector({"jawOpen": 0.3}), rig.vector({"headYaw": -9, "eyeBlinkLeft": 1})])
    both = eager.draw([nobody, other], controls)
    torch.testing.assert_close(both[:1], eager.draw([nobody], controls[:1]), atol=1e-4, rtol=0)
    torch.testing.assert_close(both[1:], eager.draw([other], controls[1:]), atol=1e-4, rtol=0)


def test_openvino_draws_what_torch_draws(eager, nobody):
    fast = Visavis.load("openvino")
    for controls in ({}, {"jawOpen": 0.4, "headYaw": 10, "headRoll": -8}, {"eyeBlinkLeft": 1.0, "gazeYaw": 15}):
        off = (draw(fast, nobody, **controls) - draw(eager, nobody, **controls)).abs()
        assert off.max() < 0.02  # one level of 255 is 0.008; a sample may land on the other side of a hard edge
        assert off.mean() < 1e-4


@pytest.mark.parametrize(("precision", "most", "mean"), [("fp16", 1.0, 0.01), ("bf16", 4.0, 0.1)])
def test_a_painter_in_half_the_bits_paints_the_same_face(eager, nobody, precision, most, mean):
    half = Visavis.load("eager", precision=precision)
    for controls in ({"jawOpen": 0.4, "headYaw": 10}, {"eyeBlinkLeft": 1.0, "gazeYaw": 15}):
        off = (draw(half, nobody, **controls) - draw(eager, nobody, **controls)).abs() * 127.5  # levels
        assert 0 < off.max() < most
        assert off.mean() < mean


def test_openvino_hears_what_torch_hears(eager, nobody):
    torch.manual_seed(2)
    fast = Visavis.load("openvino")
    states = eager.init_state(1), fast.init_state(1)
    for _ in range(20):
        loud = AudioFeatures(torch.rand(1, 4, 80) * 2, torch.tensor([80.0]))
        for system, state in zip((eager, fast), states, strict=True):
            system.step([nobody], loud, ControlBatch(torch.zeros(1, 57), torch.ones(1)), state)
    for name in ("heard", "hidden", "voice"):
        one, other = (getattr(state.speech, name) for state in states)
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_openvino_does_not_draw_the_face_before(eager, nobody, picture):
    fast = Visavis.load("openvino")
    other = eager.bind(
        with_margin(255 - picture), Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()})
    )
    frames = [draw(fast, identity) for identity in (nobody, other, nobody)]
    torch.testing.assert_close(frames[0], frames[2], atol=0, rtol=0)
    assert (frames[1] - frames[0]).abs().mean() > 0.2
    both = fast.draw([nobody, other], rig.vector({})[None].repeat(2, 1))
    torch.testing.assert_close(both, torch.stack(frames[:2]), atol=0, rtol=0)


def test_painting_the_mouth_alone_is_the_same_picture_where_no_lid_moved(eager, nobody):
    row = eager._persons.of(nobody).row
    for controls in ({"jawOpen": 0.3}, {"mouthPucker": 0.8, "headYaw": 8}, {"gazeYaw": 10}):
        mouth, every = (draw(rig.vector(controls)[None], [row]) for draw in eager._engines.draw)
        assert (mouth - every).abs().max() < 1e-6


def test_a_saved_identity_draws_the_same_face(eager, nobody, tmp_path):
    nobody.save(tmp_path / "nobody.safetensors")
    again = IdentityState.load(tmp_path / "nobody.safetensors")
    torch.testing.assert_close(draw(eager, again, jawOpen=0.2), draw(eager, nobody, jawOpen=0.2), atol=0, rtol=0)


def test_an_identity_of_another_version_is_refused(eager, nobody):
    old = IdentityState(nobody.system, nobody.version + 1, nobody.tensors)
    with pytest.raises(IdentityError, match="enrol the photo again"):
        draw(eager, old)


def test_lip_gain_zero_keeps_the_lips_closed_whatever_is_heard(eager, nobody):
    torch.manual_seed(1)
    loud = AudioFeatures(torch.rand(1, 4, 80) * 2, torch.tensor([40.0]))
    state = eager.init_state(1)
    for _ in range(5):
        shut = eager.step([nobody], loud, ControlBatch(torch.zeros(1, 57), torch.zeros(1)), state)[0]
    torch.testing.assert_close(shut, draw(eager, nobody), atol=0, rtol=0)


def test_nonsense_heard_by_one_stream_breaks_its_frame_alone_and_only_once(eager, nobody):
    values = torch.rand(2, 4, 80, generator=torch.Generator().manual_seed(3))
    still = ControlBatch(torch.zeros(2, 57), torch.ones(2))
    ahead, state = torch.full((2,), 40.0), eager.init_state(2)
    poisoned = values.clone()
    poisoned[0, 1, 5] = torch.nan
    assert broken(eager.step([nobody, nobody], AudioFeatures(poisoned, ahead), still, state)).tolist() == [True, False]
    after = eager.step([nobody, nobody], AudioFeatures(values, ahead), still, state)
    fresh = eager.step(
        [nobody], AudioFeatures(values[:1], ahead[:1]), ControlBatch(*_first(still)), eager.init_state(1)
    )
    torch.testing.assert_close(after[:1], fresh, atol=1e-5, rtol=0)


def _first(batch):
    return batch.values[:1], batch.lip_gain[:1]


@pytest.fixture(scope="module")
def framed(eager, picture):
    """Nobody in framing `photo`: the picture with 32 px around it."""
    around = with_margin(picture)
    canvas = Canvas(torch.from_numpy(around).permute(2, 0, 1).contiguous(), (MARGIN_PX, MARGIN_PX))
    shape = Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()})
    return eager.bind(around, shape, canvas=canvas)


@pytest.mark.parametrize("turn", ["headYaw", "headPitch", "headRoll"])
@pytest.mark.parametrize("degrees", [-15, 15])
def test_a_pasted_frame_has_no_seam_however_the_head_turns(eager, framed, turn, degrees):
    off = (pasted(draw(eager, framed, **{turn: degrees}), framed.canvas) - framed.canvas.rgb).abs().amax(0)
    off = off[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX]
    border = torch.ones_like(off, dtype=torch.bool)
    border[4:-4, 4:-4] = False
    assert off[border].max() < 2.0
    assert off[~border].max() > 40.0  # while inside the head does turn


def pasted(frame, canvas):
    """The frame in its canvas, [3, H, W], 0 to 255."""
    paste, levels = Paste(canvas, frame.shape[-1]), canvas.rgb.float()
    levels[:, paste.rows, paste.columns] = (paste.blend(frame[None])[0] + 1) * 127.5
    return levels


def test_in_the_middle_both_framings_show_the_same_face(eager, framed, nobody):
    for controls in ({"jawOpen": 0.3, "headYaw": 10}, {"headRoll": -8}):
        one, other = (draw(eager, identity, **controls)[:, 40:216, 40:216] for identity in (framed, nobody))
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_a_framed_identity_keeps_its_canvas_on_disk(framed, tmp_path):
    framed.save(tmp_path / "framed.safetensors")
    again = IdentityState.load(tmp_path / "framed.safetensors")
    assert again.framing == "photo"
    assert again.canvas.corner == (MARGIN_PX, MARGIN_PX)
    assert torch.equal(again.canvas.rgb, framed.canvas.rgb)
    assert again.tensors.keys() == framed.tensors.keys()
    assert again.bytes == framed.bytes


@pytest.mark.parametrize(
    ("photo_px", "square"),
    [
        ((-20, -5, 300, 400), (0, 0, 256, 256)),
        ((-20, 30.4, 300, 400), (15, 31, 240, 256)),  # cut off above
        ((60.5, 20, 200.2, 180), (61, 41, 200, 180)),  # a tight crop: as near the middle as it goes
        ((0, 0, 100, 256), (0, 78, 100, 178)),  # a sliver beside the middle
    ],
)
def test_the_view_is_the_largest_square_that_the_photo_fills(photo_px, square):
    assert shown(torch.tensor(photo_px).float()).tolist() == list(square)


def test_zooming_enlarges_each_rows_own_view():
    frames = torch.arange(16.0).reshape(1, 1, 4, 4).repeat_interleave(64, 2).repeat_interleave(64, 3).repeat(2, 3, 1, 1)
    whole, part = zoom(frames, [(0, 0, 256, 256), (64, 128, 128, 192)])
    assert torch.equal(whole, frames[0])
    assert torch.equal(part, torch.full((3, 256, 256), 9.0))


def test_what_a_tight_photo_does_not_show_is_its_mirror_and_no_streak(eager):
    cut = 64  # through the forehead
    lines = np.repeat(np.repeat((np.arange(256 - 2 * cut) % 8 < 4)[:, None, None] * 200, 128, 1), 3, 2).astype(np.uint8)
    shape = Shape.from_tensors({name: t[0] for name, t in mean_shape().tensors().items()})
    tight = eager.bind(
        crop(lines, (-MARGIN_PX - cut, -MARGIN_PX - cut, 288 - cut, 288 - cut), 320),
        shape,
        torch.tensor([cut, cut, 256 - cut, 256 - cut]).float(),
    )
    still, nodding = (draw(eager, tight, headPitch=pitch)[:, :24, 96:160] for pitch in (0, -10))
    assert (nodding - still).abs().mean() > 0.2  # something else comes in from above
    assert nodding.std(dim=1).min() > 0.5 * still.std()
