"""A load test from a terminal: ``python3 stress_scenarios/concurrent_load_test.py http://127.0.0.1:8080/``.

It runs the campaign's own worker against one URL for a short while and prints what it measured, without a plan, a
guardian or a record. It stands in for the guardian itself: the load ends with this process, and at once on Ctrl-C.
Exit codes: 0 all operations succeeded, 1 some failed or none was made, 2 usage, 4 stopped by Ctrl-C, 70 our own fault.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never
from urllib.parse import urlsplit

if __package__ in (None, ""):  # run as a file: its folder is on the path instead of the folder above
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from baseline_metrics.target_policy import PinnedTarget, TargetRefused, resolve_target, system_resolver
from baseline_metrics.units import UnitError, parse_duration_s
from stress_scenarios.load_plan import EngineName, LoadOrder, NoBody, OperationSpec, Paced, TargetSpec
from stress_scenarios.load_summary import LoadResult, LoadSummary, as_json, as_text
from stress_scenarios.messages import Drained, Go, Prepare, Prepared, Report, WindowReport, WorkerReady
from stress_scenarios.solo_worker import SoloWorker, SoloWorkerError

EXIT_PASSED = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_STOPPED = 4
EXIT_OUR_FAULT = 70

CONNECTIONS_MAX = 1000
"""One worker process, and the usual limit of 1024 open files."""

RATE_PER_CONNECTION_MAX = 1000.0

TIMEOUT_S = 10.0
DRAIN_S = TIMEOUT_S + 1.0
RESPONSE_BYTES_MAX = 16 << 20

START_S_MAX = 30.0
"""A worker is ready within a second; a busy machine may take many times that."""

REPORT_S_MAX = 10.0
"""A worker reports every second."""

_START_DELAY_S = 0.05
"""The start lies this far ahead, so that Go arrives before it."""

_EXPECTED_STATUS = tuple(range(200, 400))


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked on the command line."""

    url: str
    order: LoadOrder
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
    if isinstance(result.drained, str):
        return EXIT_STOPPED
    return EXIT_PASSED if result.passed else EXIT_FAILED


def parse_options(arguments: Sequence[str] | None) -> Options:
    """Read the command line. Raises UsageError, and SystemExit (2) for unknown options."""
    parsed = _parser().parse_args(arguments)
    target = _target(parsed.url, allow=tuple(parsed.allow_target))
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
        timeout_s=TIMEOUT_S,
    )
    order = LoadOrder(
        segment=0,
        target=target,
        operations=(operation,),
        connections=_within("--connections", parsed.connections, 1, CONNECTIONS_MAX),
        connection_offset=0,
        connections_total=parsed.connections,
        operations_per_session=_within("--operations-per-session", parsed.operations_per_session, 1, 1_000_000),
        pace=Paced(operations_per_s=_rate(parsed.rate_per_connection)),
        ramp_s=_duration_s("--ramp", parsed.ramp),
        hold_s=_positive_duration_s("--duration", parsed.duration),
        drain_s=DRAIN_S,
        response_bytes_max=RESPONSE_BYTES_MAX,
        seed=0,
    )
    return Options(url=parsed.url, order=order, engine=EngineName(parsed.engine), json=parsed.json)


def run_load(options: Options) -> LoadResult:
    """Make the load with one worker and collect what it reports. Ctrl-C takes the load away at once."""
    summary = LoadSummary()
    with (
        tempfile.TemporaryDirectory(prefix="daybreak-load-test-") as directory,
        SoloWorker(Path(directory), engine=options.engine) as worker,
    ):
        try:
            drained: Drained | str = _run(worker, options.order, summary)
        except KeyboardInterrupt:
            worker.revoke()
            drained = "stopped by Ctrl-C; the load was taken away at once, figures end with the last whole second"
    return LoadResult(url=options.url, order=options.order, summary=summary, drained=drained)


def _run(worker: SoloWorker, order: LoadOrder, summary: LoadSummary) -> Drained:
    _expect(worker, WorkerReady)
    worker.send(Prepare(order=order))
    _expect(worker, Prepared)
    worker.send(Go(segment=order.segment, start_mono_s=time.monotonic() + _START_DELAY_S))
    while True:
        match worker.next_report(REPORT_S_MAX):
            case WindowReport() as window:
                summary.add(window)
            case Drained() as drained:
                return drained
            case report:
                raise SoloWorkerError(f"the worker said {type(report).__name__} in the middle of its load")


def _expect(worker: SoloWorker, kind: type[Report]) -> None:
    report = worker.next_report(START_S_MAX)
    if not isinstance(report, kind):
        raise SoloWorkerError(f"the worker said {type(report).__name__} where {kind.__name__} was expected")


def _target(url: str, *, allow: tuple[str, ...]) -> TargetSpec:
    """Scheme, host and port of a URL, with its address pinned; its path belongs to the operation."""
    pinned = resolve_target(url, allow=allow, resolver=system_resolver)
    match pinned:
        case TargetRefused(reason=reason, remedy=remedy):
            raise UsageError(f"{reason}; {remedy}")
        case PinnedTarget():
            return TargetSpec(
                name=pinned.host, url=pinned.url, address=pinned.address, port=pinned.port, headers=(), ca_file=""
            )
        case _:
            assert_never(pinned)


def _within(option: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        raise UsageError(f"{option} {value}: write a number from {least} to {most}")
    return value


def _rate(value: float) -> float:
    if not (math.isfinite(value) and 0 < value <= RATE_PER_CONNECTION_MAX):
        raise UsageError(f"--rate-per-connection {value}: write a number above 0, at most {RATE_PER_CONNECTION_MAX:g}")
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
    parser.add_argument("--rate-per-connection", type=float, default=2.0, help="operations per second (default 2)")
    parser.add_argument("--operations-per-session", type=int, default=20, help="then reconnect (default 20)")
    parser.add_argument(
        "--allow-target", action="append", default=[], metavar="HOST", help="a public host that is yours"
    )
    parser.add_argument(
        "--engine",
        choices=[EngineName.HTTPX.value, EngineName.WIRE.value],
        default=EngineName.HTTPX.value,
        help="who makes the requests (default httpx)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


if __name__ == "__main__":
    sys.exit(main())
