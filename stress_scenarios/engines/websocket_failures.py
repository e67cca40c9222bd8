"""From what the library websockets says to a class of error, in words that do not vary from message to message.

Runs in worker processes.
"""

from websockets.exceptions import InvalidHeader, InvalidMessage, NegotiationError, PayloadTooBig
from websockets.frames import Close, CloseCode

from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, bounded_message, failure

NOT_HTTP = Failed(error=ErrorClass.PROTOCOL, message="the answer to the WebSocket handshake is not HTTP/1.1")
TEXT_IS_NONE = Failed(error=ErrorClass.PROTOCOL, message="a text message that is not UTF-8")
PINGS_ONLY = Failed(error=ErrorClass.PROTOCOL, message="the peer sends pings and does not read the answers")
NO_SUBPROTOCOL = Failed(
    error=ErrorClass.PROTOCOL, message="the server chose none of the subprotocols that it was offered"
)


def closed_with(close: Close) -> Failed:
    """A close by the peer. The code tells kinds of ends apart, so its digits stay; the peer's reason may hold anything."""
    reason = failure(ErrorClass.RESET, close.reason).message if close.reason else ""
    code = "without a code" if close.code == CloseCode.NO_STATUS_RCVD else f"with code {int(close.code)}"
    text = f"the peer closed the WebSocket {code}" + (f": {reason}" if reason else "")
    return Failed(error=ErrorClass.RESET, message=bounded_message(text))


def handshake_failure(error: Exception) -> Failed:
    """What the library says of an answer to the handshake, in fixed sentences: its own quote what the peer sent."""
    if isinstance(error, InvalidHeader):
        return Failed(error=ErrorClass.PROTOCOL, message=bounded_message(f"the handshake's {error.name} is wrong"))
    if isinstance(error, NegotiationError):
        return Failed(
            error=ErrorClass.PROTOCOL, message="the server chose a subprotocol or an extension that it was not offered"
        )
    if isinstance(error, InvalidMessage):
        return NOT_HTTP
    return failure(ErrorClass.PROTOCOL, f"the WebSocket handshake failed: {type(error).__name__}")


def frames_failure(error: Exception, message_bytes_max: int) -> Failed:
    """What the library says of what came over an open WebSocket."""
    if isinstance(error, PayloadTooBig):
        return Failed(error=ErrorClass.TOO_LARGE, message=f"a message is larger than {message_bytes_max} bytes")
    if isinstance(error, UnicodeDecodeError):
        return failure(ErrorClass.PROTOCOL, "a close reason that is not UTF-8")
    return failure(ErrorClass.PROTOCOL, f"not WebSocket: {error}")
