"""From an exception under httpx to a class of error: the same words for the same kind of failure.

httpx wraps what happened several times (OSError in anyio's in httpcore's in its own), so the whole chain of causes is
looked at, and the most telling link names the class. What quotes our own request is never repeated: a header may hold a
secret. Runs in worker processes.
"""

from collections.abc import Iterator

import httpx

from stress_scenarios.engines.system_failures import CLOSED_UNDER_US, said_by_system
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, failure

_CHAIN_LENGTH_MAX = 32
"""Causes looked at; a chain of wrapped errors has about five links, and a cycle must not hold us."""

_CLOSED_UNDER_US = ("Server disconnected", "peer closed connection", "without sending")

_NOT_SENT: tuple[tuple[type[Exception], str], ...] = (
    (httpx.LocalProtocolError, "our client refused to send the request: a header or the body breaks HTTP's rules"),
    (httpx.UnsupportedProtocol, "our client refused to send the request: its URL is not an HTTP address"),
    (httpx.InvalidURL, "our client refused to send the request: its URL is not valid"),
    (UnicodeEncodeError, "our client refused to send the request: it holds characters that no request can"),
)
"""Refusals of our own client. Their texts quote the request, so each has a fixed sentence instead."""


def failure_of(error: Exception) -> Failed:
    """The failed operation that an exception stands for, with a message that does not vary from request to request."""
    chain = tuple(_causes(error))
    for link in chain:
        said = said_by_system(link)
        if isinstance(said, Failed):
            return said
    return _of_httpx_error(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    waiting: list[BaseException] = [error]
    for _ in range(_CHAIN_LENGTH_MAX):
        if not waiting:
            return
        link = waiting.pop(0)
        yield link
        if isinstance(link, BaseExceptionGroup):
            waiting.extend(link.exceptions)
        following = link.__cause__ or link.__context__
        if following is not None:
            waiting.append(following)


def _of_httpx_error(error: Exception) -> Failed:
    for kind, sentence in _NOT_SENT:
        if isinstance(error, kind):
            return failure(ErrorClass.CLIENT, sentence)
    name = type(error).__name__
    text = f"{name}: {error}" if str(error) else name  # of the answer's faults only, see below
    if isinstance(error, httpx.RemoteProtocolError):
        if any(words in str(error) for words in _CLOSED_UNDER_US):
            return CLOSED_UNDER_US
        return failure(ErrorClass.PROTOCOL, text)
    if isinstance(error, httpx.DecodingError):
        return failure(ErrorClass.PROTOCOL, text)
    if isinstance(error, httpx.NetworkError):
        return failure(ErrorClass.RESET, "the connection broke")
    return failure(ErrorClass.OTHER, f"{name} in our client")  # its text may quote the request
