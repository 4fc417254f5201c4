"""One open page, as the tests see it."""

import base64
from urllib.parse import urlencode

import numpy as np

from stream.probe_browser import page_script
from stream.probe_sound import syllable_clips

GAPS_S = (1.3, 1.7, 1.5)
WAIT_MS = 30_000
READ_PICTURE = """() => {
  const find = (root) => [...root.querySelectorAll("*")].flatMap((e) =>
    e instanceof HTMLVideoElement ? [e] : e.shadowRoot ? find(e.shadowRoot) : []);
  const video = find(document).find((v) => v.videoWidth > 0);
  const canvas = new OffscreenCanvas(64, 64);
  const pencil = canvas.getContext("2d");
  pencil.drawImage(video, 0, 0, 64, 64);
  return btoa(String.fromCharCode(...pencil.getImageData(0, 0, 64, 64).data));
}"""


class Call:
    """A page in a browser context of its own, with a microphone made by Web Audio.

    Attributes:
        page: Playwright's page.
    """

    def __init__(self, browser, url, *, script, viewport, query):
        self._context = browser.new_context(viewport=viewport or {"width": 1280, "height": 900})
        self._context.set_default_timeout(WAIT_MS)
        self.page = self._context.new_page()
        self.problems = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.add_init_script(page_script(syllable_clips(6), GAPS_S) + script)
        self.page.goto(f"{url}/?{urlencode(query)}")

    def close(self):
        """Close the page, if it is open. A page error fails the test here."""
        self._context.close()
        assert self.problems == []

    def until(self, condition):
        """Wait until a JavaScript expression holds; in it `visavis` is the hook."""
        self.page.wait_for_function(f"() => Boolean(window.visavis && ({condition}))")
        return self

    def until_live(self):
        return self.until("visavis.state === 'live' && visavis.hello && visavis.frame_count > 10")

    def hook(self, name):
        """A field of `window.visavis`."""
        return self.page.evaluate(f"visavis.{name}")

    def wait_frames(self, count):
        """Wait until this many more pictures were on screen."""
        return self.until(f"visavis.frame_count >= {self.hook('frame_count') + count}")

    def picture(self):
        """What the video shows now, [64, 64, 3] int."""
        rgba = np.frombuffer(base64.b64decode(self.page.evaluate(READ_PICTURE)), np.uint8).reshape(64, 64, 4)
        return rgba[..., :3].astype(int)

    def slide(self, slider, key):
        """Move one of the page's sliders by keyboard: "End" is its maximum, "Home" its minimum."""
        self.page.locator(f"#slider-{slider}").press(key)
