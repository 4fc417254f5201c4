import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.control import AvOffset, Interrupt, Ping, SetLookahead, SwapIdentity, pack, parse
from stream.errors import MessageError
from stream.targets import ControlUpdate


@pytest.mark.parametrize(
    ("message", "meaning"),
    [
        ({"t": "controls", "values": {"headYaw": 3, "x": 0.5}}, ControlUpdate({"headYaw": 3.0, "x": 0.5})),
        ({"t": "controls", "pts_ms": 40, "values": {}}, ControlUpdate({}, 40.0)),
        ({"t": "controls", "pts_ms": None, "values": {}}, ControlUpdate({})),
        (
            {"t": "controls", "values": {"emotion": "happy", "emotionIntensity": 0.6}},
            ControlUpdate({"emotionIntensity": 0.6}, emotion="happy"),
        ),
        ({"t": "identity", "id": "ada"}, SwapIdentity("ada")),
        ({"t": "interrupt", "unknown": [1]}, Interrupt()),
        ({"t": "lookahead", "ms": 80}, SetLookahead(80.0)),
        ({"t": "av", "offset_ms": -12.5}, AvOffset(-12.5)),
        ({"t": "ping", "sent_ms": 1.5}, Ping(1.5)),
    ],
)
def test_every_message_is_understood(message, meaning):
    assert parse(msgpack.packb(message)) == meaning


@pytest.mark.parametrize(
    "data",
    [
        "text",
        b"",
        b"\xc1",
        b"\x91" * 2000,  # nested too deep
        bytes(100_000),
        msgpack.packb([1, 2]),
        msgpack.packb({}),
        msgpack.packb({"t": 7}),
        msgpack.packb({"t": "dance"}),
        msgpack.packb({"t": "controls"}),
        msgpack.packb({"t": "controls", "values": {"headYaw": "left"}}),
        msgpack.packb({"t": "controls", "values": {"headYaw": float("nan")}}),
        msgpack.packb({"t": "controls", "values": {"headYaw": True}}),
        msgpack.packb({"t": "controls", "pts_ms": "soon", "values": {}}),
        msgpack.packb({"t": "controls", "values": {"emotion": "hungry"}}),
        msgpack.packb({"t": "controls", "values": {"emotion": 1}}),
        msgpack.packb({"t": "controls", "values": {"emotion": ["happy"]}}),
        msgpack.packb({"t": "identity", "id": ""}),
        msgpack.packb({"t": "identity", "id": "x" * 201}),
        msgpack.packb({"t": "lookahead", "ms": float("inf")}),
        msgpack.packb({"t": "ping"}),
    ],
)
def test_what_has_the_wrong_type_says_what_was_wanted(data):
    with pytest.raises(MessageError, match=r"got .+, want .+"):
        parse(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_a_message_error(data):
    with contextlib.suppress(MessageError):
        assert parse(data) is not None


def test_what_is_packed_for_the_client_is_a_msgpack_map():
    assert msgpack.unpackb(pack({"t": "pong", "pts_ms": 1.5, "list": [1, None]})) == {
        "t": "pong",
        "pts_ms": 1.5,
        "list": [1, None],
    }
