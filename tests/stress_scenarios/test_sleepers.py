"""Waiting for instants, on virtual time and with the kernel's timer."""

import asyncio
import math
import time
from pathlib import Path

import pytest
import uvloop

from stress_scenarios.sleepers import ExactTimer, LoopTimer, Sleepers
from tests.stress_scenarios.virtual_time import START_S, run_virtually


def test_sleepers_wake_at_their_instants_in_their_order() -> None:
    """However they lay down."""
    woken: list[tuple[str, float]] = []

    async def work() -> None:
        sleepers = Sleepers(LoopTimer)

        async def sleep(name: str, at_s: float) -> None:
            await sleepers.until(START_S + at_s)
            woken.append((name, sleepers.now_s() - START_S))

        await asyncio.gather(sleep("late", 3.0), sleep("early", 1.0), sleep("also early", 1.0), sleep("past", -1.0))
        sleepers.close()

    run_virtually(work())
    assert woken == [("past", 0.0), ("early", 1.0), ("also early", 1.0), ("late", 3.0)]


def test_waking_all_wakes_those_who_wait_for_nothing_too() -> None:
    """They look again at once, and their old instants wake nobody any more."""
    woken: list[float] = []

    async def work() -> None:
        sleepers = Sleepers(LoopTimer)
        asyncio.get_running_loop().call_at(START_S + 1.0, sleepers.wake_all)

        async def sleep(at_s: float) -> None:
            await sleepers.until(at_s)
            woken.append(sleepers.now_s() - START_S)
            await sleepers.until(START_S + 7.0)
            woken.append(sleepers.now_s() - START_S)

        await asyncio.gather(sleep(math.inf), sleep(START_S + 5.0))
        sleepers.close()

    run_virtually(work())
    assert woken == [1.0, 1.0, 7.0, 7.0]


def test_a_cancelled_sleeper_keeps_nobody_else_awake() -> None:
    """The one behind it still wakes in time."""

    async def work() -> float:
        sleepers = Sleepers(LoopTimer)
        cancelled = asyncio.create_task(sleepers.until(START_S + 1.0))
        await asyncio.sleep(0.5)
        cancelled.cancel()
        await sleepers.until(START_S + 2.0)
        sleepers.close()
        return sleepers.now_s() - START_S

    assert run_virtually(work()) == 2.0


def open_descriptors() -> int:
    """How many this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_exact_timer_is_never_early_and_mostly_exact(new_loop: type) -> None:
    """The best of twenty waits is far below a loop's own millisecond, on both loops; none ends before its instant."""
    late_s: list[float] = []
    descriptors: list[int] = []

    async def work() -> None:
        descriptors.append(open_descriptors())
        sleepers = Sleepers(ExactTimer)
        for _ in range(20):
            at_s = time.monotonic() + 0.0033
            await sleepers.until(at_s)
            late_s.append(time.monotonic() - at_s)
        sleepers.close()
        descriptors.append(open_descriptors())

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())
    assert min(late_s) >= 0.0
    assert min(late_s) < 0.0005
    assert descriptors[0] == descriptors[1]
