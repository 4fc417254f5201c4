"""One caller: speak, steer, swap."""

import base64

import numpy as np
import pytest
from PIL import Image

from stream.probe import TILE_PX
from stream.probe_report import Recording, report

SPEECH_S = 9


def drain(call):
    return call.page.evaluate("visavisProbe.drain()")


def tiles(notes):
    return np.frombuffer(base64.b64decode(notes["tiles"]), np.uint8).reshape(-1, TILE_PX, TILE_PX).astype(float)


def test_the_mouth_moves_with_speech_and_closes_in_silence(call):
    drain(call)
    call.wait_frames(25)
    before = tiles(drain(call))
    assert np.abs(before - before.mean(axis=0)).mean() < 1.5, "lips tremble before anybody spoke"

    call.page.evaluate("visavisProbe.speak()")
    call.page.wait_for_timeout(1000 * SPEECH_S)
    notes = drain(call)
    run_of = Recording(
        frames=[tuple(frame) for frame in notes["frames"]],
        tiles=list(tiles(notes).astype(np.uint8)),
        onsets_spoken_ms=notes["onsets"],
        ends_spoken_ms=notes["ends"],
        clock=[tuple(look) for look in notes["clock"]],
        heard={onset["media_ms"]: onset["received_ms"] for onset in notes["heard"]},
        hello=notes["hello"],
    )
    result = report(run_of)
    assert result.onsets_heard >= 2
    assert result.onsets_seen >= result.onsets_heard - 1, result
    assert 0 < result.first_motion_ms.p50 < 2000
    assert result.closed_after_ms.p50 <= 200, "the mouth stays open in silence"
    speaking = np.abs(tiles(notes) - before.mean(axis=0)).mean(axis=(1, 2))
    assert np.percentile(speaking, 90) > 3 * max(0.3, float(np.percentile(speaking, 5))), "open and shut look alike"
    assert np.percentile(speaking, 5) < 1.5, "between the words the mouth does not go back to rest"


def test_the_page_measures_its_own_latency(call):
    call.page.evaluate("visavisProbe.speak()")
    call.until("visavis.mic_to_screen_ms && visavis.mic_to_screen_ms.count >= 2")
    assert 30 < call.hook("mic_to_screen_ms")["p50"] < 1500
    assert call.hook("stats")["sent"] > 25
    assert call.page.locator("#trip").inner_text().strip().isdigit()


def test_the_yaw_slider_turns_the_head_and_reset_turns_it_back(call):
    call.wait_frames(10)
    front = call.picture()
    call.slide("yaw", "End")
    call.wait_frames(30)
    right = call.picture()
    call.slide("yaw", "Home")
    call.wait_frames(30)
    left = call.picture()
    call.page.locator("#reset").click()
    call.wait_frames(30)
    back = call.picture()
    still = np.abs(back - front).mean()
    assert np.abs(right - front).mean() > still + 2
    assert np.abs(left - front).mean() > still + 2
    assert np.abs(left - right).mean() > still + 2
    assert still < 2.5


def test_another_system_is_chosen_in_the_call_and_draws_it(call):
    choice, smile, emotion = (call.page.locator(f"#{name}") for name in ("system", "slider-smile", "emotion"))
    assert call.hook("hello.system") == choice.input_value() == "visavis"
    assert "tavce, 128 px" in choice.inner_text()
    choice.select_option("tavce")
    call.until("visavis.state === 'live' && visavis.hello.system === 'tavce'").wait_frames(20)
    assert call.page.evaluate("document.querySelector('talking-face').video.videoWidth") == 128
    assert not smile.is_visible()
    assert not emotion.is_visible()
    choice.select_option("visavis")
    assert smile.is_visible()
    assert emotion.is_visible()
    call.until("visavis.state === 'live' && visavis.hello.system === 'visavis'").wait_frames(20)
    assert call.page.evaluate("document.querySelector('talking-face').video.videoWidth") == 256


def test_faces_are_swapped_on_the_same_connection_an_uploaded_one_too(call, friend_photo):
    session, first, front = call.hook("hello.session"), call.hook("identity"), call.picture()
    cards = call.page.locator("#cards input")
    before = cards.count()
    call.page.locator("#photo").set_input_files(friend_photo)
    call.until(f"visavis.identity !== {first!r}").wait_frames(20)
    assert cards.count() == before + 1
    assert "a friend" in call.page.locator("#cards").inner_text()
    friend = call.picture()
    assert np.abs(friend - front).mean() > 3

    call.page.locator(f"#cards input[value={first!r}]").check(force=True)
    call.until(f"visavis.identity === {first!r}").wait_frames(20)
    assert np.abs(call.picture() - front).mean() < 2
    assert (call.hook("connections"), call.hook("hello.session")) == (1, session)


def test_a_photo_without_a_face_is_refused_in_the_servers_words(call, tmp_path, server):
    path = tmp_path / "sky.jpg"
    Image.linear_gradient("L").resize((600, 600)).convert("RGB").save(path)
    with call.page.expect_response("**/v1/identities") as answered:
        call.page.locator("#photo").set_input_files(path)
    assert answered.value.status == 422
    error = answered.value.json()["error"]
    assert error["code"] == "no_face"
    problem = call.page.locator("#photo-problem")
    problem.wait_for(state="visible")
    assert error["message"] in problem.inner_text()
    call.wait_frames(10)


@pytest.mark.parametrize("width", [360, 1440])
def test_nothing_is_wider_than_the_screen(new_call, width):
    call = new_call(viewport={"width": width, "height": 800})
    call.page.locator("#cards input").first.wait_for(state="attached")
    assert call.page.evaluate("document.documentElement.scrollWidth") <= width


def test_start_and_stop_work_from_the_keyboard(new_call):
    call = new_call(idle=0)
    start = call.page.locator("#start")
    call.page.wait_for_function("!document.querySelector('#start').disabled")
    start.press("Enter")
    call.until_live()
    start.press("Enter")
    call.until("visavis.state === 'idle'")
