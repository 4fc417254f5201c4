"""The data channel of one session: what is told goes out packed, what comes in is parsed. Formats: `stream.control`."""

from collections.abc import Callable, Mapping
from typing import Final

from aiortc import RTCDataChannel

from stream.control import LABEL, Message, pack, parse
from stream.errors import MessageError
from stream.types import JSON

MAX_BUFFERED_BYTES: Final = 1 << 20


class ControlLine:
    """Speaks with the client once it has opened the channel."""

    def __init__(self, hello: Callable[[], Mapping[str, JSON]], obey: Callable[[Message], None]) -> None:
        """Wait for the channel.

        Args:
            hello: The first message.
            obey: Called with each that comes in; a `MessageError` that it raises is told to the client.
        """
        self._hello, self._obey = hello, obey
        self._channel: RTCDataChannel | None = None

    @property
    def flows(self) -> bool:
        """Whether the client takes in what it is told."""
        return self._channel is not None and self._channel.bufferedAmount < MAX_BUFFERED_BYTES

    def open(self, channel: RTCDataChannel) -> None:
        """Use this channel, if it is the right one and the first."""
        if channel.label != LABEL or self._channel is not None:
            return
        self._channel = channel
        channel.on("message", self._take)
        self.tell(self._hello())

    def tell(self, message: Mapping[str, JSON]) -> None:
        """Send a message, if the channel is open."""
        if self._channel is not None and self._channel.readyState == "open":
            self._channel.send(pack(message))

    def _take(self, data: object) -> None:
        try:
            self._obey(parse(data))
        except MessageError as error:
            self.tell({"t": "error", "code": "bad_message", "message": str(error)})
