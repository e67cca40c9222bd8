"""The cookies of one session: what the target set comes back with later requests of the same virtual user.

The rules (domain, path, expiry, secure) are those of the standard library's cookie jar, which the httpx engine uses as
well. A session without cookies has no box and pays nothing. Runs in worker processes.
"""

import math
import time
from email.message import Message
from http.client import HTTPResponse
from http.cookiejar import CookieJar
from typing import cast
from urllib.request import Request

from stress_scenarios.engines.wire_request import WireRequest

COOKIES_MAX = 180
"""Of one session. Browsers keep about as many of one site; a server that sets a new one with each answer gets no more."""

READY_MAX = 64
"""Requests with their cookies that one session keeps: all of a plan, or the last ones of a script."""


class CookieBox:
    """One session's cookies."""

    def __init__(self) -> None:
        self._jar = CookieJar()
        self._ready: dict[WireRequest, bytes] = {}
        self._ready_until_utc_s = math.inf

    def take(self, request: WireRequest, cookies: list[str]) -> None:
        """Keep what an answer to this request set."""
        message = Message()
        for value in cookies:
            message["Set-Cookie"] = value
        # The jar only ever calls info() on what it is given, so that a whole response need not be faked.
        self._jar.extract_cookies(cast("HTTPResponse", _Answer(message)), Request(request.ready.url))  # noqa: S310 - not opened
        if len(self._jar) > COOKIES_MAX:
            self._jar.clear()
        self._ready.clear()
        self._ready_until_utc_s = min(
            (cookie.expires for cookie in self._jar if cookie.expires is not None), default=math.inf
        )

    def payload(self, request: WireRequest) -> bytes:
        """The bytes of a request with the cookies that belong to it."""
        if time.time() >= self._ready_until_utc_s:
            self._ready.clear()
        payload = self._ready.get(request)
        if payload is None:
            if len(self._ready) >= READY_MAX:
                self._ready.clear()
            payload = self._ready[request] = self._with_cookies(request)
        return payload

    def _with_cookies(self, request: WireRequest) -> bytes:
        message = Request(request.ready.url)  # noqa: S310 - never opened, only asked for its parts
        self._jar.add_cookie_header(message)
        header = message.get_header("Cookie", "")
        return request.with_cookies(header) if header else request.payload


class _Answer:
    """As much of a response as the cookie jar looks at."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def info(self) -> Message:
        """The headers."""
        return self._message
