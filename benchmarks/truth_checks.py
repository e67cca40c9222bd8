"""Loads whose true result is known, run with the load test from a terminal, and how far it was off.

Each check returns goals with what was observed; see engine_truth, which writes them down. Its own process.
"""

import json
import math
import random
import signal
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hdrh.histogram import HdrHistogram

from benchmarks.bench_nginx import HOST, BenchServer
from benchmarks.evidence import ROOT, Goal
from benchmarks.stalling_server import Stalls
from campaign.telemetry import SegmentTelemetry
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.messages import WindowReport
from stress_scenarios.scenario import Failed
from stress_scenarios.window_counters import LoadGauges, WindowCounters

COMMAND = (sys.executable, str(ROOT / "stress_scenarios" / "concurrent_load_test.py"))
COMMAND_S_MAX = 120.0

LAG_S_MAX = 0.001
ACHIEVED_OFF_MAX = 0.001
STALL_OFF_MAX = 0.02
HISTOGRAM_OFF_MAX = 0.008
STORM_MESSAGES = 1_000_000
STORM_GROWTH_BYTES_MAX = 4 << 20
"""Flat: less than what a thousand of the messages would take as objects many times over, against 200 MB for all."""

STALL_EVERY_S, STALL_S, STALL_DELAY_S = 10.0, 2.0, 0.2
"""The delay is long against the millisecond to which the server's own timers are true."""

STALL_RATE_PER_S, STALL_LOAD_S = 200, 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the page: what was measured, the truth, what was seen."""

    what: str
    truth: str
    seen: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Goals of one check, and its figures."""

    title: str
    goals: tuple[Goal, ...]
    figures: tuple[Figure, ...]


def open_model(server: BenchServer, *, core: int) -> Checked:
    """The open model at half of what one core makes: starts in time, and as many as were asked for."""
    capacity = _load(server.url, "--connections", "16", "--duration", "3s", "--unpaced", core=core)
    rate = round(capacity["operations_per_s"] / 2)
    document = _load(server.url, "--connections", "256", "--duration", "10s", "--rate", str(rate), core=core)
    lag_s = document["generator"]["schedule_lag_s"]["p99"]
    requested, started = document["operations_requested"], document["operations_started"]
    off = abs(started / requested - 1.0) if requested else math.inf
    return Checked(
        title="Open model at half of its capacity",
        goals=(
            Goal(
                text=f"open model at 50 % of capacity: schedule lag p99 at most {LAG_S_MAX * 1000:g} ms",
                observed=f"{lag_s * 1000:.3f} ms at {rate}/s",
                reached=lag_s <= LAG_S_MAX,
            ),
            Goal(
                text=f"open model at 50 % of capacity: achieved within {ACHIEVED_OFF_MAX:.1%} of requested",
                observed=f"{started} of {requested} ({off:.3%} off)",
                reached=off <= ACHIEVED_OFF_MAX,
            ),
        ),
        figures=(
            Figure(
                what="capacity, closed model, 16 connections", truth="-", seen=f"{capacity['operations_per_s']:.0f}/s"
            ),
            Figure(
                what="arrivals",
                truth=f"{rate * 10}",
                seen=f"{started} started, {document['operations_dropped']} dropped",
            ),
        ),
    )


def stalls(*, core: int) -> Checked:
    """A server that stands still for 2 s every 10 s, open model: response times are what its schedule makes them."""
    arguments = ("--delay", str(STALL_DELAY_S), "--every", str(STALL_EVERY_S), "--stall", str(STALL_S))
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stalling_server", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        url = f"http://{HOST}:{port}/"
        options = ("--connections", "1000", "--duration", f"{STALL_LOAD_S}s", "--rate", str(STALL_RATE_PER_S))
        document = _load(url, *options, core=core)
    finally:
        if server.stdin is not None:
            server.stdin.close()
        server.wait(10)
    truth = sorted(_stalled_responses())
    goals, figures = [], []
    for name, q in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)):
        true_s = truth[max(1, math.ceil(q * len(truth))) - 1]
        seen_s = document["latency_s"]["response"][name]
        off = abs(seen_s / true_s - 1.0)
        goals.append(
            Goal(
                text=f"server that stalls 2 s every 10 s, open model: {name} of response time within {STALL_OFF_MAX:.0%} of the truth",
                observed=f"{off:.2%} off",
                reached=off <= STALL_OFF_MAX,
            )
        )
        figures.append(Figure(what=f"{name} of response time", truth=f"{true_s:.4f} s", seen=f"{seen_s:.4f} s"))
    figures.append(
        Figure(
            what="operations",
            truth=str(STALL_RATE_PER_S * STALL_LOAD_S),
            seen=f"{document['operations_succeeded']} succeeded, {document['operations_dropped']} dropped",
        )
    )
    return Checked(title="A server that stands still", goals=tuple(goals), figures=tuple(figures))


def counts(server: BenchServer, *, core: int) -> Checked:
    """What is recorded is what the server counted, at every load, and when a load is stopped in the middle."""
    loads: tuple[tuple[str, ...], ...] = (
        ("--connections", "1", "--unpaced"),
        ("--connections", "16", "--unpaced"),
        ("--connections", "1000", "--unpaced"),
        ("--connections", "50", "--rate-per-connection", "20"),
        ("--connections", "64", "--unpaced", "--operations-per-session", "5"),
        ("--connections", "256", "--rate", "5000", "--spacing", "poisson"),
    )
    figures = []
    equal = 0
    for options in loads:
        before = server.seen().requests
        document = _load(server.url, *options, "--duration", "3s", core=core)
        seen = server.seen().requests - before - 1
        same = seen == document["operations_started"] == document["operations_succeeded"]
        equal += same
        figures.append(Figure(what=" ".join(options), truth=str(seen), seen=str(document["operations_started"])))
    stopped = 0
    for connections in (1, 64, 1000):
        before = server.seen().requests
        counted = _interrupted(server.url, "--connections", str(connections), "--unpaced", core=core)["counted"]
        time.sleep(0.2)  # the server reads what was on its way
        seen = server.seen().requests - before - 1
        same = counted["started"] - counted["in_flight"] <= seen <= counted["started"]
        stopped += same
        figures.append(
            Figure(
                what=f"stopped in the middle, {connections} connections unpaced",
                truth=str(seen),
                seen=f"{counted['started']} started, {counted['in_flight']} of them in flight",
            )
        )
    return Checked(
        title="Counts against the server's own",
        goals=(
            Goal(
                text="recorded counts equal to the server's, at every load",
                observed=f"{equal} of {len(loads)}",
                reached=equal == len(loads),
            ),
            Goal(
                text="stopped in the middle: the server's count lies between what ended and what was started",
                observed=f"{stopped} of 3",
                reached=stopped == 3,
            ),
        ),
        figures=tuple(figures),
    )


def histogram() -> Checked:
    """Every percentile against the hdrhistogram package, for shapes of latencies that occur."""
    seed = 20261124
    chance = random.Random(seed)
    shapes: dict[str, Callable[[], float]] = {
        "lognormal around 5 ms": lambda: chance.lognormvariate(math.log(5_000), 1.2),
        "exponential, mean 200 us": lambda: chance.expovariate(1 / 200),
        "uniform up to 1 min": lambda: chance.uniform(1, 60_000_000),
        "bimodal 300 us and 2 s": lambda: chance.gauss(300, 30) if chance.random() < 0.95 else chance.gauss(2e6, 1e5),
    }
    figures = []
    worst = 0.0
    for name, draw in shapes.items():
        ours, oracle = Histogram(), HdrHistogram(1, 3_600_000_000, 5)
        for _ in range(100_000):
            value_us = max(1, round(draw()))
            ours.record(value_us)
            oracle.record_value(value_us)
        shape_worst = 0.0
        for percent in (*range(1, 100), 99.5, 99.9, 99.99, 100):
            truth_us = oracle.get_value_at_percentile(percent)
            seen = ours.quantile(percent / 100)
            shape_worst = max(
                shape_worst, abs(seen.value * 1e6 / truth_us - 1.0) if hasattr(seen, "value") else math.inf
            )
        worst = max(worst, shape_worst)
        figures.append(Figure(what=name, truth="hdrhistogram, 5 digits", seen=f"at most {shape_worst:.3%} off"))
    return Checked(
        title=f"Histogram (100,000 values each, seed {seed})",
        goals=(
            Goal(
                text=f"histogram against the hdrhistogram package: every percentile within {HISTOGRAM_OFF_MAX:.1%}",
                observed=f"at most {worst:.3%} off",
                reached=worst <= HISTOGRAM_OFF_MAX,
            ),
        ),
        figures=tuple(figures),
    )


def error_storm() -> Checked:
    """An hour of errors in virtual time, each with a message of its own, through worker and supervisor."""
    stored: dict[str, int] = {}
    telemetry = SegmentTelemetry(segment=0, workers=1, start_mono_s=0.0, utc_offset_s=0.0)

    def take(report: WindowReport) -> None:
        for record in telemetry.add(report):
            stored[type(record).__name__] = stored.get(type(record).__name__, 0) + getattr(record, "count", 0)

    counters = WindowCounters(
        worker=0, segment=0, start_mono_s=0.0, cpu_s=0.0, next_sequence=iter(range(1 << 30)).__next__, send=take
    )
    per_second = math.ceil(STORM_MESSAGES / 3600)
    made = 0
    early_bytes = 0
    tracemalloc.start()
    for second in range(3600):
        gauges = LoadGauges(operations_due=made, operations_started=made, connections_open=1, cpu_s=0.0)
        counters.turn(float(second), gauges)
        for _ in range(min(per_second, STORM_MESSAGES - made)):
            failed = Failed(error=ErrorClass.OTHER, message=f"error {made:032x} was never seen before")
            counters.record(0, failed, response_s=0.01, service_s=0.01, bytes_received=0)
            made += 1
        if second == 360:
            early_bytes = tracemalloc.get_traced_memory()[0]
    counters.finish(3600.0, LoadGauges(operations_due=made, operations_started=made, connections_open=1, cpu_s=0.0))
    grown_bytes = tracemalloc.get_traced_memory()[0] - early_bytes
    tracemalloc.stop()
    for record in telemetry.finish():
        stored[type(record).__name__] = stored.get(type(record).__name__, 0) + getattr(record, "count", 0)
    counted = stored.get("ErrorGroup", 0)
    return Checked(
        title="An hour of an error storm (virtual time)",
        goals=(
            Goal(
                text=f"{STORM_MESSAGES:,} distinct messages in an hour: memory flat after the first six minutes",
                observed=f"{grown_bytes / 1024:+.0f} KiB",
                reached=grown_bytes <= STORM_GROWTH_BYTES_MAX,
            ),
            Goal(
                text="every failure counted, in a top group or under (more)",
                observed=f"{counted:,} of {made:,}",
                reached=counted == made == STORM_MESSAGES,
            ),
        ),
        figures=(),
    )


def _stalled_responses() -> list[float]:
    """What the open model must see: arrivals evenly over whole periods, each answered by the server's schedule."""
    schedule = Stalls(began_mono_s=0.0, delay_s=STALL_DELAY_S, every_s=STALL_EVERY_S, stall_s=STALL_S)
    arrivals = (number / STALL_RATE_PER_S for number in range(STALL_RATE_PER_S * STALL_LOAD_S))
    return [schedule.answer_at(arrival_s) - arrival_s for arrival_s in arrivals]


def _load(url: str, *options: str, core: int) -> Any:
    """One run of the load test: its document."""
    ended = subprocess.run(
        ["taskset", "-c", str(core), *COMMAND, url, *options, "--json"],
        capture_output=True,
        text=True,
        timeout=COMMAND_S_MAX,
        check=False,
    )
    if not ended.stdout:
        raise RuntimeError(f"the load test said: {ended.stderr}")
    return json.loads(ended.stdout)


def _interrupted(url: str, *options: str, core: int, after_s: float = 2.5) -> Any:
    """The document of a load test that gets Ctrl-C in the middle."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *COMMAND, url, *options, "--duration", "60s", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=COMMAND_S_MAX)
    return json.loads(output)


def figures_rows(figures: Sequence[Figure]) -> tuple[tuple[str, ...], ...]:
    """For a table of the page."""
    return tuple((figure.what, figure.truth, figure.seen) for figure in figures)
