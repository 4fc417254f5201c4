"""Several callers, and what goes wrong with them."""

import contextlib
import time

from playwright.sync_api import Error

from stream.probe_browser import FLAGS, find_chromium, page_script
from stream.probe_sound import syllable_clips

DENY_MICROPHONE = """
navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("denied", "NotAllowedError"));
"""


def live_sessions(server):
    lines = server.get("/metrics").splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("visavis_sessions "))


def until_sessions(server, count, within_s=15):
    deadline = time.monotonic() + within_s
    while live_sessions(server) != count:
        assert time.monotonic() < deadline, f"{live_sessions(server)} sessions, want {count}"
        time.sleep(0.1)


def test_a_dropped_session_is_opened_anew(new_call, server):
    call = new_call(autostart=1, idle=0).until_live()
    first = call.hook("hello.session")
    server.delete(f"/v1/sessions/{first}")
    call.until(f"visavis.state === 'live' && visavis.hello && visavis.hello.session !== {first!r}")
    call.wait_frames(10)
    assert call.hook("connections") == 2


def test_two_callers_speak_apart_and_a_third_waits_for_a_place(new_call, server):
    until_sessions(server, 0)
    speaks, listens = (new_call(autostart=1, idle=0).until_live() for _ in range(2))
    assert speaks.hook("hello.session") != listens.hook("hello.session")
    speaks.page.evaluate("visavisProbe.speak()")
    speaks.until("visavis.server_onsets.length >= 2")
    listens.wait_frames(10)
    assert listens.hook("server_onsets") == [], "one caller is heard in another's session"

    third = new_call(autostart=1, idle=0).until("visavis.state === 'retrying' && visavis.error")
    assert third.hook("error.reason") == "busy"
    assert third.page.locator("#state").inner_text()
    speaks.close()
    until_sessions(server, 1)
    third.page.locator("#retry").click()
    third.until_live()


def test_a_browser_that_crashes_leaves_the_others_alone(new_call, browser, server):
    until_sessions(server, 0)
    stays = new_call(autostart=1, idle=0).until_live()
    doomed = browser.browser_type.launch(executable_path=find_chromium(), args=list(FLAGS))
    page = doomed.new_page()
    page.add_init_script(page_script(syllable_clips(1), [1.0]))
    page.goto(f"{server.url}/?autostart=1")
    page.wait_for_function("() => window.visavis && visavis.state === 'live'")
    until_sessions(server, 2)
    with contextlib.suppress(Error):  # nobody is left to answer
        doomed.new_browser_cdp_session().send("Browser.crash")
    stays.wait_frames(50)
    until_sessions(server, 1)


def test_a_refused_microphone_is_explained(new_call):
    call = new_call(script=DENY_MICROPHONE)
    call.page.wait_for_function("!document.querySelector('#start').disabled")
    call.page.locator("#start").click()
    call.until("visavis.state === 'failed'")
    assert "microphone" in call.hook("error.text").lower()
    assert "NotAllowedError" not in call.hook("error.text")
