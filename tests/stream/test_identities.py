"""The store of identities: what survives, what is computed once, what is erased."""

import asyncio
import io
import threading

import pytest
import torch
from PIL import Image

from models.errors import IdentityError, PhotoError
from models.system import IdentityState
from stream import identities
from stream.errors import BusyError, UnknownIdentityError
from stream.identities import IdentityStore, enroll_file
from stream.worker import ModelWorker
from tests.stream.http_fakes import TintSystem, decode, demo_dir, photo


@pytest.fixture
def worker():
    with ModelWorker() as worker:
        yield worker


def store(tmp_path, worker, system, framing="head"):
    demos = tmp_path / "demos"
    if not demos.exists():
        demo_dir(demos)
    return IdentityStore(tmp_path / "data", worker, system, framing, demo_dir=demos, decode=decode)


async def test_an_upload_survives_a_restart_without_being_enrolled_again(tmp_path, worker):
    first = await store(tmp_path, worker, TintSystem()).add(photo((9, 99, 199)), "  Ann  ")
    system = TintSystem()
    again = store(tmp_path, worker, system)
    assert [identity.id for identity in again.all()] == ["ada", "milo", first.id]
    assert again.find(first.id).name == "Ann"
    state = await again.features(first.id)
    torch.testing.assert_close(state.tensors["tint"], torch.tensor([9.0, 99.0, 199.0]) / 127.5 - 1)
    assert system.enrolled == 0


async def test_features_of_another_version_are_erased_and_computed_anew(tmp_path, worker):
    old = store(tmp_path, worker, TintSystem(identity_version=1))
    await old.features("ada")
    new_system = TintSystem(identity_version=2)
    state = await store(tmp_path, worker, new_system).features("ada")
    assert (state.version, new_system.enrolled) == (2, 1)
    assert [path.stem[-7:] for path in (tmp_path / "data/features").iterdir()] == ["-tint-2"]


async def test_features_of_a_system_with_a_longer_name_are_left_alone(tmp_path, worker):
    await store(tmp_path, worker, TintSystem(7, name="tint-base")).features("ada")
    await store(tmp_path, worker, TintSystem(1), "photo").features("ada")
    await store(tmp_path, worker, TintSystem(2)).features("ada")
    kept = sorted(path.stem.partition("-")[2] for path in (tmp_path / "data/features").iterdir())
    assert kept == ["head-tint-2", "head-tint-base-7"]


async def test_an_upload_is_enrolled_anew_from_its_stored_photo_when_the_version_moves_on(tmp_path, worker):
    uploaded = await store(tmp_path, worker, TintSystem(1)).add(photo((9, 99, 199)), "")
    state = await store(tmp_path, worker, TintSystem(2)).features(uploaded.id)
    torch.testing.assert_close(state.tensors["tint"], torch.tensor([9.0, 99.0, 199.0]) / 127.5 - 1, atol=0.02, rtol=0)


async def test_damaged_features_are_computed_anew(tmp_path, worker):
    system = TintSystem()
    await store(tmp_path, worker, system).features("ada")
    (path,) = (tmp_path / "data/features").iterdir()
    path.write_bytes(b"nonsense")
    state = await store(tmp_path, worker, system).features("ada")
    assert (state.system, system.enrolled) == ("tint", 2)


async def test_two_who_ask_at_once_cost_one_enrolment(tmp_path, worker):
    system = TintSystem()
    known = store(tmp_path, worker, system)
    one, other = await asyncio.gather(known.features("ada"), known.features("ada"))
    assert one is other
    assert system.enrolled == 1


async def test_a_refused_photo_leaves_nothing_behind(tmp_path, worker):
    known = store(tmp_path, worker, TintSystem())
    with pytest.raises(PhotoError):
        await known.add(photo((0, 0, 0)), "Nobody")
    assert [identity.id for identity in known.all()] == ["ada", "milo"]
    assert [path for path in (tmp_path / "data").rglob("*") if path.is_file()] == []


async def test_the_stored_photo_holds_none_of_the_file_s_metadata(tmp_path, worker):
    from PIL import Image

    picture = Image.new("RGB", (40, 30), (200, 10, 10))
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    picture.save(tmp_path / "in.jpg", exif=exif)
    kept = await store(tmp_path, worker, TintSystem()).add((tmp_path / "in.jpg").read_bytes(), "")
    assert b"taken at home" in (tmp_path / "in.jpg").read_bytes()
    assert b"taken at home" not in kept.path.read_bytes()


async def test_the_oldest_upload_goes_when_there_are_too_many(tmp_path, worker, monkeypatch):
    monkeypatch.setattr(identities, "MAX_UPLOADS", 2)
    known = store(tmp_path, worker, TintSystem())
    added = [await known.add(photo((shade, 50, 50)), str(shade)) for shade in (60, 70, 80)]
    assert [identity.name for identity in known.all()] == ["Ada", "Milo", "80", "70"]
    with pytest.raises(UnknownIdentityError):
        known.find(added[0].id)
    kept = {path.stem[:18] for path in (tmp_path / "data/uploads").iterdir()}
    assert kept == {added[1].id, added[2].id}


async def test_the_queue_of_enrolments_is_bounded(tmp_path, worker, monkeypatch):
    monkeypatch.setattr(identities, "MAX_WAITING", 1)
    begun, go = threading.Event(), threading.Event()

    class Slow(TintSystem):
        def enroll(self, photo, framing="head"):
            begun.set()
            assert go.wait(5)
            return super().enroll(photo, framing)

    known = store(tmp_path, worker, Slow())
    first = asyncio.create_task(known.features("ada"))
    assert await asyncio.to_thread(begun.wait, 5)
    with pytest.raises(BusyError) as refused:
        await known.add(photo((1, 2, 3)), "")
    assert refused.value.retry_after_s > 0
    go.set()
    assert (await first).system == "tint"


async def test_memory_keeps_the_newest_and_disk_gives_back_the_rest(tmp_path, worker, monkeypatch):
    monkeypatch.setattr(identities, "MEMORY_BYTES", 12)  # one tint
    system = TintSystem()
    known = store(tmp_path, worker, system)
    ada = await known.features("ada")
    await known.features("milo")
    again = await known.features("ada")
    assert again is not ada
    assert torch.equal(again.tensors["tint"], ada.tensors["tint"])
    assert system.enrolled == 2


def test_saved_features_serve_instead_of_a_photo_only_to_their_own_system(tmp_path):
    path = tmp_path / "ann.safetensors"
    IdentityState("tint", 1, {"tint": torch.zeros(3)}).save(path)
    assert enroll_file(TintSystem(1), path).tensors["tint"].tolist() == [0, 0, 0]
    with pytest.raises(IdentityError, match="version 2: enrol the photo again"):
        enroll_file(TintSystem(2), path)
    path.write_bytes(b"nonsense")
    with pytest.raises(IdentityError, match="damaged"):
        enroll_file(TintSystem(1), path)


def test_saved_features_keep_their_framing_and_refuse_another(tmp_path):
    path = tmp_path / "ann.safetensors"
    TintSystem().enroll(decode(photo()), "photo").save(path)
    assert enroll_file(TintSystem(), path).framing == "photo"
    assert enroll_file(TintSystem(), path, "photo").canvas.corner == (-12, 4)
    with pytest.raises(IdentityError, match="framing photo, want framing head: enrol the photo again"):
        enroll_file(TintSystem(), path, "head")


async def test_features_of_both_framings_live_side_by_side(tmp_path, worker):
    system = TintSystem()
    for framing, size in (("head", (64, 64)), ("photo", (40, 30)), ("head", (64, 64)), ("photo", (40, 30))):
        known = store(tmp_path, worker, system, framing)
        assert (await known.features("ada")).framing == framing
        assert Image.open(io.BytesIO(await known.picture("ada"))).size == size
    assert system.enrolled == 2


async def test_many_may_ask_for_the_same_picture_at_once(tmp_path, worker):
    faces = store(tmp_path, worker, TintSystem(1))
    milo = faces.all()[0]
    await faces.features(milo.id)
    pictures = await asyncio.gather(*(faces.picture(milo.id) for _ in range(8)))
    assert len(set(pictures)) == 1
    assert pictures[0].startswith(b"\xff\xd8")
