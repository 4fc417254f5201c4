"""The HTTP face without sessions: readiness, identities, errors, CORS, the page."""

import asyncio
import io
import threading

import numpy as np
import pytest
from PIL import Image

from models.errors import ModelError
from stream.app import MAX_JSON_BYTES, MAX_PHOTO_BYTES, MULTIPART_BYTES
from stream.config import parse_ice_server
from stream.targets import obeyed
from tests.stream.http_fakes import WITHOUT_A_FACE, TintSystem, application, photo, serving


class SlowSystem(TintSystem):
    """Its first identity waits until it is let go."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()

    def enroll(self, photo, framing="head"):
        assert self.go.wait(5)
        return super().enroll(photo, framing)


async def upload(client, data, name="me.png"):
    return await client.post("/v1/identities", files={"photo": (name, data, "image/png")})


async def test_not_ready_until_the_system_is_warm_but_alive(tmp_path):
    system = SlowSystem()
    app = application(tmp_path, system)
    async with serving(app, wait=False) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        waiting = await client.get("/readyz")
        assert (waiting.status_code, waiting.json()["error"]["code"]) == (503, "not_ready")
        refused = await client.get("/v1/identities")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
        system.go.set()
        await app.state.service.loaded()
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_a_system_that_cannot_be_loaded_is_told_by_readyz(tmp_path):
    class Broken(TintSystem):
        def init_state(self, batch):
            raise ModelError("weights are gone")

    async with serving(application(tmp_path, Broken())) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["error"] == {
            "code": "failed",
            "message": "the system could not be loaded: weights are gone",
        }


async def test_the_demo_identities_are_listed_with_pictures_in_the_frame(tmp_path):
    async with serving(application(tmp_path)) as client:
        listed = (await client.get("/v1/identities")).json()["identities"]
        assert listed == [
            {"id": "ada", "name": "Ada", "demo": True, "photo": "/v1/identities/ada/photo"},
            {"id": "milo", "name": "Milo", "demo": True, "photo": "/v1/identities/milo/photo"},
        ]
        picture = await client.get(listed[1]["photo"])
        assert picture.headers["content-type"] == "image/jpeg"
        pixels = np.asarray(Image.open(io.BytesIO(picture.content)))
        assert pixels.shape == (64, 64, 3)
        np.testing.assert_allclose(pixels.mean((0, 1)), (90, 60, 40), atol=3)


async def test_an_uploaded_photo_becomes_an_identity_and_the_same_photo_the_same_one(tmp_path):
    system = TintSystem()
    async with serving(application(tmp_path, system)) as client:
        first = await upload(client, photo((10, 200, 30)))
        again = await upload(client, photo((10, 200, 30)))
        assert first.status_code == again.status_code == 201
        assert first.json()["id"] == again.json()["id"]
        assert (first.json()["name"], first.json()["demo"]) == ("me", False)
        listed = (await client.get("/v1/identities")).json()["identities"]
        assert [entry["id"] for entry in listed] == ["ada", "milo", first.json()["id"]]
        picture = await client.get(first.json()["photo"])
        pixels = np.asarray(Image.open(io.BytesIO(picture.content)))
        np.testing.assert_allclose(pixels.mean((0, 1)), (10, 200, 30), atol=4)


async def test_a_photo_without_a_face_is_refused_with_advice(tmp_path):
    async with serving(application(tmp_path)) as client:
        refused = await upload(client, photo((0, 0, 0)))
        assert refused.status_code == 422
        assert refused.json() == {"error": {"code": "no_face", "message": WITHOUT_A_FACE}}
        metrics = (await client.get("/metrics")).text
        assert 'visavis_enrolments_total{outcome="no_face"} 1.0' in metrics


@pytest.mark.parametrize("excess_bytes", [MULTIPART_BYTES, 5_000_000])
async def test_an_oversize_upload_is_refused_before_it_is_kept(tmp_path, excess_bytes):
    async with serving(application(tmp_path)) as client:
        refused = await upload(client, bytes(MAX_PHOTO_BYTES + excess_bytes))
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")
        assert "10.0 MB" in refused.json()["error"]["message"]


async def test_an_upload_that_never_ends_is_refused_once_it_is_too_big(tmp_path):
    sent_bytes = 0

    async def endless():
        nonlocal sent_bytes
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a.png"\r\n\r\n'
        while sent_bytes < 2 * MAX_PHOTO_BYTES:
            sent_bytes += 1_000_000
            yield bytes(1_000_000)

    async with serving(application(tmp_path)) as client:
        kind = {"content-type": "multipart/form-data; boundary=x"}
        refused = await client.post("/v1/identities", content=endless(), headers=kind)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")


async def test_json_bodies_are_limited_too(tmp_path):
    async with serving(application(tmp_path)) as client:
        refused = await client.post("/v1/sessions", json={"sdp": "v" * MAX_JSON_BYTES, "type": "offer"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_large")


def offer(**fields):
    return {"json": {"sdp": "v=0", "type": "offer", **fields}}


def body(kind, content):
    return {"content": content, "headers": {"content-type": kind}}


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status", "code"),
    [
        ("GET", "/v1/nothing", {}, 404, "not_found"),
        ("GET", "/nothing", {}, 404, "not_found"),
        ("GET", "/v1/sessions", {}, 405, "method_not_allowed"),
        ("DELETE", "/v1/identities", {}, 405, "method_not_allowed"),
        ("POST", "/v1/sessions", body("application/json", b"{"), 400, "bad_request"),
        ("POST", "/v1/sessions", {"json": {"type": "offer"}}, 422, "bad_request"),
        ("POST", "/v1/sessions", offer(type="answer"), 422, "bad_request"),
        ("POST", "/v1/sessions", offer(options={"lookahead_ms": 1001}), 422, "bad_request"),
        ("POST", "/v1/sessions", offer(identity="nobody"), 404, "unknown_identity"),
        ("POST", "/v1/identities", {"files": {"picture": b"x"}}, 422, "bad_request"),
        ("POST", "/v1/identities", body("multipart/form-data", b"x"), 400, "bad_request"),
        ("GET", "/v1/identities/nobody/photo", {}, 404, "unknown_identity"),
        ("GET", "/v1/sessions/nothing", {}, 404, "unknown_session"),
        ("DELETE", "/v1/sessions/nothing", {}, 404, "unknown_session"),
    ],
)
async def test_every_error_is_json_with_a_code_and_a_message(tmp_path, method, path, arguments, status, code):
    async with serving(application(tmp_path)) as client:
        answer = await client.request(method, path, **arguments)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        assert len(answer.json()["error"]["message"]) > 10


async def test_a_validation_error_names_the_field_and_never_repeats_the_input(tmp_path):
    async with serving(application(tmp_path)) as client:
        answer = await client.post("/v1/sessions", json={"sdp": ["a secret"], "type": "offer"})
        assert "body.sdp" in answer.json()["error"]["message"]
        assert "secret" not in answer.text


async def test_a_mistake_of_ours_is_a_500_in_json_and_the_server_goes_on(tmp_path):
    class Faulty(TintSystem):
        def enroll(self, photo, framing="head"):
            if photo[0, 0, 0] == 1:
                raise RuntimeError("internal detail")
            return super().enroll(photo, framing)

    async with serving(application(tmp_path, Faulty())) as client:
        broken = await upload(client, photo((1, 1, 1)))
        assert (broken.status_code, broken.json()["error"]["code"]) == (500, "internal")
        assert "detail" not in broken.text
        assert (await upload(client, photo((2, 1, 1)))).status_code == 201


async def test_other_sites_may_use_the_server_only_when_they_are_on_the_list(tmp_path):
    app = application(tmp_path, allow_origins=("https://friend.example",))
    async with serving(app) as client:
        ask = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
        friend = await client.options("/v1/sessions", headers={"origin": "https://friend.example", **ask})
        assert friend.headers["access-control-allow-origin"] == "https://friend.example"
        stranger = await client.options("/v1/sessions", headers={"origin": "https://stranger.example", **ask})
        assert "access-control-allow-origin" not in stranger.headers
        error = await client.get("/v1/sessions/nothing", headers={"origin": "https://friend.example"})
        assert error.headers["access-control-allow-origin"] == "https://friend.example"


async def test_no_site_is_on_the_list_by_default(tmp_path):
    async with serving(application(tmp_path)) as client:
        answer = await client.get("/healthz", headers={"origin": "https://stranger.example"})
        assert "access-control-allow-origin" not in answer.headers


async def test_the_page_learns_the_ice_servers_and_the_system(tmp_path):
    servers = (parse_ice_server("stun:stun.example.org"), parse_ice_server("turn:turn.example.org:3478,ann,a,b"))
    async with serving(application(tmp_path, ice_servers=servers, lookahead_ms=80)) as client:
        assert (await client.get("/v1/config")).json() == {
            "ice_servers": [
                {"urls": ["stun:stun.example.org"]},
                {"urls": ["turn:turn.example.org:3478"], "username": "ann", "credential": "a,b"},
            ],
            "lookahead_ms": 80,
            "max_photo_bytes": 10_000_000,
        }
        systems = (await client.get("/v1/systems")).json()["systems"]
        assert systems[0] == {
            "name": "tint",
            "active": True,
            "front_end": "log_mel80",
            "lookahead_ms": [0, 40, 80],
            "frame_px": 64,
            "controls": sorted(obeyed(TintSystem.controls)),
        }
        named = {system["name"]: system for system in systems[1:]}
        assert not named["visavis-base"]["active"]
        assert (named["visavis-base"]["frame_px"], named["tavce"]["front_end"]) == (512, "wav2lip_mel80")


async def test_the_page_is_served_and_asked_for_anew(tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    (page / "index.html").write_text("<title>visavis</title>")
    (page / "page.js").write_text("export {};")
    async with serving(application(tmp_path, page_dir=page)) as client:
        index = await client.get("/")
        assert index.text == "<title>visavis</title>"
        assert index.headers["cache-control"] == "no-cache"
        assert (await client.get("/page.js")).headers["content-type"].startswith("text/javascript")
        unchanged = await client.get(
            "/page.js", headers={"if-none-match": (await client.get("/page.js")).headers["etag"]}
        )
        assert unchanged.status_code == 304
        assert (await client.get("/../pyproject.toml")).status_code == 404
        assert (await client.get("/v1/sessions")).status_code == 405


async def test_metrics_name_every_stage_and_outcome_from_the_start(tmp_path):
    async with serving(application(tmp_path)) as client:
        text = (await client.get("/metrics")).text
        assert 'visavis_stage_seconds_count{stage="render"} 0.0' in text
        assert 'visavis_frames_total{outcome="dropped"} 0.0' in text
        assert "visavis_sessions 0.0" in text
        assert "process_resident_memory_bytes" in text


async def test_enrolling_does_not_keep_the_loop_from_answering(tmp_path):
    system = SlowSystem()
    system.go.set()
    async with serving(application(tmp_path, system)) as client:
        system.go.clear()
        slow = asyncio.create_task(upload(client, photo((5, 5, 50))))
        for _ in range(5):
            assert (await client.get("/readyz")).status_code == 200
        assert not slow.done()
        system.go.set()
        assert (await slow).status_code == 201
