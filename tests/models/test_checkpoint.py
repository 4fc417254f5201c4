"""Published checkpoints: Python 2, old storages, code inside, half a file, foreign names."""

import os
import pickle
import struct
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import spectral_norm

from models.checkpoint import Report, fold_spectral_norm, load_published, read_checkpoint, tensors_in
from models.errors import CheckpointError


class Pickle2:
    """Writes, opcode by opcode, what Python 2 and PyTorch 0.2 did for {name: FloatTensor}, on a GPU."""

    MAGIC = 0x1950A86A20F9469CFC6C

    def __init__(self, tensors):
        self.tensors = tensors

    def string(self, text):
        data = text.encode("latin-1")
        return b"U" + bytes([len(data)]) + data

    def number(self, value):
        return b"J" + struct.pack("<i", value)

    def tensor(self, key, shape):
        strides = [int(torch.tensor(shape[i + 1 :]).prod()) for i in range(len(shape))]
        size = 1
        for n in shape:
            size *= n
        storage = (
            b"("
            + self.string("storage")
            + b"ctorch.cuda\nFloatStorage\n"
            + self.string(key)
            + self.string("cuda:0")
            + self.number(size)
            + b"N"
            + b"tQ"  # persistent id
        )
        dims, steps = (b"(" + b"".join(map(self.number, values)) + b"t" for values in (shape, strides))
        return b"ctorch._utils\n_rebuild_tensor\n(" + storage + self.number(0) + dims + steps + b"tR"

    def dump(self):
        items = b"".join(
            b"]" + b"(" + self.string(name) + self.tensor(str(i), tuple(t.shape)) + b"e"
            for i, (name, t) in enumerate(self.tensors.items())
        )
        body = b"\x80\x02ccollections\nOrderedDict\n](" + items + b"e\x85R."
        head = (self.MAGIC, 1001, {"protocol_version": 1001, "little_endian": True})
        out = b"".join(pickle.dumps(part, protocol=2) for part in head) + body
        out += pickle.dumps([str(i) for i in range(len(self.tensors))], protocol=2)
        for tensor in self.tensors.values():
            out += struct.pack("<q", tensor.numel()) + tensor.numpy().tobytes()
        return out


def test_a_python_2_file_of_pytorch_0_2_is_read(tmp_path):
    tensors = {"fc.weight": torch.arange(6.0).reshape(2, 3), "na\xefve": torch.tensor([7.0])}
    path = tmp_path / "old.pth.tar"
    path.write_bytes(Pickle2(tensors).dump())
    read = read_checkpoint(path)
    assert list(read) == list(tensors)  # a latin-1 name too
    for name, tensor in tensors.items():
        torch.testing.assert_close(read[name], tensor, atol=0, rtol=0)


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


def test_a_file_that_holds_code_is_refused_and_does_not_run(tmp_path):
    target = tmp_path / "ran"
    for legacy in (True, False):
        path = tmp_path / f"bomb{legacy}.pth"
        torch.save({"weight": Bomb(str(target))}, path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(CheckpointError, match=r"a call of posix.mkdir in it, want one with nothing but tensors"):
            read_checkpoint(path)
        assert not target.exists()


@pytest.mark.parametrize("suffix", [".pth", ".tar", ".safetensors"])
def test_half_a_file_is_refused(tmp_path, suffix):
    path = tmp_path / f"half{suffix}"
    tensors = {"weight": torch.rand(300, 300)}
    if suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=suffix == ".pth")
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="complete"):
        read_checkpoint(path)


def test_something_else_than_a_dict_is_refused(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="a list"):
        read_checkpoint(tmp_path / "list.pth")
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "nothing.pth")


def test_tensors_are_found_at_any_depth_without_the_parallel_prefix():
    one, two = torch.tensor(1.0), torch.tensor(2.0)
    saved = {"Decoder": OrderedDict({"module.fc.weight": one}), "epoch": 3, "optimizer": {"state": {7: {"step": two}}}}
    assert tensors_in(saved) == {"Decoder.fc.weight": one, "optimizer.state.7.step": two}


@torch.no_grad()
def test_folded_spectral_norm_computes_the_same():
    torch.manual_seed(0)
    layer = spectral_norm(nn.Conv2d(3, 4, 3))
    for _ in range(3):
        layer(torch.rand(1, 3, 8, 8))  # moves u and v
    layer.eval()
    saved = {f"net.conv.{key}": tensor for key, tensor in layer.state_dict().items()}
    folded = fold_spectral_norm(saved)
    assert set(folded) == {"net.conv.weight", "net.conv.bias"}
    image = torch.rand(1, 3, 8, 8)
    got = torch.nn.functional.conv2d(image, folded["net.conv.weight"], folded["net.conv.bias"])
    torch.testing.assert_close(got, layer(image))


def test_loading_says_what_was_loaded_ignored_and_missing():
    ours = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    tensors = {
        "net.fc.weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        "net.bn.running_var": torch.tensor([5.0, 6.0]),
        "head.weight": torch.zeros(1),
    }
    report = load_published(ours, tensors, {"net.fc": "0", "net.bn": "1"})
    assert ours[0].weight.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert ours[1].running_var.tolist() == [5.0, 6.0]
    assert report == Report(
        ("net.fc.weight", "net.bn.running_var"), ("head.weight",), ("0.bias", "1.weight", "1.bias", "1.running_mean")
    )
    assert str(report) == "2 tensors loaded, 1 ignored (head), 4 missing (0, 1)"


def test_the_longest_name_counts():
    ours = nn.ModuleDict({"a": nn.Linear(1, 1, bias=False), "b": nn.Linear(1, 1, bias=False)})
    load_published(ours, {"m.x.weight": torch.ones(1, 1) * 8}, {"m.x": "a", "m": "b", "m.x.weight": "b.weight"})
    assert ours["b"].weight.item() == 8


def test_a_tensor_of_another_shape_is_refused_and_changes_nothing():
    ours = nn.Linear(2, 3)
    before = ours.bias.clone()
    with pytest.raises(CheckpointError, match=r"weight of shape \(9, 2\), want \(3, 2\)"):
        load_published(
            ours, {"bias": torch.zeros(3), "weight": torch.zeros(9, 2)}, {"bias": "bias", "weight": "weight"}
        )
    assert torch.equal(ours.bias, before)
