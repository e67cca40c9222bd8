"""Code that blocks, exits, swallows, forgets and leaks: its session ends, and the load goes on."""

import asyncio
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stress_scenarios import memory_limit, scenario_tasks
from stress_scenarios.load_plan import ErrorClass, HeaderField
from stress_scenarios.memory_limit import RSS_BYTES_MAX, MemoryLimit, MemoryLimitError
from stress_scenarios.python_program import PythonPrograms
from stress_scenarios.ready_operation import ready_operations
from stress_scenarios.scenario_session import ScenarioSession
from stress_scenarios.scenario_tasks import TASKS_MAX, LeftTasksError
from tests.stress_scenarios.python_rig import an_order, play
from tests.stress_scenarios.scripted_fakes import FakeScriptedEngine, FakeStarts
from tests.stress_scenarios.scripted_rig import a_scripted_order

HERE = Path(__file__).name


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()])
def test_no_exception_of_the_code_ends_the_worker(error: BaseException) -> None:
    """Not even those that end processes and tasks."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")
        raise error

    starts, _ = play(browse, sessions=2)
    assert [failure[:2] for failure in starts.failures] == [(0, ErrorClass.SCENARIO)] * 2


def test_a_request_that_the_code_cancels_is_counted_as_failed() -> None:
    """The scenario goes on; its next request is another operation."""

    async def browse(session: ScenarioSession) -> None:
        try:
            async with asyncio.timeout(0.01):
                await session.get("/slow", name="one")
        except TimeoutError:
            pass
        engine.takes_s = 0.0
        await session.get("/", name="two")

    engine = FakeScriptedEngine(takes_s=10.0)
    starts, _ = play(browse, engine=engine)
    assert starts.failures == [(0, ErrorClass.SCENARIO, "the scenario's own code cancelled the request")]
    assert starts.began == [0, 1]


def test_the_loads_end_goes_through_code_that_catches_errors() -> None:
    """An endless loop with except Exception ends with the load; what was answered is counted."""

    async def browse(session: ScenarioSession) -> None:
        while True:
            try:
                await session.get("/", name="one")
            except Exception:  # noqa: BLE001 - as careless scenarios do
                logging.getLogger(__name__).debug("again")

    starts, _ = play(browse, starts=FakeStarts(starts=7), sessions=100)
    assert starts.began == [0] * 7
    assert starts.failures == []


def test_code_that_catches_everything_lets_the_loop_turn() -> None:
    """It asks again and again after the load's end, and waits each time."""
    turns = 0

    async def browse(session: ScenarioSession) -> None:
        nonlocal turns
        while turns < 5:
            try:
                await session.get("/", name="one")
            except BaseException:  # noqa: BLE001 - as careless scenarios do
                turns += 1

    began_s = time.monotonic()
    play(browse, starts=FakeStarts(starts=1))
    assert time.monotonic() - began_s >= 4 * 0.05


def test_tasks_end_with_their_session() -> None:
    """Cancelled if they still run, in whatever depth they were made."""
    ended: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(name)

    async def parent(kept: list[object]) -> None:
        kept.append(asyncio.create_task(wait("grandchild")))
        await wait("child")

    async def browse(session: ScenarioSession) -> None:
        kept: list[object] = []
        kept.append(asyncio.create_task(parent(kept)))
        await session.get("/", name="one")
        await asyncio.sleep(0)

    starts, _ = play(browse, sessions=2)
    assert sorted(ended) == ["child", "child", "grandchild", "grandchild"]
    assert starts.failures == []


def test_a_task_that_fails_or_exits_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is written once; the session goes on unless it waits for the task."""

    async def fail() -> None:
        raise LookupError("in a task")

    async def leave() -> None:
        raise SystemExit

    async def browse(session: ScenarioSession) -> None:
        tasks = [asyncio.create_task(fail()), asyncio.create_task(leave())]
        await asyncio.sleep(0.001)
        assert all(task.done() for task in tasks)
        await session.get("/", name="one")

    starts, _ = play(browse, sessions=2)
    assert starts.failures == []
    assert sorted(record.getMessage().split("\n")[-2].split(":")[0] for record in caplog.records) == [
        "LookupError",
        "stress_scenarios.scenario_tasks.ScenarioExitError",
    ]


def test_a_session_has_a_bounded_number_of_tasks() -> None:
    """Exactly so many; one more is an error of the scenario."""
    made = 0

    async def browse(session: ScenarioSession) -> None:
        nonlocal made
        await session.get("/", name="one")
        tasks = []
        while True:
            tasks.append(asyncio.create_task(asyncio.sleep(10.0)))
            made += 1

    starts, _ = play(browse)
    assert made == TASKS_MAX
    assert len(starts.failures) == 1
    assert "TooManyTasksError" in starts.failures[0][2]


def test_too_many_tasks_that_refuse_to_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """One may be left; more end the worker with a reason."""
    monkeypatch.setattr(scenario_tasks, "LEFT_TASKS_MAX", 1)
    monkeypatch.setattr(scenario_tasks, "END_S_MAX", 0.01)
    monkeypatch.setattr(scenario_tasks.SessionTasks, "_left", 0)
    release = asyncio.Event()

    async def refuse() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    async def browse(session: ScenarioSession) -> None:
        tasks.append(asyncio.create_task(refuse()))
        await session.get("/", name="one")

    tasks: list[object] = []

    async def run() -> None:
        order = an_order()
        programs = PythonPrograms(
            order,
            FakeScriptedEngine(),
            ready_operations(order),
            (),
            function=browse,
            memory=MemoryLimit(),
        )
        await programs(0).run_session(FakeStarts())
        with pytest.raises(LeftTasksError, match="2 tasks of the scenario's code did not end"):
            await programs(0).run_session(FakeStarts())
        release.set()
        await asyncio.sleep(0.01)

    asyncio.run(run())


def test_a_session_that_is_cancelled_leaves_its_operation_abandoned() -> None:
    """The load run counts it so; connection and tasks are gone."""

    async def browse(session: ScenarioSession) -> None:
        tasks.append(asyncio.create_task(asyncio.sleep(100.0)))
        await session.get("/", name="one")

    tasks: list[asyncio.Task[None]] = []
    engine, starts = FakeScriptedEngine(takes_s=100.0), FakeStarts()

    async def run() -> None:
        order = an_order()
        programs = PythonPrograms(order, engine, ready_operations(order), (), function=browse, memory=MemoryLimit())
        user = asyncio.create_task(programs(0).run_session(starts))
        for _ in range(10):
            await asyncio.sleep(0)
        assert engine.asked
        user.cancel()
        with pytest.raises(asyncio.CancelledError):
            await user
        assert tasks[0].cancelled()

    asyncio.run(run())
    assert starts.in_flight == 1
    assert engine.connections.open == 0


def test_code_that_blocks_the_loop_is_interrupted() -> None:
    """Within little more than a second, in the middle of whatever it does; its error handling does not hide it."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")
        try:
            [None for _ in iter(int, 1)]
        except Exception:  # noqa: BLE001 - as careless scenarios do
            logging.getLogger(__name__).debug("hidden")

    began_s = time.monotonic()
    starts, _ = play(browse)
    assert time.monotonic() - began_s < 10.0
    assert len(starts.failures) == 1
    operation_index, error, message = starts.failures[0]
    assert (operation_index, error) == (0, ErrorClass.SCENARIO)
    assert "ScenarioBlockedError: the scenario's code kept the loop from turning for # s" in message
    assert HERE in message


def test_a_worker_that_uses_too_much_memory_ends_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit it goes on, above it does not; it looks at the next session's beginning."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")

    monkeypatch.setattr(memory_limit, "_rss_bytes", lambda: 1 << 30)
    assert len(play(browse, memory=MemoryLimit(1 << 30), sessions=2)[0].began) == 2
    with pytest.raises(MemoryLimitError, match="1,024 MiB of memory, at most 1,023 MiB"):
        play(browse, memory=MemoryLimit((1 << 30) - 1))


def test_the_memory_of_this_process_can_be_read() -> None:
    """More than a megabyte, and less than what a worker may use."""
    assert 1 << 20 < memory_limit._rss_bytes() < RSS_BYTES_MAX


def test_secrets_of_headers_are_no_placeholders() -> None:
    """A token from the environment may hold anything."""

    async def browse(session: ScenarioSession) -> None:
        await session.get("/", name="one")

    order = an_order()
    header = HeaderField(name="Authorization", value="Bearer a${b}c", secrets=("a${b}c",))
    spec = replace(order.operations[0], headers=(header,))
    _, engine = play(browse, order=a_scripted_order(spec))
    assert dict(engine.asked[0].headers) == {"Authorization": "Bearer a${b}c"}
