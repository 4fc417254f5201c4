"""One peer, from its SDP offer to its last packet; the only file that creates tasks."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from models.system import IdentityState, System
from stream.types import JSON, FrameReport, IceServer, SessionOptions
from stream.worker import ModelWorker

__all__ = ["Session", "SessionOptions"]

MAX_IDLE_S: Final = 60.0


class Session:
    """A caller's voice in, a face and the same voice out.

    Attributes:
        id: Random, hard to guess.
        answer_sdp: To be given to the browser.
        lookahead_ms: The look-ahead that the session really uses.
        identity_id: Whose face is drawn.
        state: In words: "connecting", "live", "closed: <reason>".
        on_frame: Called on the event loop for every frame that was sent or dropped.
    """

    id: str
    answer_sdp: str
    lookahead_ms: int
    identity_id: str
    state: str
    on_frame: Callable[[FrameReport], None] | None

    @classmethod
    async def open(
        cls,
        offer_sdp: str,
        offer_type: str,
        identity_id: str,
        identity: IdentityState,
        options: SessionOptions,
        worker: ModelWorker,
        system: System,
        resolve_identity: Callable[[str], Awaitable[IdentityState]],
        ice_servers: Sequence[IceServer] = (),
        max_idle_s: float = MAX_IDLE_S,
    ) -> "Session":
        """Answer an offer. The session lives once `run` is started.

        Args:
            offer_sdp: The browser's offer, all candidates gathered.
            offer_type: Must be "offer".
            identity_id: Name of the first face.
            identity: Its features.
            options: What the client chose.
            worker: The model thread, open.
            system: Draws the face.
            resolve_identity: Gives the features for an id when the client swaps faces; its exceptions are told to
                the client and change nothing.
            ice_servers: STUN and TURN; none by default.
            max_idle_s: The session closes itself after so long without an RTP packet.

        Raises:
            OfferError: If the offer is not SDP, has no audio to receive, wants no video, or has no common codec.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Serve the peer until it goes, falls silent for `max_idle_s` or `close` is called. Call it once."""
        raise NotImplementedError

    async def close(self, reason: str) -> None:
        """End the session; `run` returns soon after. May be called twice, and before `run`."""
        raise NotImplementedError

    def snapshot(self) -> dict[str, JSON]:
        """What `GET /v1/sessions/{id}` shows.

        Keys: id, state, system, identity, lookahead_ms, pts_ms, fps, sent, late, dropped, stages {name: {p50, p95,
        p99}} in ms, audio {received, lost, late, concealed, delay_ms}, voice_delay_ms.
        """
        raise NotImplementedError
