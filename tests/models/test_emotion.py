import pytest
import torch

from models.emotion import EMOTIONS, NEUTRAL, emotion
from models.errors import EmotionError
from models.rig import INDEX, LIMITS, vector
from models.visavis.ict import Rig, mean_shape, pose
from models.visavis.system import Visavis

BILABIAL = vector(
    {
        **{"jawOpen": 0.04, "mouthClose": 0.035, "mouthPressLeft": 0.25, "mouthPressRight": 0.25},
        **{"mouthRollLower": 0.18, "mouthRollUpper": 0.14},
    }
)
OPEN = vector({"jawOpen": 0.3})


def lip_gaps_mm(controls):
    """How far the inner lips are apart along the middle two thirds of the mouth, on the mean head."""
    shape, rig = mean_shape(), Rig.load()
    lips = pose(rig, shape, controls[None])[0, rig.inner_lip, 1] / float(shape.scale_px_per_cm) * 10
    return (lips[37:].flip(0) - lips[:37])[6:31]


def test_neutral_comes_first_and_moves_nothing():
    assert EMOTIONS[0] == NEUTRAL
    assert not emotion(NEUTRAL).any()


@pytest.mark.parametrize("name", EMOTIONS[1:])
def test_lips_that_meet_in_an_m_meet_under_every_emotion(name):
    neutral, felt = lip_gaps_mm(BILABIAL), lip_gaps_mm(BILABIAL + emotion(name))
    assert float(lip_gaps_mm(OPEN).mean()) > 8  # what there is to close
    assert float(felt.mean()) <= float(neutral.mean()) + 0.05
    assert float(felt.max()) <= float(neutral.max()) + 0.6


@pytest.mark.parametrize("name", EMOTIONS[1:])
def test_no_emotion_parts_the_lips_of_a_silent_face(name):
    assert float(lip_gaps_mm(emotion(name)).mean()) <= float(lip_gaps_mm(emotion(NEUTRAL)).mean()) + 0.05


@pytest.mark.parametrize("name", EMOTIONS[1:])
def test_an_emotion_shows_around_the_eyes_and_is_proportional_to_its_intensity(name):
    whole = emotion(name)
    upper = [index for control, index in INDEX.items() if control.startswith(("brow", "eye", "cheek", "nose"))]
    assert float(whole[upper].sum()) > 0.9
    torch.testing.assert_close(emotion(name, 0.3), 0.3 * whole)
    torch.testing.assert_close(emotion(name, 7.0), whole)
    assert all(low <= float(whole[INDEX[control]]) <= high for control, (low, high) in LIMITS.items())


def test_emotions_differ_from_each_other():
    for i, one in enumerate(EMOTIONS):
        for other in EMOTIONS[i + 1 :]:
            assert float((emotion(one) - emotion(other)).abs().sum()) > 1


def test_the_house_model_obeys_every_control_of_every_emotion():
    used = {control for name in EMOTIONS for control, index in INDEX.items() if emotion(name)[index]}
    assert used <= Visavis.controls


def test_an_unknown_emotion_is_told_the_known_ones():
    with pytest.raises(EmotionError, match="happy"):
        emotion("hungry")
