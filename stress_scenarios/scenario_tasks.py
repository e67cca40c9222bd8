"""Keeps what scenario code starts within its session: tasks that it makes end with it, and none can end the worker.

A task belongs to the session whose code made it. Runs in the loop of worker processes.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from stress_scenarios.blocked_watch import code_runs_for
from stress_scenarios.scenario_session import OperationFailedError, ScenarioOver

TASKS_MAX = 256
"""Tasks of one session at once: a browser makes six connections; more is a loop that was not meant."""

LEFT_TASKS_MAX = 100
"""Tasks of one worker that went on after they were cancelled; more of them would slow down everybody else's load."""

END_S_MAX = 0.5
"""Cancelled tasks end when the loop turns next; one that takes longer does not mean to."""


class TooManyTasksError(RuntimeError):
    """Raised in scenario code that makes too many tasks."""


class ScenarioExitError(RuntimeError):
    """Scenario code asked the process to end; only its session does."""


class LeftTasksError(Exception):
    """Too many tasks of scenario code did not end when they were cancelled. The worker ends with it."""


class SessionTasks:
    """The tasks that one session's code has made. What running_code_of marks with it, belongs to it."""

    _left = 0

    def __init__(self, note_error: Callable[[BaseException], object]) -> None:
        self._note_error = note_error
        self._tasks: set[asyncio.Task[Any]] = set()

    def make(
        self,
        loop: asyncio.AbstractEventLoop,
        coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        options: dict[str, Any],
    ) -> "asyncio.Task[Any]":
        """A task of this session. Raises TooManyTasksError."""
        if len(self._tasks) >= TASKS_MAX:
            coroutine.close()
            raise TooManyTasksError(
                f"more than {TASKS_MAX} tasks of one session at once; await some before making more"
            )
        task = asyncio.Task(_without_exit(coroutine), loop=loop, **options)
        self._tasks.add(task)
        task.add_done_callback(self._note_done)
        task.add_done_callback(lambda _: coroutine.close())  # cancelled before it began, it was never awaited
        return task

    async def end(self) -> None:
        """Cancel what still runs. Raises LeftTasksError when too many tasks of this worker have not ended then."""
        tasks = tuple(self._tasks)
        if not tasks:
            return
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=END_S_MAX)
        SessionTasks._left += len(left)
        if SessionTasks._left > LEFT_TASKS_MAX:
            raise LeftTasksError(
                f"{SessionTasks._left} tasks of the scenario's code did not end when they were cancelled; "
                "let asyncio.CancelledError through"
            )

    def _note_done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()  # looked at: asyncio would otherwise write a page into the log for each
        if error is not None and not isinstance(error, OperationFailedError | ScenarioOver):
            self._note_error(error)


def install_task_factory(loop: asyncio.AbstractEventLoop) -> None:
    """From now on, tasks that scenario code makes belong to its session. Again: no effect."""
    if loop.get_task_factory() is not _make_task:
        loop.set_task_factory(_make_task)


def _make_task(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any], **options: Any
) -> "asyncio.Task[Any]":
    owner = code_runs_for()
    if not isinstance(owner, SessionTasks):
        return asyncio.Task(coroutine, loop=loop, **options)
    return owner.make(loop, coroutine, options)


async def _without_exit(coroutine: Coroutine[Any, Any, Any] | Generator[Any, None, Any]) -> Any:
    try:
        return await coroutine  # type: ignore[misc]  # what asyncio calls a coroutine may be an old generator
    except (SystemExit, KeyboardInterrupt) as error:
        raise ScenarioExitError(f"{type(error).__name__} in a task of the scenario") from error
