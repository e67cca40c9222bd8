"""Measures what the guardian costs: its CPU time and memory while it watches sixteen load processes at its fastest.

A guardian that is heavy takes away what it guards. Looked at from outside, through /proc, for a minute, while it looks at
memory as often as it ever does. Writes docs/evidence/guardian-cost.md. Its own process:
``python -m benchmarks.guardian_cost``.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from baseline_metrics.units import format_bytes
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
from benchmarks.stop_rig import Word
from benchmarks.stop_ways import HeldRig, WayError, ask, held_rig
from safety_monitoring.guardian_loop import BELLED_TICK_S
from safety_monitoring.look_period import PERIOD_S_MIN
from stress_scenarios.demo_process import start_demo_service

NAME = "guardian-cost"

SECONDS = 60.0
SECONDS_MIN = 5.0
SECONDS_MAX = 3600.0

CPU_GOAL_PERCENT = 1.0
MEMORY_GOAL_BYTES = 30 << 20

SETTLE_S = 2.0
"""The load has just come up, and the guardian has taken handles and pages of it."""

SAMPLE_S = 1.0

_NS_PER_S = 1e9
_KIB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One look at the guardian. cpu_s: since it started. PSS: its own memory, and its part of what it shares with others."""

    at_mono_s: float
    cpu_s: float
    rss_bytes: int
    pss_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """At least two looks, in order, and how the guardian's process stood."""

    looks: tuple[Cost, ...]
    workers: int
    policy: str
    threads: int

    @property
    def seconds(self) -> float:
        """Between the first and the last look."""
        return self.looks[-1].at_mono_s - self.looks[0].at_mono_s

    @property
    def cpu_percent(self) -> float:
        """Of one core, over all the time."""
        return 100.0 * (self.looks[-1].cpu_s - self.looks[0].cpu_s) / self.seconds

    @property
    def cpu_percents(self) -> tuple[float, ...]:
        """Of one core, between each two looks."""
        pairs = zip(self.looks, self.looks[1:], strict=False)
        return tuple(
            100.0 * (after.cpu_s - before.cpu_s) / (after.at_mono_s - before.at_mono_s) for before, after in pairs
        )


def main(argv: Sequence[str]) -> int:
    """Measure and write. Returns 0 if all goals were reached, 1 if not or if nothing could be measured."""
    options = _options(argv)
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))
    where = circumstances_now()
    try:
        measured = measure(options.seconds)
    except (WayError, OSError) as error:
        sys.stderr.write(f"the guardian could not be measured: {error}\n")
        return 1
    evidence = evidence_of(measured, command=f"python -m benchmarks.guardian_cost --seconds {options.seconds:g}")
    path = write_evidence(options.output, evidence, where, samples={f"{NAME}.csv": _samples(measured)})
    return conclude(evidence, path)


def measure(seconds: float) -> Measured:
    """Look at a guardian for so long. Raises WayError, OSError; leaves nothing running."""
    base = Path(tempfile.mkdtemp(prefix="daybreak-cost-"))
    demo = start_demo_service(parent_pid=os.getpid())
    try:
        with held_rig(base / "campaign", name=NAME, target_url=demo.url) as rig:
            ask(rig, Word.LOOK_FAST)
            time.sleep(SETTLE_S)
            return _look_at(rig, seconds)
    finally:
        demo.stop()
        shutil.rmtree(base, ignore_errors=True)


def _look_at(rig: HeldRig, seconds: float) -> Measured:
    pid = rig.guardian.pid
    looks = [look(pid)]
    while looks[-1].at_mono_s - looks[0].at_mono_s < seconds:
        time.sleep(SAMPLE_S)
        looks.append(look(pid))
    ended = sum(worker.is_gone() for worker in rig.workers)
    if ended or rig.guardian.is_gone():
        raise WayError(
            f"{ended} load processes ended meanwhile; the guardian {'too' if rig.guardian.is_gone() else 'not'}"
        )
    names = {os.SCHED_OTHER: "SCHED_OTHER", os.SCHED_FIFO: "SCHED_FIFO"}
    policy = os.sched_getscheduler(pid) & ~os.SCHED_RESET_ON_FORK
    return Measured(
        looks=tuple(looks),
        workers=len(rig.workers),
        policy=names.get(policy, str(policy)),
        threads=len(list(Path(f"/proc/{pid}/task").iterdir())),
    )


def look(pid: int) -> Cost:
    """What a process has cost so far. CPU in nanoseconds by the scheduler's own account, of all its threads. Raises OSError."""
    tasks = list(Path(f"/proc/{pid}/task").iterdir())
    cpu_ns = sum(int((task / "schedstat").read_text(encoding="ascii").split()[0]) for task in tasks)
    at_mono_s = time.monotonic()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    sizes = {line.split()[0]: line.split()[1] for line in rollup.splitlines()[1:] if len(line.split()) > 1}
    return Cost(
        at_mono_s=at_mono_s,
        cpu_s=cpu_ns / _NS_PER_S,
        rss_bytes=int(sizes["Rss:"]) * _KIB,
        pss_bytes=int(sizes["Pss:"]) * _KIB,
    )


# The page -------------------------------------------------------------------------------------------------------------


def evidence_of(measured: Measured, *, command: str) -> Evidence:
    """The page's content."""
    rss = max(one.rss_bytes for one in measured.looks)
    pss = max(one.pss_bytes for one in measured.looks)
    return Evidence(
        name=NAME,
        title="What the guardian costs",
        what=(
            f"A guardian watches {measured.workers} load processes that make 160 operations/s, renews their leases, looks at "
            f"the stop channels every {BELLED_TICK_S * 1000:g} ms, and reads memory every {PERIOD_S_MIN * 1000:g} ms, which is as "
            "often as it ever does (the phase that it is told of takes memory faster than can be; on a host with room it reads "
            f"once a second). From outside, every {SAMPLE_S:g} s for {measured.seconds:.0f} s: the CPU time of all its "
            "threads by /proc/PID/task/*/schedstat, its memory by /proc/PID/smaps_rollup. RSS counts every page that is "
            "mapped, shared ones in full; PSS counts a shared page in parts."
        ),
        command=command,
        goals=(
            Goal(
                text=f"CPU, of one core, over all the time: at most {CPU_GOAL_PERCENT:g} %",
                observed=f"{measured.cpu_percent:.2f} %",
                reached=measured.cpu_percent <= CPU_GOAL_PERCENT,
            ),
            Goal(
                text=f"memory (RSS), the most: at most {format_bytes(MEMORY_GOAL_BYTES)}",
                observed=format_bytes(rss),
                reached=rss <= MEMORY_GOAL_BYTES,
            ),
        ),
        sections=(
            Section(
                title="Figures",
                content=(
                    Table(
                        head=("", "least", "most"),
                        rows=(
                            (
                                "CPU in one second, % of a core",
                                f"{min(measured.cpu_percents):.2f}",
                                f"{max(measured.cpu_percents):.2f}",
                            ),
                            ("RSS", format_bytes(min(one.rss_bytes for one in measured.looks)), format_bytes(rss)),
                            ("PSS", format_bytes(min(one.pss_bytes for one in measured.looks)), format_bytes(pss)),
                        ),
                    ),
                    f"Scheduling {measured.policy}, threads {measured.threads}.",
                ),
            ),
        ),
    )


def _samples(measured: Measured) -> Table:
    began_mono_s = measured.looks[0].at_mono_s
    rows = tuple(
        (f"{one.at_mono_s - began_mono_s:.3f}", f"{one.cpu_s:.6f}", str(one.rss_bytes), str(one.pss_bytes))
        for one in measured.looks
    )
    return Table(head=("at_s", "cpu_s", "rss_bytes", "pss_bytes"), rows=rows)


def _options(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guardian_cost", description=__doc__)
    parser.add_argument("--seconds", type=_seconds, default=SECONDS)
    parser.add_argument("--output", type=Path, default=DEFAULT_DIRECTORY, help="where the page is written")
    return parser.parse_args(argv)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not SECONDS_MIN <= seconds <= SECONDS_MAX:
        raise argparse.ArgumentTypeError(f"{text} is not between {SECONDS_MIN:g} and {SECONDS_MAX:g}")
    return seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
