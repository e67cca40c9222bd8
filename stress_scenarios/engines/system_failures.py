"""From what the operating system or TLS said to a class of error, in words that do not vary from request to request.

An operation's failure must be called the same whichever engine met it. Runs in worker processes.
"""

import errno
import socket
import ssl
from dataclasses import dataclass

from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed, failure

CLOSED_UNDER_US = Failed(
    error=ErrorClass.RESET, message="the peer closed the connection before its answer was complete"
)

_NOBODY_THERE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTheSystems:
    """The exception is nothing that the operating system or TLS said."""


def said_by_system(error: BaseException) -> Failed | NotTheSystems:
    """The failed operation that an exception of a socket or of TLS stands for."""
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        return failure(ErrorClass.TLS, f"TLS: {reason}")
    if isinstance(error, socket.gaierror):
        return failure(ErrorClass.DNS, f"name lookup: {error.strerror}")
    if isinstance(error, ConnectionRefusedError):
        return failure(ErrorClass.REFUSED, "connection refused")
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return failure(ErrorClass.RESET, "connection reset by the peer")
    if isinstance(error, TimeoutError):
        return failure(ErrorClass.TIMEOUT, "the operating system gave up waiting for the peer")
    if isinstance(error, OSError) and error.errno in _NOBODY_THERE:
        return failure(ErrorClass.REFUSED, f"nobody there: {error.strerror}")
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return failure(ErrorClass.OTHER, f"{errno.errorcode.get(error.errno, 'OSError')}: {error.strerror}")
    return NotTheSystems()


def system_failure(error: BaseException) -> Failed:
    """The failed operation that any exception of a transport stands for. An unknown one is named, its text is not told."""
    said = said_by_system(error)
    return said if isinstance(said, Failed) else failure(ErrorClass.OTHER, f"{type(error).__name__} in our client")
