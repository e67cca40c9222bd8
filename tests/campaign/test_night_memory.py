"""A whole night inside a memory cgroup of 512 MiB, in which a neighbour takes what the memory load needs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.limited_memory import LimitedMemory, NoLimitedMemoryError
from campaign.memory_watch import MemoryNow
from monitoring_logs.memory_records import MemoryFacts
from monitoring_logs.records import Outcome
from safety_monitoring.limits import Rung
from stress_scenarios.demo_process import DemoProcess
from tests.support.night_plans import night_plan, phase
from tests.support.nights import LAUNCHER, foreground, new_home

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

MIB = 1 << 20
LIMIT = 512 * MIB
RESERVE = 64 * MIB
ASKED = 100 * MIB

LEFT = 28 * MIB
"""What the neighbour leaves free: below the guardian's reserve, and still no reason for the kernel to kill."""


@pytest.fixture
def limited() -> Iterator[LimitedMemory]:
    """512 MiB for the whole campaign and its neighbour."""
    try:
        inside = LimitedMemory("daybreak-test-night", limit_bytes=LIMIT)
    except NoLimitedMemoryError as error:
        pytest.skip(f"kernel: {error}")
    with inside:
        yield inside


@contextmanager
def neighbour(inside: LimitedMemory) -> Iterator["subprocess.Popen[str]"]:
    """Somebody else's program in the same cgroup; it takes memory when it is told to."""
    with subprocess.Popen(
        [*inside.enter, sys.executable, "-m", "benchmarks.memory_neighbour"],
        cwd=LAUNCHER.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: "subprocess.Popen[str]", count: int) -> None:
    """Let it hold so many bytes, and wait until it does."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count // MIB} 0\n")
    process.stdin.flush()
    assert process.stdout.readline()


def test_the_guardian_takes_a_memory_load_away_before_the_kernel_has_to_kill(
    demo: DemoProcess, tmp_path: Path, limited: LimitedMemory
) -> None:
    """What is left falls below the reserve: the load goes within moments, nobody is killed for memory, the report tells it."""
    plan = night_plan(
        demo.url,
        scenario=("{name: page, path: /health}",),
        phases=(phase("squeeze", memory="{size: 100MiB, rate: 39MiB/s}"),),
        engine="wire",
        memory_percent=95.0,
        memory_reserve="64MiB",
    )
    with (
        foreground(new_home(tmp_path), plan, enter=limited.enter) as night,
        neighbour(limited) as hungry,
    ):
        campaign = night.campaign
        campaign.wait_for(
            lambda seen: isinstance(seen.memory, MemoryNow) and seen.memory.achieved_bytes == ASKED, "the memory"
        )
        tell(hungry, 0)
        print(f"available beside the load: {limited.available_bytes() / MIB:.0f} MiB")
        tell(hungry, limited.available_bytes() - LEFT)
        squeezed = time.monotonic()
        took_s = campaign.seconds_until_load_is_gone()
        campaign.wait_for(lambda seen: seen.phases[0].state == "SAFETY_STOP", "the phase's record")
        # Load would come back for the last anchor once the readings have been clear for their hold time; enough was seen.
        os.kill(campaign.pid_of("supervisor"), signal.SIGTERM)
        code = night.wait()
        counts = limited.counts()
    print(f"gone {took_s:.3f} s after {squeezed:.3f}; {counts}")
    assert counts.killed == 0, "the kernel had to kill"
    assert code == 4
    campaign.assert_over()

    (record,) = campaign.phase_records()
    assert record.outcome is Outcome.SAFETY_STOP
    assert "memory" in record.reason
    assert isinstance(record.memory, MemoryFacts)
    assert record.memory.peak_bytes == ASKED
    with campaign.record() as reader:
        moves = reader.guardian_events()
        seconds = reader.memory_seconds(record.segment)
    assert moves[0].rung is Rung.STOP_PHASE
    assert max(second.held_bytes for second in seconds) == ASKED

    report = campaign.report()
    (squeeze,) = report["phase_results"]
    assert squeeze["outcome"] == "SAFETY_STOP"
    assert squeeze["memory_achieved"]["peak_bytes"] == ASKED
    (gate,) = [gate for gate in report["gates"] if gate["kind"] == "phase_memory_achieved"]
    assert gate["passed"] is False
    assert "100 MiB" in (campaign.results / "report.html").read_text(encoding="utf-8")
    summary = (campaign.results / "campaign_summary.txt").read_text(encoding="utf-8")
    assert "memory held: 100 MiB of 100 MiB in squeeze" in " ".join(summary.split())
