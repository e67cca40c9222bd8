"""What both HTTP engines do with an answer's body: its size has a limit, and so has what it unpacks to.

Two kilobytes of nested gzip can hold a gigabyte, so nothing is unpacked further than anybody may look at. Runs in worker
processes.
"""

import zlib
from collections.abc import Iterable

from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed

ACCEPTED_ENCODINGS = "gzip, deflate"
"""What requests say they accept, unless they say something else themselves: what can be unpacked here."""

ENCODINGS_MAX = 4
"""Compressions on top of each other; a server that names more is playing."""

SURPLUS = Failed(error=ErrorClass.PROTOCOL, message="the peer sent more than its answer's length")


def too_large(bytes_max: int) -> Failed:
    """The failure of an answer beyond its limit."""
    return Failed(error=ErrorClass.TOO_LARGE, message=f"the answer is larger than {bytes_max} bytes")


def unpacked(body: bytes, *, encodings: Iterable[str], bytes_max: int) -> bytes | Failed:
    """The body as its author wrote it. encodings: the Content-Encoding headers; unknown ones are left as they are."""
    if not body:
        return body  # of HEAD, say, whose head may name a compression all the same
    names = [name.strip() for name in ",".join(encodings).lower().split(",")]
    for name in reversed(names[-ENCODINGS_MAX:]):
        inflated = _inflated(body, name, bytes_max)
        if inflated is None:
            return Failed(error=ErrorClass.PROTOCOL, message="the compressed answer does not unpack")
        body = inflated
        if len(body) > bytes_max:
            return too_large(bytes_max)
    return body


def _inflated(body: bytes, encoding: str, bytes_max: int) -> bytes | None:
    """Unpack up to one byte more than the limit; None when it does not unpack."""
    match encoding:
        case "gzip" | "x-gzip":
            windows: tuple[int, ...] = (zlib.MAX_WBITS | 16,)
        case "deflate":
            windows = (zlib.MAX_WBITS, -zlib.MAX_WBITS)  # with and, as some servers do, without the zlib wrapper
        case _:
            return body
    for window in windows:
        inflate = zlib.decompressobj(window)
        try:
            inflated = inflate.decompress(body, bytes_max + 1)
        except zlib.error:
            continue
        if inflate.eof or len(inflated) > bytes_max:
            return inflated
    return None
