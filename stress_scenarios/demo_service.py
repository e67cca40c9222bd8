"""The bundled demo service: a small HTTP shop on loopback that can be made slow, failing, leaking or overloaded.

It lets a fresh clone show a whole campaign without a server at hand, and is a target for tests. It is a real server
in a process of its own (``python -m stress_scenarios.demo_service``), on the standard library, and ends itself when
the process that it was started for is gone.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path

from baseline_metrics.codec import Json
from stress_scenarios.demo_faults import (
    Brownout,
    Cliff,
    DemoSettings,
    DemoSettingsError,
    Fail,
    Faults,
    Steady,
    Unlimited,
    changed,
)
from stress_scenarios.demo_http import (
    HEAD_BYTES_MAX,
    Answer,
    BadRequestError,
    RequestHead,
    parse_head,
    render_answer,
)
from stress_scenarios.demo_shop import Shop, json_answer, json_document, require_method

HOST = "127.0.0.1"
"""Loopback only, and no option to change it: faults can be set without a password."""

CONNECTIONS_MAX = 1000
"""Far more than a demo opens (15); together with our own few it stays near the usual 1024 file descriptors."""

IDLE_S_MAX = 75.0
"""How long a quiet connection is kept: the default of common servers, and more than clients keep theirs."""

PARENT_LOOK_S = 0.5
"""A service without its campaign is of no use to anybody; half a second costs nothing and is soon enough."""

LEAVE_S_MAX = 0.5
"""For connections to end after SIGTERM; together with the parent look within a second."""

EXIT_USAGE = 2


class ParentWatch:
    """Tells whether a process is gone, without being fooled when its number is used again."""

    def __init__(self, pid: int) -> None:
        """Raises ProcessLookupError when there is no such process."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)

    def gone(self) -> bool:
        """True once the process has ended, reaped or not."""
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._descriptor)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unattended:
    """The service runs until somebody stops it."""


class DemoService:
    """Answers connections until it is told to leave."""

    def __init__(self, settings: DemoSettings, parent: Unattended | ParentWatch) -> None:
        self._faults = Faults(settings)
        self._shop = Shop()
        self._parent = parent
        self._started_mono_s = time.monotonic()
        self._leave = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._operations = 0
        self._failures = 0

    async def run(self, port: int) -> None:
        """Serve until SIGTERM, SIGINT or the parent's end; prints one JSON line when ready. Raises OSError: port taken."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._leave.set)
        server = await asyncio.start_server(self._accept, HOST, port, limit=HEAD_BYTES_MAX, backlog=CONNECTIONS_MAX)
        bound_port = server.sockets[0].getsockname()[1]
        _print_ready(bound_port)
        while not self._leave.is_set() and not self._parent_gone():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._leave.wait(), PARENT_LOOK_S)
        server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=LEAVE_S_MAX)

    def _parent_gone(self) -> bool:
        return isinstance(self._parent, ParentWatch) and self._parent.gone()

    def _now_s(self) -> float:
        return time.monotonic() - self._started_mono_s

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is served by a task"
        if len(self._connections) >= CONNECTIONS_MAX:
            writer.close()
            return
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client left, or stayed silent, or we leave: nobody is there to be told
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        keep_alive = True
        while keep_alive:
            try:
                head = parse_head(await _read_head(reader))
            except BadRequestError as error:
                writer.write(render_answer(_refusal(error), keep_alive=False, head_only=False))
                await writer.drain()
                return
            async with asyncio.timeout(IDLE_S_MAX):
                body = await reader.readexactly(head.body_bytes)
            answer = await self._answer(head, body)
            keep_alive = head.keep_alive
            writer.write(render_answer(answer, keep_alive=keep_alive, head_only=head.method == "HEAD"))
            await writer.drain()

    async def _answer(self, head: RequestHead, body: bytes) -> Answer:
        try:
            if head.path == "/health":
                require_method(head, "GET")
                return self._health()
            if head.path == "/admin":
                require_method(head, "POST")
                return self._change(json_document(head, body))
            return await self._operate(head, body)
        except BadRequestError as error:
            return _refusal(error)

    async def _operate(self, head: RequestHead, body: bytes) -> Answer:
        self._operations += 1
        fate = self._faults.decide(self._now_s())
        if fate.delay_s > 0:
            await asyncio.sleep(fate.delay_s)
        if isinstance(fate, Fail):
            self._failures += 1
            return json_answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": fate.detail})
        return self._shop.answer(head, body)

    def _health(self) -> Answer:
        return json_answer(
            HTTPStatus.OK,
            {
                "status": "browned out" if self._faults.in_brownout(self._now_s()) else "ok",
                "uptime_s": round(self._now_s(), 3),
                "memory_bytes": _resident_bytes(),
                "leaked_bytes": self._faults.leaked_bytes,
                "operations": self._operations,
                "failures": self._failures,
                "orders": self._shop.orders_taken,
                "connections": len(self._connections),
            },
        )

    def _change(self, document: dict[str, Json]) -> Answer:
        """Change faults, and whom the service is there for (``parent_pid``), all or nothing."""
        faults = {name: value for name, value in document.items() if name != "parent_pid"}
        try:
            settings = changed(self._faults.settings, faults, now_s=self._now_s())
            if "parent_pid" in document:
                self._adopt(document["parent_pid"])
        except DemoSettingsError as error:
            raise BadRequestError(HTTPStatus.BAD_REQUEST, str(error)) from error
        self._faults.settings = settings
        return json_answer(HTTPStatus.OK, _settings_document(settings))

    def _adopt(self, pid: Json) -> None:
        if isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid <= 1 << 22:
            raise DemoSettingsError("parent_pid has to be the number of a process")
        try:
            watch = ParentWatch(pid)
        except OSError as error:
            raise DemoSettingsError(f"there is no process {pid} to watch: {error.strerror}") from error
        if isinstance(self._parent, ParentWatch):
            self._parent.close()
        self._parent = watch


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(IDLE_S_MAX):
            return await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise BadRequestError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {HEAD_BYTES_MAX} bytes"
        ) from error


def _refusal(error: BadRequestError) -> Answer:
    return json_answer(error.status, {"error": error.detail})


def _settings_document(settings: DemoSettings) -> dict[str, Json]:
    brownout: Json = None
    match settings.brownout:
        case Brownout(after_s=after_s, for_s=for_s):
            brownout = {"after_s": after_s, "for_s": for_s}
        case Steady():
            pass
    match settings.capacity:
        case Cliff(operations_per_s=operations_per_s):
            cliff: Json = operations_per_s
        case Unlimited():
            cliff = None
    return {
        "slowness_ms": settings.slowness_ms,
        "error_percent": settings.error_percent,
        "leak_kib_per_request": settings.leak_kib_per_request,
        "brownout": brownout,
        "cliff_at_rps": cliff,
    }


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _print_ready(port: int) -> None:
    sys.stdout.write(json.dumps({"port": port, "url": f"http://{HOST}:{port}"}) + "\n")
    sys.stdout.flush()


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="demo_service", description="A small shop on loopback, with faults on demand."
    )
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--slowness-ms", type=float, default=0.0, help="added to each answer")
    parser.add_argument("--error-percent", type=float, default=0.0, help="share of operations answered with 503")
    parser.add_argument("--leak-kib-per-request", type=float, default=0.0, help="memory that each operation keeps")
    parser.add_argument("--brownout-after-s", type=float, help="start of a brownout, after the start of the service")
    parser.add_argument("--brownout-seconds", type=float, help="length of that brownout")
    parser.add_argument("--cliff-at-rps", type=float, help="most operations per second that it finishes")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    options = parser.parse_args(arguments)
    if (options.brownout_after_s is None) != (options.brownout_seconds is None):
        parser.error("--brownout-after-s and --brownout-seconds are given together")
    if not 0 <= options.port <= 65535:
        parser.error("--port has to be between 0 and 65535")
    return options


def _settings_from(options: argparse.Namespace) -> DemoSettings:
    brownout = (
        Steady()
        if options.brownout_after_s is None
        else Brownout(after_s=options.brownout_after_s, for_s=options.brownout_seconds)
    )
    return DemoSettings(
        slowness_ms=options.slowness_ms,
        error_percent=options.error_percent,
        leak_kib_per_request=options.leak_kib_per_request,
        brownout=brownout,
        capacity=Unlimited() if options.cliff_at_rps is None else Cliff(operations_per_s=options.cliff_at_rps),
    )


async def _serve(settings: DemoSettings, parent: Unattended | ParentWatch, port: int) -> None:
    await DemoService(settings, parent).run(port)


def main(arguments: Sequence[str]) -> int:
    """Run the service; 0 when it was told to leave, 2 when it could not start."""
    options = _parse_arguments(arguments)
    try:
        settings = _settings_from(options)
        parent = Unattended() if options.parent_pid is None else ParentWatch(options.parent_pid)
        asyncio.run(_serve(settings, parent, options.port))
    except (DemoSettingsError, OSError) as error:
        sys.stderr.write(f"demo_service: {error}\n")
        return EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
