"""Answers that passed are settled when the loop turns next, those of many sessions with one callback."""

import asyncio

import pytest

from stress_scenarios.load_plan import ErrorClass
from stress_scenarios.operation_account import OperationAccount, Settlements
from stress_scenarios.scenario import Failed, Passed
from tests.stress_scenarios.scripted_fakes import FakeStarts

WRONG = Failed(error=ErrorClass.CHECK, message="wrong")


def test_many_answers_are_settled_by_the_next_turn_and_not_before() -> None:
    """Until then each can still be found wrong; afterwards none can."""

    async def run() -> None:
        settlements = Settlements()
        all_starts = [FakeStarts(at_once=True) for _ in range(3)]
        accounts = [OperationAccount(starts, settlements, 0) for starts in all_starts]
        for _ in range(2):  # the second time a new callback is needed
            for account in accounts:
                assert account.begin_now(0)
                account.answered()
                account.pass_unless_told(5)
            assert accounts[1].fail_answered(WRONG)
            await asyncio.sleep(0)
            assert not any(account.fail_answered(WRONG) for account in accounts)
        assert all_starts[0].ended_as == all_starts[2].ended_as == [(0, Passed(), 5)] * 2
        assert all_starts[1].ended_as == [(0, WRONG, 5)] * 2

    asyncio.run(run())


def test_the_next_request_settles_the_last_and_is_not_settled_with_it() -> None:
    """It is in flight when the callback comes."""

    async def run() -> None:
        starts = FakeStarts(at_once=True)
        account = OperationAccount(starts, Settlements(), 0)
        assert account.begin_now(0)
        account.pass_unless_told(5)
        assert account.begin_now(1)
        assert starts.ended_as == [(0, Passed(), 5)]
        await asyncio.sleep(0)
        assert starts.in_flight == 1

    asyncio.run(run())


def test_our_own_fault_in_a_callback_is_raised_where_it_ends_the_load() -> None:
    """At the session's next step, and the other sessions are settled all the same."""

    class BrokenStarts(FakeStarts):
        def ended(self, *_: object) -> None:
            raise AssertionError("ours")

    async def run() -> None:
        settlements, good = Settlements(), FakeStarts(at_once=True)
        accounts = [OperationAccount(starts, settlements, 0) for starts in (BrokenStarts(at_once=True), good)]
        for account in accounts:
            assert account.begin_now(0)
            account.pass_unless_told(5)
        await asyncio.sleep(0)
        assert good.in_flight == 0
        with pytest.raises(AssertionError, match="ours"):
            accounts[0].begin_now(0)

    asyncio.run(run())
