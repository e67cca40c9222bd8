"""Compares what a request costs with wrk, ab, hey, Locust, aiohttp and httpx, in one run on this machine.

nginx has one core, the client the other; clients take turns, round after round, so that whatever the machine does
meanwhile hits all of them. Goals are ratios of medians within the run. Writes docs/evidence/engine-speed.md with every
round beside it, and a picture. Its own process: ``python -m benchmarks.engine_speed`` (make bench).
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.bench_nginx import BenchServer, bench_server
from benchmarks.evidence import (
    DEFAULT_DIRECTORY,
    Evidence,
    Goal,
    Section,
    Table,
    circumstances_now,
    conclude,
    write_evidence,
)
from benchmarks.measured_client import Client, ClientError, Measured, measure
from benchmarks.peer_clients import (
    COMPARED_AT,
    OURS,
    OURS_COROUTINES,
    UNLIKE,
    PeerError,
    clients,
    make_peer_environment,
)
from benchmarks.speed_plot import Curve, plot

NAME = "engine-speed"
CONNECTIONS = (1, 16, 256, 1000, 10_000)
ROUNDS = 5
ROUNDS_MAX = 50
SECONDS = 1.0
SERVER_CORE, CLIENT_CORE = 0, 1

WRK_RATIO_MAX = 1.3
LOCUST_RATIO_MIN = 5.0
AIOHTTP_RATIO_MIN = 3.0
MANY_RATIO_MAX = 1.5
MEMORY_BYTES_MAX = 250 << 20
MANY = 1000
MOST = 10_000

EXIT_CANNOT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A client that has no figure at this number of connections, and why."""

    client: str
    connections: int
    reason: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and write. Returns 0 when every goal is reached, 1 when not, 2 when it cannot be measured here."""
    options = _parse(arguments)
    where = circumstances_now()
    if (os.cpu_count() or 1) <= CLIENT_CORE:
        print("engine_speed: needs two cores, one for nginx and one for the client", file=sys.stderr)
        return EXIT_CANNOT
    try:
        contestants = clients(make_peer_environment())
    except PeerError as error:
        print(f"engine_speed: {error}", file=sys.stderr)
        return EXIT_CANNOT
    with (
        tempfile.TemporaryDirectory(prefix="daybreak-bench-") as directory,
        bench_server(Path(directory), core=SERVER_CORE) as server,
    ):
        rounds, missing = _measure_all(contestants, server, options)
    evidence = Evidence(
        name=NAME,
        title="What a request costs",
        what=(
            "One client core against nginx on the other, GET of 86 bytes over connections that stay, clients taking "
            "turns. CPU per request is the client's own, user and system time of all its processes, per request that "
            "the server counted; medians over the rounds, least and greatest in brackets."
        ),
        command=f"make bench  (python -m benchmarks.engine_speed --rounds {options.rounds})",
        goals=_goals(rounds),
        sections=_sections(contestants, rounds, missing),
    )
    options.directory.mkdir(parents=True, exist_ok=True)
    (options.directory / f"{NAME}.svg").write_text(_picture(contestants, rounds), encoding="utf-8")
    path = write_evidence(options.directory, evidence, where, samples={f"{NAME}.csv": _samples(rounds)})
    return conclude(evidence, path)


def _measure_all(
    contestants: Sequence[Client], server: BenchServer, options: argparse.Namespace
) -> tuple[list[Measured], list[Missing]]:
    rounds: list[Measured] = []
    missing: dict[tuple[str, int], Missing] = {}
    for connections in options.connections:
        for number in range(options.rounds):
            for client in contestants:
                key = (client.name, connections)
                if not client.connections_min <= connections <= client.connections_max:
                    missing[key] = Missing(client=client.name, connections=connections, reason=client.why_not_more)
                if key in missing:
                    continue
                try:
                    one = measure(client, server, connections=connections, seconds=options.seconds, core=CLIENT_CORE)
                except ClientError as error:
                    missing[key] = Missing(client=client.name, connections=connections, reason=str(error))
                    rounds = [each for each in rounds if (each.client, each.connections) != key]
                    print(f"{connections:>6} round {number + 1}: {error}")
                    continue
                rounds.append(one)
                print(
                    f"{connections:>6} round {number + 1}: {client.name:<26} {one.cpu_us:8.2f} us/request"
                    f" {one.requests_per_s:10.0f}/s {one.memory_bytes / (1 << 20):6.0f} MiB",
                    flush=True,
                )
    return rounds, list(missing.values())


def _median(rounds: Sequence[Measured], client: str, connections: int, figure: str) -> float:
    """The median of a figure; NaN without any round, which reaches no goal."""
    values = [getattr(one, figure) for one in rounds if (one.client, one.connections) == (client, connections)]
    return float(statistics.median(values)) if values else float("nan")


def _goals(rounds: Sequence[Measured]) -> tuple[Goal, ...]:
    def cpu(client: str, connections: int = COMPARED_AT) -> float:
        return _median(rounds, client, connections, "cpu_us")

    def per_core(client: str) -> float:
        return 1e6 / cpu(client)

    wrk = cpu(OURS) / cpu("wrk")
    locust = per_core(OURS_COROUTINES) / per_core("Locust FastHttpUser")
    aiohttp = per_core(OURS_COROUTINES) / per_core("aiohttp on uvloop")
    many = cpu(OURS, MANY) / cpu(OURS)
    memory = _median(rounds, OURS, MOST, "memory_bytes")
    return (
        Goal(
            text=f"CPU per request, declared scenario, {COMPARED_AT} connections, all accounting on: at most {WRK_RATIO_MAX} x wrk",
            observed=f"{wrk:.2f} x",
            reached=wrk <= WRK_RATIO_MAX,
        ),
        Goal(
            text=f"requests per CPU second, coroutine scenario: at least {LOCUST_RATIO_MIN:g} x Locust FastHttpUser",
            observed=f"{locust:.1f} x",
            reached=locust >= LOCUST_RATIO_MIN,
        ),
        Goal(
            text=f"requests per CPU second, coroutine scenario: at least {AIOHTTP_RATIO_MIN:g} x aiohttp on uvloop",
            observed=f"{aiohttp:.1f} x",
            reached=aiohttp >= AIOHTTP_RATIO_MIN,
        ),
        Goal(
            text=f"CPU per request at {MANY} connections: at most {MANY_RATIO_MAX} x that at {COMPARED_AT}",
            observed=f"{many:.2f} x",
            reached=many <= MANY_RATIO_MAX,
        ),
        Goal(
            text=f"memory at {MOST} connections, all processes: at most {MEMORY_BYTES_MAX >> 20} MiB",
            observed=f"{memory / (1 << 20):.0f} MiB",
            reached=memory <= MEMORY_BYTES_MAX,
        ),
    )


def _sections(
    contestants: Sequence[Client], rounds: Sequence[Measured], missing: Sequence[Missing]
) -> tuple[Section, ...]:
    counts = sorted({one.connections for one in rounds})
    head = ("client", *(f"{count} connections" if count > 1 else "1 connection" for count in counts))

    def table(figure: str, form: str, scale: float) -> Table:
        return Table(
            head=head,
            rows=tuple(
                (
                    client.name,
                    *(_cell(rounds, client.name, count, figure=figure, form=form, scale=scale) for count in counts),
                )
                for client in contestants
            ),
        )

    unlike = _median(rounds, OURS + UNLIKE, COMPARED_AT, "cpu_us") / _median(
        rounds, "wrk" + UNLIKE, COMPARED_AT, "cpu_us"
    )
    reasons = tuple(f"{each.client} at {each.connections} connections: {each.reason}." for each in missing)
    return (
        Section(
            title="CPU per request, microseconds",
            content=(table("cpu_us", "{:.1f}", 1.0), f"![CPU per request by connections]({NAME}.svg)"),
        ),
        Section(
            title="When no answer is like the last",
            content=(
                (
                    "nginx, like most servers, gives the same bytes again within a second; our engine knows an answer again "
                    "that it has judged before. Where every answer carries a header of its own, each is taken apart anew: "
                    f"then a request costs {unlike:.2f} x wrk at {COMPARED_AT} connections. The goals above are for nginx as it is."
                ),
            ),
        ),
        Section(title="Requests per second, client on one core", content=(table("requests_per_s", "{:.0f}", 1.0),)),
        Section(title="Memory of all its processes, MiB", content=(table("memory_bytes", "{:.0f}", 1 / (1 << 20)),)),
        Section(title="What is not there", content=reasons or ("Every client was measured at every number.",)),
    )


def _cell(rounds: Sequence[Measured], client: str, connections: int, *, figure: str, form: str, scale: float) -> str:
    values = [getattr(one, figure) * scale for one in rounds if (one.client, one.connections) == (client, connections)]
    if not values:
        return "-"
    spread = f"{form.format(min(values))} to {form.format(max(values))}"
    return f"{form.format(statistics.median(values))} ({spread})"


def _picture(contestants: Sequence[Client], rounds: Sequence[Measured]) -> str:
    curves = []
    for client in contestants:
        points = tuple(
            (float(count), _median(rounds, client.name, count, "cpu_us"))
            for count in sorted({one.connections for one in rounds if one.client == client.name})
        )
        if points:
            curves.append(Curve(name=client.name, points=points, ours=client.name in {OURS, OURS_COROUTINES}))
    return plot(curves, x_words="connections", y_words="CPU per request, us")


def _samples(rounds: Sequence[Measured]) -> Table:
    return Table(
        head=("client", "connections", "requests_per_s", "cpu_us", "cores_used", "memory_bytes"),
        rows=tuple(
            (
                one.client,
                str(one.connections),
                f"{one.requests_per_s:.1f}",
                f"{one.cpu_us:.3f}",
                f"{one.cores_used:.3f}",
                str(one.memory_bytes),
            )
            for one in rounds
        ),
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.engine_speed", description="Compare what a request costs.")
    parser.add_argument("--rounds", type=int, choices=range(1, ROUNDS_MAX + 1), default=ROUNDS, metavar="N")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="steady seconds of each round")
    parser.add_argument("--connections", type=int, nargs="+", default=list(CONNECTIONS))
    parser.add_argument("--directory", type=Path, default=DEFAULT_DIRECTORY)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
