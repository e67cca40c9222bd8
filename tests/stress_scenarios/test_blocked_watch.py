"""The watch over scenario code: who is blamed, and who is not."""

import asyncio
import re
import time

import pytest

from stress_scenarios.blocked_watch import (
    BLOCKED_S_MAX,
    NOBODYS_CODE,
    WATCH,
    BlockedWatch,
    ScenarioBlockedError,
    code_runs_for,
    running_code_of,
)
from stress_scenarios.guarded_regex import Matched, NoMatch, compile_pattern, search
from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.scenario import Failed

TICKS_MAX = 5
"""As many ticks as fit into BLOCKED_S_MAX."""


def tick(watch: BlockedWatch, count: int) -> int:
    """Let the timer's signal come; how many ticks passed before somebody was blamed."""
    for number in range(count):
        try:
            watch._tick(0, None)
        except ScenarioBlockedError:
            return number
    return count


@pytest.mark.parametrize(("ticks", "blamed"), [(TICKS_MAX - 1, False), (TICKS_MAX, False), (TICKS_MAX + 1, True)])
def test_a_session_is_blamed_after_a_second_without_a_turn(ticks: int, *, blamed: bool) -> None:
    """Not before the limit, and not at it."""
    with running_code_of("session"):
        assert (tick(BlockedWatch(), ticks) < ticks) is blamed


def test_our_own_code_is_never_interrupted() -> None:
    """However long it takes; that is found by the worker's heartbeat."""
    assert code_runs_for() is NOBODYS_CODE
    assert tick(BlockedWatch(), 100) == 100
    with running_code_of("session"), running_code_of(NOBODYS_CODE):
        assert tick(BlockedWatch(), 100) == 100


def test_many_sessions_that_take_their_turns_are_not_blamed_together() -> None:
    """A loop with thousands of users may take long to turn, and it is nobody's fault alone."""
    watch = BlockedWatch()
    for number in range(100):
        with running_code_of(f"session {number % 2}"):
            assert tick(watch, 3) == 3


def test_a_loop_that_turns_clears_the_account() -> None:
    """Ticks before and after a turn are not added up."""

    async def work() -> None:
        with WATCH.watching(), running_code_of("session"):
            for _ in range(3):
                assert tick(WATCH, TICKS_MAX - 1) == TICKS_MAX - 1
                await asyncio.sleep(0.12)

    asyncio.run(work())


def test_code_that_is_interrupted_again_and_again_has_its_second_each_time() -> None:
    """Who catches even that is interrupted once more."""
    watch = BlockedWatch()
    with running_code_of("session"):
        assert [tick(watch, 100), tick(watch, 100)] == [TICKS_MAX, TICKS_MAX]


def test_watching_twice_ends_with_the_last() -> None:
    """Sessions overlap; when the last has ended there are no more ticks."""

    async def work() -> None:
        with WATCH.watching():
            with WATCH.watching():
                await asyncio.sleep(0)
            with running_code_of("session"), pytest.raises(ScenarioBlockedError):
                time.sleep(30.0)  # noqa: ASYNC251 - what is shown is how it ends
        with running_code_of("session"):
            time.sleep(0.3)  # noqa: ASYNC251 - and that nobody looks any more

    began_s = time.monotonic()
    asyncio.run(work())
    assert BLOCKED_S_MAX <= time.monotonic() - began_s < 10.0


def test_a_search_that_does_not_end_is_the_scenarios_fault() -> None:
    """The plan's pattern on an unlucky page: interrupted, counted, and the load goes on."""

    async def work() -> None:
        with WATCH.watching():
            found = search(compile_pattern("(a+)+$"), "a" * 60 + "b")
        assert isinstance(found, Failed)
        assert found.error is ErrorClass.SCENARIO
        assert found.message == 'the regular expression "(a+)+$" was not done after 1 s'

    asyncio.run(work())
    assert search(re.compile("a(b)?"), "xa") == Matched(text="")
    assert search(re.compile("ab"), "ba") is NoMatch.NO_MATCH
