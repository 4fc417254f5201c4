"""The command line: what it takes, what it refuses, and its exit codes."""

import importlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch

from models.registry import load_system
from stream import cli, serve, train
from stream.config import ServeConfig, TrainConfig, parse_ice_server
from stream.describe import describe
from stream.errors import AddressError
from stream.processes import supervisor
from stream.types import IceServer

ROOT = Path(__file__).parent.parent.parent


def parsed(monkeypatch, *words):
    """The config that `visavis serve WORDS` would serve with."""
    taken = []
    monkeypatch.setattr(serve, "serve", taken.append)
    assert cli.main(["serve", *words]) == 0
    return taken[0]


def test_serve_without_options_is_the_default_config(monkeypatch):
    assert parsed(monkeypatch) == ServeConfig()


def test_gateways_are_supervised(monkeypatch):
    taken = []
    monkeypatch.setattr(supervisor, "supervise", taken.append)
    assert cli.main(["serve", "--gateways", "3"]) == 0
    assert taken == [ServeConfig(gateways=3)]


def test_every_option_of_serve_reaches_the_config(monkeypatch, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.touch()
    key.touch()
    words = ["--host", "0.0.0.0", "--port", "9", "--system", "x", "--lookahead-ms", "120"]
    words += ["--backend", "eager", "--precision", "fp32", "--max-sessions", "2", "--idle-timeout-s", "7.5"]
    words += ["--allow-origin", "https://a.example", "--allow-origin", "http://b.example:81"]
    words += ["--ice-server", "stun:s.example", "--ice-server", "turn:t.example:1?transport=tcp,ann,a,b"]
    words += ["--weights", str(cert), "--data-dir", str(tmp_path), "--tls-cert", str(cert), "--tls-key", str(key)]
    assert parsed(monkeypatch, *words) == ServeConfig(
        host="0.0.0.0",
        port=9,
        system="x",
        backend="eager",
        precision="fp32",
        weights=cert,
        lookahead_ms=120,
        max_sessions=2,
        idle_timeout_s=7.5,
        data_dir=tmp_path,
        ice_servers=(IceServer(("stun:s.example",)), IceServer(("turn:t.example:1?transport=tcp",), "ann", "a,b")),
        allow_origins=("https://a.example", "http://b.example:81"),
        tls_cert=cert,
        tls_key=key,
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["serve", "--port", "70000"], "--port must be 0 to 65535, got 70000"),
        (["serve", "--lookahead-ms", "1001"], "--lookahead-ms must be 0 to 1000"),
        (["serve", "--gateways", "-1"], "--gateways must be 0 to 64, got -1"),
        (["serve", "--max-sessions", "0"], "--max-sessions must be at least 1"),
        (["serve", "--idle-timeout-s", "nan"], "--idle-timeout-s must be at least 1"),
        (["serve", "--allow-origin", "example.org"], "--allow-origin must be like https://example.org"),
        (["serve", "--ice-server", "http://x"], "--ice-server must be stun:HOST"),
        (["serve", "--ice-server", "turn:t.example"], "needs both a user and a credential"),
        (["serve", "--ice-server", "stun:s.example,ann"], "needs both a user and a credential"),
        (["serve", "--tls-cert", __file__], "--tls-cert and --tls-key go together"),
        (["serve", "--tls-cert", "missing", "--tls-key", __file__], "--tls-cert must be a file that exists"),
        (["serve", "--weights", "missing"], "--weights must be a file that exists"),
        (["train", "--data", ".", "--out", "x", "--system", "davs"], "give either --minutes or --steps"),
        (["train", "--data", ".", "--out", "x", "--system", "davs", "--steps", "0"], "--steps must be above 0"),
        (["train", "--data", ".", "--out", "x", "--system", "davs", "--quick"], "for --system visavis alone"),
        (
            ["train", "--data", ".", "--out", "x", "--system", "equiav", "--steps", "9", "--size", "published"],
            "has one size",
        ),
        (
            ["train", "--data", ".", "--out", "x", "--system", "fctfg", "--steps", "9", "--vgg", "missing"],
            "--vgg must be a file that exists",
        ),
        (
            ["train", "--data", ".", "--out", "x", "--system", "pcavs", "--steps", "9", "--squeezenet", "missing"],
            "--squeezenet must be a file that exists",
        ),
        (["corpus", "videos", "--data", ".", "--out", "x", "--seconds", "9"], "--seconds must lie from 1 to 5"),
        (["corpus", "videos", "--data", ".", "--out", "x", "--limit", "0"], "--limit must be at least 1"),
        (["corpus", "videos", "--data", ".", "--out", "x", "--layout", "y"], "invalid choice: 'y'"),
        (["serve", "--port", "many"], "argument --port: invalid int value"),
        (["render", "missing.jpg", __file__, "--out", "a.mp4"], "the photo must be a file that exists"),
        (["render", __file__, "missing.wav", "--out", "a.mp4"], "the sound must be a file that exists"),
        (["render", __file__, __file__, "--out", "a.avi"], "--out must end in .mp4"),
        (["render", __file__, __file__], "the following arguments are required: --out"),
        (
            ["render", __file__, __file__, "--out", "a.mp4", "--emotion", "hungry"],
            "--emotion must be one of neutral, happy",
        ),
        (["render", __file__, __file__, "--out", "a.mp4", "--emotion", "sad=2"], "=0 to =1, got 'sad=2'"),
        (["render", __file__, __file__, "--out", "a.mp4", "--speech-intensity", "3"], "must be 0 to 2, got 3.0"),
        (["enroll", __file__, "--out", "a.bin"], "--out must end in .safetensors"),
        (["train", "--data", "missing", "--out", "a"], "--data must be a folder that exists"),
        (["train", "--data", ".", "--out", "a", "--stage", "x"], "--stage: invalid choice: 'x'"),
        (["corpus", "portraits", "--data", "missing", "--out", "a.png"], "--data must be a folder that exists"),
        (["corpus", "pairs", "--data", ".", "--out", "a.txt"], "--out must end in .png or .jpg"),
        (["corpus", "pairs", "--data", ".", "--out", "missing/a.png"], "--out must lie in a folder that exists"),
        (["corpus", "grid", "--data", ".", "--out", "a.png", "--count", "0"], "--count and --states at least 1"),
        (["corpus", "cats", "--data", ".", "--out", "a.png"], "argument PART: invalid choice: 'cats'"),
        (["dance"], "invalid choice: 'dance'"),
        ([], "the following arguments are required: COMMAND"),
    ],
)
def test_wrong_usage_is_told_in_a_line_and_ends_with_2(words, told, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(words)
    assert left.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("command", [None, *cli.COMMANDS])
def test_help_explains_every_command_and_option(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([*([command] if command else []), "--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert all(name in text for name in ([] if command else cli.COMMANDS))
    _, parser = cli.build_parser(command)
    assert parser.description
    assert [action.dest for action in parser._actions if not action.help and action.dest != "command"] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["enroll", __file__, "--out", "a.safetensors", "--system", "nobody"], "got system 'nobody', want one of: "),
        (["systems", "--json"], None),
    ],
)
def test_an_expected_failure_is_one_line_and_ends_with_1(words, told, capsys, monkeypatch):
    if told is None:

        def refuse(name):
            raise OSError("disk is gone")

        monkeypatch.setattr("models.registry.facts", refuse)
        told = "disk is gone"
    assert cli.main(words) == 1
    error = capsys.readouterr().err
    assert error.startswith("visavis: ")
    assert told in error
    assert error.count("\n") == 1


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken(config):
        raise KeyError("mistake")

    monkeypatch.setattr(serve, "serve", broken)
    with pytest.raises(KeyError):
        cli.main(["serve"])


def test_a_port_that_is_taken_is_told_before_anything_is_loaded(tmp_path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        config = ServeConfig(port=taken.getsockname()[1], data_dir=tmp_path)
        with pytest.raises(AddressError, match="choose another --host or --port"):
            serve.serve(config)


def test_an_ice_server_without_a_port_is_fine():
    assert parse_ice_server("stun:s.example") == IceServer(("stun:s.example",), None, None)


@pytest.fixture
def ran(monkeypatch):
    """The commands that training has run, by module, on a machine where nothing is missing and all goes well."""
    commands = []

    def run(command, *, check):
        commands.append(command[2].removeprefix("models.training."))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(train, "missing_parts", lambda stage, data: [])
    monkeypatch.setattr(train.subprocess, "run", run)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    return commands


def test_train_runs_all_stages_in_order(tmp_path, ran, capsys):
    assert cli.main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 0
    assert ran[:4] == ["build_rig", "pairs", "grid_frames", "train_landmarks"]
    assert ran[4:7] == ["train_parts", "train_covers", "speech_corpus"]
    assert ran[7:] == ["train_speech", "train_renderer", "train_renderer"]
    assert "stage 4 of 4, renderer" in capsys.readouterr().err


def test_train_stops_at_the_first_failure(tmp_path, ran, monkeypatch):
    def run(command, *, check):
        ran.append(command[2].removeprefix("models.training."))
        return subprocess.CompletedProcess(command, 3 if ran[-1] == "train_landmarks" else 0)

    monkeypatch.setattr(train.subprocess, "run", run)
    assert train.train(TrainConfig(tmp_path, tmp_path / "out")) == 1
    assert ran == ["build_rig", "pairs", "grid_frames", "train_landmarks"]


def test_a_quick_run_and_a_full_one_do_not_mix(tmp_path, ran, capsys):
    words = ["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--quick"]) == 0
    assert cli.main([*words, "--quick"]) == 0  # a rerun resumes
    before = len(ran)
    assert cli.main(words) == 1
    assert "holds a quick training run, and a full one was asked for" in capsys.readouterr().err
    assert len(ran) == before


def test_train_tells_all_that_is_missing_before_it_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train.shutil, "which", lambda name: None)
    assert cli.main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().err
    assert told.count("the program ffmpeg") == 1  # though two stages need it
    assert f"the folder {tmp_path / 'ict-facekit'}" in told
    assert f"the folder {tmp_path / 'speech-ljs'}" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("stage", train.STAGES)
def test_every_training_command_is_one_that_its_module_takes(stage, quick, tmp_path):
    pairs = tmp_path / "out" / "pairs"
    pairs.mkdir(parents=True)
    (pairs / "pairs-000.npz").touch()  # as the stage before leaves it
    for module, *options in train.commands(stage, tmp_path, tmp_path / "out", quick=quick):
        if parse := getattr(importlib.import_module(module), "parse", None):
            parse(options)  # exits if it does not take them
            continue
        source = (ROOT / Path(*module.split("."))).with_suffix(".py").read_text()
        for option in options:
            if option.startswith("--"):
                assert f'"{option}"' in source, f"{module} has no {option}"


@pytest.mark.parametrize(("gpus", "begin"), [(1, []), (2, ["torch.distributed.run", "--standalone"])])
def test_renderers_take_all_gpus(tmp_path, monkeypatch, gpus, begin):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    for command in train.commands("renderer", tmp_path, tmp_path / "out"):
        start = command.index("models.training.train_renderer")
        assert command[: min(start, 2)] == begin
        assert command[start - 1 : start] == (["-m"] if begin else [])


def test_visavis_is_not_trained_by_processes_of_torchrun(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main(["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "got 2 processes from torchrun, want one: start `visavis train` without" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_training_a_published_system_without_clips_says_how_to_make_them(tmp_path, capsys):
    words = ["train", "--system", "pcavs", "--data", str(tmp_path), "--out", str(tmp_path / "out"), "--steps", "1"]
    assert cli.main(words) == 1
    assert "make clips there by `visavis corpus videos`" in capsys.readouterr().err


def test_a_part_of_the_corpus_that_is_empty_is_told_in_a_line(tmp_path, capsys):
    words = ["corpus", "shards", "--data", str(tmp_path), "--out", str(tmp_path / "sheet.png")]
    assert cli.main(words) == 1
    assert "got nothing to show" in capsys.readouterr().err
    assert not (tmp_path / "sheet.png").exists()


def test_the_real_server_serves_and_ends_with_0_when_told_to_stop(tmp_path):
    command = [sys.executable, "-m", "stream.cli", "serve", "--port", "0", "--data-dir", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        url = next(line.split()[-1] for line in process.stderr if "listening on" in line)
        until_s = time.monotonic() + 120  # a first start exports the model
        while time.monotonic() < until_s:
            ready = httpx.get(f"{url}/readyz", timeout=60)
            if ready.status_code == 200:
                break
            assert ready.json()["error"]["code"] == "not_ready", ready.text
            time.sleep(0.1)
        assert "visavis" in httpx.get(url).text
        listed = httpx.get(f"{url}/v1/identities").json()["identities"]
        assert httpx.get(url + listed[0]["photo"]).content[:2] == b"\xff\xd8"
        huge = httpx.post(f"{url}/v1/identities", files={"photo": bytes(12_000_000)})
        assert (huge.status_code, huge.json()["error"]["code"]) == (413, "too_large")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_systems_lists_those_whose_weights_are_bundled_as_json(capsys):
    assert cli.main(["systems", "--json"]) == 0
    systems = json.loads(capsys.readouterr().out)["systems"]
    assert systems == [describe(load_system(system["name"], backend="eager")) for system in systems]
    sizes = [(system["name"], system["frame_px"]) for system in systems]
    published = [("davs", 128), ("pcavs", 128), ("fctfg", 128), ("tavce", 128)]
    assert sizes == [("visavis", 256), ("visavis-base", 512), *published]
    assert ["jawOpen" in system["controls"] for system in systems] == [True, True, False, False, False, False]
    assert ["emotion" in system["controls"] for system in systems] == [True, True, False, False, False, False]
    assert all("lipGain" in system["controls"] for system in systems)
