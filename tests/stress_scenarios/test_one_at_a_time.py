"""The turn that one request of a session has at a time: in the order of asking, also when some give up waiting."""

import asyncio

import pytest

from stress_scenarios.one_at_a_time import OneAtATime


class Row:
    """Tasks that want one turn; each notes when it has it, and keeps it until it is told to go on."""

    def __init__(self) -> None:
        self.turn = OneAtATime()
        self.had: list[str] = []
        self.go_on = asyncio.Event()

    async def take(self, name: str) -> None:
        """What a request does."""
        if self.turn.is_taken:
            await self.turn.wait()
        else:
            self.turn.is_taken = True
        try:
            self.had.append(name)
            await self.go_on.wait()
        finally:
            self.turn.leave()


async def turned() -> None:
    """Let everybody go as far as they can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_asks_first_is_first_and_nobody_overtakes() -> None:
    """Also one who asks again at once after leaving waits behind those who wait already."""

    async def run() -> None:
        row = Row()
        row.go_on.set()

        async def twice(name: str) -> None:
            await row.take(name)
            await row.take(name)

        row.turn.is_taken = True
        tasks = [asyncio.create_task(twice(name)) for name in "abc"]
        await turned()
        assert row.had == []
        row.turn.leave()
        await asyncio.gather(*tasks)
        assert row.had == list("abcabc")
        assert not row.turn.is_taken

    asyncio.run(run())


def test_who_is_cancelled_while_waiting_is_left_out() -> None:
    """The next one gets the turn."""

    async def run() -> None:
        row = Row()
        tasks = [asyncio.create_task(row.take(name)) for name in "abc"]
        await turned()
        tasks[1].cancel()
        await turned()
        row.go_on.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert row.had == ["a", "c"]
        assert not row.turn.is_taken

    asyncio.run(run())


@pytest.mark.parametrize("waits_behind", [True, False])
def test_who_is_cancelled_just_when_given_the_turn_passes_it_on(*, waits_behind: bool) -> None:
    """To who waits behind; when nobody does, the turn is free again."""

    async def run() -> None:
        row = Row()
        row.turn.is_taken = True
        tasks = [asyncio.create_task(row.take(name)) for name in ("ab" if waits_behind else "a")]
        await turned()
        row.turn.leave()
        tasks[0].cancel()
        row.go_on.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert row.had == (["b"] if waits_behind else [])
        assert not row.turn.is_taken

    asyncio.run(run())
