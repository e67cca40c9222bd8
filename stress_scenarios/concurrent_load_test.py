"""A load test from a terminal: ``python3 stress_scenarios/concurrent_load_test.py http://127.0.0.1:8080/``.

It runs the campaign's own workers against one URL for a short while and prints what they measured, without a plan, a
guardian or a record. It stands in for the guardian itself: the load ends with this process, and at once on Ctrl-C.
Closed model: connections at a pace each, or unpaced. Open model (--rate): arrivals that wait for no answer.
Exit codes: 0 all operations succeeded, 1 some failed or none was made, 2 usage, 4 stopped by Ctrl-C, 70 our own fault.
"""

import argparse
import json
import math
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

if __package__ in (None, ""):  # run as a file: its folder is on the path instead of the folder above
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from baseline_metrics.load_page import OperationCounts
from baseline_metrics.target_policy import PinnedTarget, TargetRefused, resolve_target, system_resolver
from baseline_metrics.units import UnitError, parse_duration_s
from stress_scenarios.load_plan import (
    Arrivals,
    ConstantRate,
    EngineName,
    LoadOrder,
    NoBody,
    OperationSpec,
    Pace,
    Paced,
    Spacing,
    TargetSpec,
    Unpaced,
)
from stress_scenarios.load_summary import Interrupted, LoadResult, LoadSummary, as_json, as_text, merged
from stress_scenarios.messages import Drained, Go, Prepare, Prepared, Report, WindowReport, WorkerReady
from stress_scenarios.order_parts import parts_of
from stress_scenarios.solo_worker import SoloWorker, SoloWorkerError

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 4
EXIT_OUR_FAULT = 70

CONNECTIONS_MAX = 20_000
"""Towards one address and port the kernel has 28,000 local ports; beyond 20,000 some wait in vain for a free one."""

WORKERS_MAX = 64
SESSION_LENGTH = 20
SESSION_LENGTH_MAX = 1_000_000
RATE_PER_CONNECTION_MAX = 1000.0
RATE_MAX = 1_000_000.0
"""An order of magnitude above what a core makes: a slip of the keyboard, not a load."""

START_WITHIN_S = 1.0
"""How long an arrival of the open model may wait for a free connection before it is dropped."""

RESPONSE_BYTES_MAX = 16 << 20

START_S_MAX = 30.0
"""A worker is ready within a second; a busy machine may take many times that."""

REPORT_S_MAX = 10.0
"""A worker reports every second."""

REVOKED_S_MAX = 1.0
"""A worker whose lease was revoked leaves within milliseconds; what does not is killed afterwards."""

_START_DELAY_S = 0.05
"""The start lies this far ahead, so that Go arrives before it."""

_EXPECTED_STATUS = tuple(range(200, 400))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked on the command line."""

    url: str
    order: LoadOrder
    workers: int
    engine: EngineName
    json: bool


class UsageError(ValueError):
    """The command line asks for something that is not possible. The message says what to write."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the load test. Returns the exit code."""
    try:
        options = parse_options(arguments)
    except UsageError as error:
        print(f"concurrent_load_test: {error}", file=sys.stderr)  # noqa: T201 - a command's words to its user
        return EXIT_USAGE
    try:
        result = run_load(options)
    except SoloWorkerError as error:
        print(f"concurrent_load_test: {error}", file=sys.stderr)  # noqa: T201 - as above
        return EXIT_OUR_FAULT
    except KeyboardInterrupt:
        print("concurrent_load_test: stopped before the load began", file=sys.stderr)  # noqa: T201 - as above
        return EXIT_STOPPED
    print(json.dumps(as_json(result), indent=2) if options.json else as_text(result))  # noqa: T201 - its result
    if isinstance(result.drained, Interrupted):
        return EXIT_STOPPED
    return EXIT_PASSED if result.passed else EXIT_FAILED


def parse_options(arguments: Sequence[str] | None) -> Options:
    """Read the command line. Raises UsageError, and SystemExit (2) for unknown options."""
    parsed = _parser().parse_args(arguments)
    target = _target(parsed.url, allow=tuple(parsed.allow_target), ca_file=parsed.ca_file)
    timeout_s = _positive_duration_s("--timeout", parsed.timeout)
    pace = _pace(parsed)
    parts = urlsplit(parsed.url)
    operation = OperationSpec(
        name="GET",
        weight=1.0,
        method="GET",
        path=(parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        headers=(),
        body=NoBody(),
        expected_status=_EXPECTED_STATUS,
        body_contains=(),
        timeout_s=timeout_s,
    )
    order = LoadOrder(
        segment=0,
        target=target,
        operations=(operation,),
        connections=_within("--connections", parsed.connections, 1, CONNECTIONS_MAX),
        connection_offset=0,
        connections_total=parsed.connections,
        operations_per_session=_session_length(parsed, pace),
        pace=pace,
        ramp_s=_duration_s("--ramp", parsed.ramp),
        hold_s=_positive_duration_s("--duration", parsed.duration),
        drain_s=timeout_s + 1.0,
        response_bytes_max=RESPONSE_BYTES_MAX,
        seed=0,
    )
    return Options(
        url=parsed.url,
        order=order,
        workers=_within("--workers", parsed.workers, 1, WORKERS_MAX),
        engine=EngineName(parsed.engine),
        json=parsed.json,
    )


def run_load(options: Options) -> LoadResult:
    """Make the load and collect what the workers report. Ctrl-C takes the load away at once."""
    summary = LoadSummary()
    orders = parts_of(options.order, options.workers)
    with (
        tempfile.TemporaryDirectory(prefix="daybreak-load-test-") as directory,
        ExitStack() as stack,
    ):
        workers = []
        for index in range(len(orders)):
            place = Path(directory) / str(index)
            place.mkdir()
            workers.append(stack.enter_context(SoloWorker(place, engine=options.engine)))
        try:
            drained: Drained | Interrupted = _run(workers, orders, summary)
        except KeyboardInterrupt:
            counted = _taken_away(workers)
            drained = Interrupted(
                reason="stopped by Ctrl-C; the load was taken away at once, latencies end with the last whole second",
                counted=counted,
            )
    return LoadResult(url=options.url, order=options.order, summary=summary, drained=drained)


def _run(workers: Sequence[SoloWorker], orders: Sequence[LoadOrder], summary: LoadSummary) -> Drained:
    """Start all workers at the same instant, and take their reports until each has drained."""
    for worker in workers:
        _expect(worker, WorkerReady)
    for worker, order in zip(workers, orders, strict=True):
        worker.send(Prepare(order=order))
    for worker in workers:
        _expect(worker, Prepared)
    start_mono_s = time.monotonic() + _START_DELAY_S
    for worker, order in zip(workers, orders, strict=True):
        worker.send(Go(segment=order.segment, start_mono_s=start_mono_s))
    drained = []
    for worker in workers:  # the reports of the others wait in their queues, an hour of them
        while True:
            match worker.next_report(REPORT_S_MAX):
                case WindowReport() as window:
                    summary.add(window)
                case Drained() as end:
                    drained.append(end)
                    break
                case report:
                    raise SoloWorkerError(f"the worker said {type(report).__name__} in the middle of its load")
    return merged(drained)


def _taken_away(workers: Sequence[SoloWorker]) -> OperationCounts:
    """End all workers and read their pages, whose counts are exact whenever a worker ends."""
    for worker in workers:
        worker.revoke()
    counts = []
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(REVOKED_S_MAX)
        counts.append(worker.page.operation(0))
    return OperationCounts(
        started=sum(count.started for count in counts),
        succeeded=sum(count.succeeded for count in counts),
        failed=sum(count.failed for count in counts),
        bytes_received=sum(count.bytes_received for count in counts),
    )


def _expect(worker: SoloWorker, kind: type[Report]) -> None:
    report = worker.next_report(START_S_MAX)
    if not isinstance(report, kind):
        raise SoloWorkerError(f"the worker said {type(report).__name__} where {kind.__name__} was expected")


def _target(url: str, *, allow: tuple[str, ...], ca_file: str) -> TargetSpec:
    """Scheme, host and port of a URL, with its address pinned; its path belongs to the operation."""
    if ca_file:
        try:
            ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f'--ca-file "{ca_file}" does not load ({error}); write the path of a PEM file') from error
    pinned = resolve_target(url, allow=allow, resolver=system_resolver)
    match pinned:
        case TargetRefused(reason=reason, remedy=remedy):
            raise UsageError(f"{reason}; {remedy}")
        case PinnedTarget():
            return TargetSpec(
                name=pinned.host, url=pinned.url, address=pinned.address, port=pinned.port, headers=(), ca_file=ca_file
            )
        case _:
            assert_never(pinned)


def _within(option: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise UsageError(f"{option} {value}: write a number from {least} to {most}")
    return value


def _pace(parsed: argparse.Namespace) -> Pace:
    if parsed.unpaced:
        return Unpaced()
    if parsed.rate is None:
        return Paced(
            operations_per_s=_rate("--rate-per-connection", parsed.rate_per_connection, RATE_PER_CONNECTION_MAX)
        )
    return Arrivals(
        shape=ConstantRate(per_s=_rate("--rate", parsed.rate, RATE_MAX)),
        spacing=Spacing(parsed.spacing),
        start_within_s=START_WITHIN_S,
        part=0,
        parts=1,
    )


def _session_length(parsed: argparse.Namespace, pace: Pace) -> int:
    if parsed.operations_per_session is None:
        return SESSION_LENGTH if isinstance(pace, Paced) else SESSION_LENGTH_MAX
    return _within("--operations-per-session", parsed.operations_per_session, 1, SESSION_LENGTH_MAX)


def _rate(option: str, value: float, most: float) -> float:
    if not (math.isfinite(value) and 0 < value <= most):
        raise UsageError(f"{option} {value}: write a number above 0, at most {most:g}")
    return value


def _duration_s(option: str, text: str) -> float:
    return 0.0 if text.strip() in ("0", "0s") else _positive_duration_s(option, text)


def _positive_duration_s(option: str, text: str) -> float:
    try:
        return parse_duration_s(text)
    except UnitError as error:
        raise UsageError(f"{option}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="concurrent_load_test", description="Load one URL for a short while and print what was measured."
    )
    parser.add_argument("url", help="what to load, such as http://127.0.0.1:8080/page")
    parser.add_argument("--connections", type=int, default=5, help="virtual users at once (default 5)")
    parser.add_argument("--duration", default="10s", help='how long after the ramp, such as "30s" (default 10s)')
    parser.add_argument("--ramp", default="0s", help="connections start evenly over this time (default 0s)")
    pace = parser.add_mutually_exclusive_group()
    pace.add_argument(
        "--rate", type=float, metavar="R", help="open model: R operations per second arrive, whatever is answered"
    )
    pace.add_argument("--unpaced", action="store_true", help="closed model: each connection as fast as it is answered")
    pace.add_argument(
        "--rate-per-connection",
        type=float,
        metavar="R",
        default=2.0,
        help="closed model: each connection R operations per second (default 2)",
    )
    parser.add_argument(
        "--spacing",
        choices=[spacing.value for spacing in Spacing],
        default=Spacing.EVEN.value,
        help="of the arrivals of --rate (default even)",
    )
    parser.add_argument("--workers", type=int, default=1, help="load processes (default 1)")
    parser.add_argument("--timeout", default="10s", help="of an operation, connecting included (default 10s)")
    parser.add_argument("--ca-file", default="", help="certificates to trust, instead of the system's")
    parser.add_argument(
        "--operations-per-session",
        type=int,
        help="then reconnect (default 20 with --rate-per-connection, else as good as never)",
    )
    parser.add_argument(
        "--allow-target", action="append", default=[], metavar="HOST", help="a public host that is yours"
    )
    parser.add_argument(
        "--engine",
        choices=[EngineName.HTTPX.value, EngineName.WIRE.value],
        default=EngineName.WIRE.value,
        help="who makes the requests: wire, or httpx for HTTP/2 (default wire)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


if __name__ == "__main__":
    sys.exit(main())
