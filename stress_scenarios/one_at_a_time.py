"""Lets the requests of one session go one after another, in the order in which they were asked for.

Nearly always there is only one, and asyncio.Lock would cost each of them two coroutines. Runs in worker processes.
"""

import asyncio
from collections import deque


class OneAtATime:
    """A turn that one has at a time; not for threads. Who finds it free takes it by setting is_taken, and must leave it."""

    __slots__ = ("_waiting", "is_taken")

    def __init__(self) -> None:
        self.is_taken = False
        self._waiting: deque[asyncio.Future[None]] = (
            deque()
        )  # tasks of one session, so at most scenario_tasks.TASKS_MAX

    async def wait(self) -> None:
        """Wait until the turn is given to the caller; for when it is taken."""
        assert self.is_taken, "the turn is free, and nobody would ever give it"
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(given)
        try:
            await given
        except BaseException:
            if given.done() and not given.cancelled():
                self.leave()  # given to us just before we were cancelled: it is somebody else's now
            raise

    def leave(self) -> None:
        """Give the turn to who has waited longest, else let it be free."""
        while self._waiting:
            given = self._waiting.popleft()
            if not given.done():
                given.set_result(None)
                return
        self.is_taken = False
