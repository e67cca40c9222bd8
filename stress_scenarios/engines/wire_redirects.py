"""Where an answer that points elsewhere leads, for scripts that want redirects followed. Pure; worker processes use it.

Only the target itself is followed to: a redirect to another origin would be load on somebody who was not asked.
"""

from dataclasses import dataclass, replace
from urllib.parse import urljoin

from stress_scenarios.engines.engine import Answer, EngineError
from stress_scenarios.engines.wire_request import origin_of
from stress_scenarios.scenario import ReadyRequest

_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD = frozenset({307, 308})
_OF_A_BODY = frozenset({"content-type", "content-length", "content-encoding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRedirect:
    """The answer is to be returned as it is."""


def redirected(request: ReadyRequest, answer: Answer) -> ReadyRequest | NoRedirect:
    """The request that an answer to this one asks for, if it stays within the same scheme, host and port.

    As browsers do: 301, 302 and 303 become a GET without a body (HEAD stays HEAD), 307 and 308 repeat the request.
    """
    location = next((value for name, value in answer.headers if name == "location"), "")
    if answer.status not in _FOLLOWED or not location:
        return NoRedirect()
    try:
        url = urljoin(request.url, location)
        if origin_of(url, target="") != origin_of(request.url, target=""):
            return NoRedirect()
    except (EngineError, ValueError):
        return NoRedirect()  # it points nowhere; the script sees the answer
    if answer.status in _KEEP_METHOD or request.method in {"GET", "HEAD"}:
        return replace(request, url=url)
    return replace(
        request,
        url=url,
        method="GET",
        body=b"",
        headers=tuple(field for field in request.headers if field[0].lower() not in _OF_A_BODY),
    )
