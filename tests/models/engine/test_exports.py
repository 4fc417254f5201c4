"""Kept exports: used while they are whole and of this version, else made anew."""

import logging

import pytest
import torch
from torch import nn

from models.engine import exports

openvino = pytest.importorskip("openvino")


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Linear(3, 2).eval()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "visavis" / "openvino"


def answer(network, sound=(1.0, 2.0, 3.0), sources=()):
    core, example = openvino.Core(), torch.tensor([sound])
    single = {"INFERENCE_PRECISION_HINT": "f32"}  # else bfloat16 where the processor has it
    model = core.compile_model(exports.exported("toy", network, (example,), core, sources), "CPU", single)
    return torch.from_numpy(model(example.numpy())[0].copy())


def wanted(network, sound=(1.0, 2.0, 3.0)):
    with torch.no_grad():
        return network(torch.tensor([sound]))


def test_a_kept_export_is_read_and_answers_as_the_network(network, folder, monkeypatch):
    torch.testing.assert_close(answer(network), wanted(network))
    monkeypatch.setattr(exports, "_export", None)  # it would be called
    torch.testing.assert_close(answer(network), wanted(network))


@pytest.mark.parametrize("suffix", [".bin", ".xml", ".sha256"])
def test_a_damaged_export_is_told_and_made_anew(network, folder, caplog, suffix):
    answer(network)
    (kept,) = folder.glob(f"*{suffix}")
    kept.write_bytes(kept.read_bytes()[:-3] + b"???")
    torch.testing.assert_close(answer(network), wanted(network))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "is damaged: exporting anew" in caplog.text
    caplog.clear()
    answer(network)
    assert caplog.text == ""  # the new one is whole


def test_other_weights_are_another_version_and_leave_the_old_one_alone(network, folder, caplog):
    answer(network)
    (old,) = folder.glob("*.xml")
    with torch.no_grad():
        network.bias.add_(1.0)
    with caplog.at_level(logging.INFO):
        torch.testing.assert_close(answer(network), wanted(network))
    assert "the kept exports of toy are of other versions" in caplog.text
    assert len(list(folder.glob("*.xml"))) == 2
    assert old.exists()


def test_other_sources_are_another_version(network, folder, tmp_path):
    for number, code in enumerate(("x = 1", "x = 1", "x = 2")):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "net.py").write_text(code)
    answer(network)
    for number, kept in enumerate((2, 2, 3)):
        answer(network, sources=[tmp_path / str(number)])
        assert len(list(folder.glob("*.xml"))) == kept


def test_where_nothing_can_be_kept_the_network_runs_all_the_same(network, tmp_path, monkeypatch, caplog):
    (tmp_path / "taken").write_text("a file, not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "taken"))
    torch.testing.assert_close(answer(network), wanted(network))
    assert "cannot keep the exported model, the next start will be slow" in caplog.text
