"""A service with accounts, which stands for httpbin in the examples: a login gives a token, everything else wants it.

It answers on httpbin's paths, in httpbin's form, but it is strict where httpbin only sends back: it makes the tokens
itself, knows whom it gave them to, and writes down what came over each connection, in order. It imports nothing of ours,
so that it can judge us. As a process of its own: ``python account_service.py PORT``. ``/seen`` tells what it saw;
``/mood/NAME`` changes how it treats its tokens.
"""

import json
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

HOST = "127.0.0.1"
LOAD_AGENT = "daybreak"
BODY_BYTES_MAX = 65_536
CONNECTIONS_WAITING_MAX = 128


class Mood(Enum):
    """How the service treats its tokens."""

    HONEST = "honest"
    FORGETFUL = "forgetful"
    """The tokens that it gives now it does not know afterwards: 401."""
    MISTAKEN = "mistaken"
    """It answers 200, but for the account of somebody who has not logged in."""


class Kind(Enum):
    """What a request was."""

    LOG_IN = "log_in"
    ACCOUNT = "account"
    UPLOAD = "upload"
    LOG_OUT = "log_out"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request of a load. user, detail: pin of a login, body of an upload; token: the one that was given or sent."""

    kind: str
    status: int
    user: str = ""
    detail: str = ""
    token: str = ""
    channel: str = ""


@dataclass(slots=True, kw_only=True)
class Books:
    """What the service knows and saw. Each connection is a list of its requests."""

    mood: Mood = Mood.HONEST
    owners: dict[str, str] = field(default_factory=dict)
    connections: list[list[Request]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def new_token(self, user: str) -> str:
        """A token for a user; a forgetful service does not write it down."""
        with self.lock:
            token = f"{user}.{len(self.owners)}.{sum(len(each) for each in self.connections)}"
            if self.mood is not Mood.FORGETFUL:
                self.owners[token] = user
            return token


BOOKS = Books()
"""Of this process."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for head and body

    def setup(self) -> None:
        """Open a page of the books for this connection."""
        super().setup()
        self.seen: list[Request] = []

    def do_GET(self) -> None:
        """Account, logout, and the doors for the test."""
        parts = urlsplit(self.path)
        if parts.path == "/seen":
            with BOOKS.lock:
                self._answer(200, [[asdict(request) for request in each] for each in BOOKS.connections])
        elif parts.path.startswith("/mood/"):
            BOOKS.mood = Mood(parts.path.removeprefix("/mood/"))
            self._answer(200, {})
        elif parts.path == "/bearer":
            self._account()
        elif parts.path.startswith("/anything/sessions/"):
            self._note(Request(kind=Kind.LOG_OUT.value, status=200, user=parts.path.rpartition("/")[2]))
            self._answer(200, {})
        else:
            self._note(Request(kind=Kind.OTHER.value, status=404))
            self._answer(404, {})

    def do_POST(self) -> None:
        """Login by JSON, upload by CSV."""
        body = self.rfile.read(min(BODY_BYTES_MAX, int(self.headers.get("Content-Length", "0")))).decode()
        if self.headers.get("Content-Type") == "application/json":
            self._log_in(json.loads(body))
        else:
            self._upload(body)

    def _log_in(self, sent: dict[str, str]) -> None:
        token = BOOKS.new_token(sent["user"])
        (channel,) = parse_qs(urlsplit(self.path).query).get("channel", [""])
        self._note(
            Request(
                kind=Kind.LOG_IN.value, status=200, user=sent["user"], detail=sent["pin"], token=token, channel=channel
            )
        )
        self._answer(200, {"json": {"user": sent["user"], "token": token}})

    def _account(self) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status = 200 if token in BOOKS.owners else 401
        self._note(Request(kind=Kind.ACCOUNT.value, status=status, user=BOOKS.owners.get(token, ""), token=token))
        self._answer(
            status, {"authenticated": BOOKS.mood is not Mood.MISTAKEN, "token": token} if status == 200 else {}
        )

    def _upload(self, body: str) -> None:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status = 200 if token in BOOKS.owners else 401
        user = BOOKS.owners.get(token, "")
        self._note(Request(kind=Kind.UPLOAD.value, status=status, user=user, detail=body, token=token))
        self._answer(status, {"data": body, "headers": dict(self.headers)})

    def _note(self, request: Request) -> None:
        if self.headers.get("User-Agent") != LOAD_AGENT:
            return
        with BOOKS.lock:
            if not self.seen:
                BOOKS.connections.append(self.seen)
            self.seen.append(request)

    def _answer(self, status: int, document: object) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing on stderr."""


class Service(ThreadingHTTPServer):
    """A thread for each connection."""

    daemon_threads = True
    request_queue_size = CONNECTIONS_WAITING_MAX


def _main(port: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Service((HOST, port), Handler) as service:
        service.serve_forever()


if __name__ == "__main__":
    _main(int(sys.argv[1]))
