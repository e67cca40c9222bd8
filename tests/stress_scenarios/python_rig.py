"""Sessions in Python without a worker: code, a fake engine, fake starts."""

import asyncio
from collections.abc import Awaitable, Callable

from stress_scenarios.feeder import read_feeder
from stress_scenarios.feeder_turns import FeederTurns
from stress_scenarios.load_plan import LoadOrder
from stress_scenarios.memory_limit import MemoryLimit
from stress_scenarios.python_program import PythonPrograms
from stress_scenarios.ready_operation import ready_operations
from stress_scenarios.scenario_session import ScenarioSession
from stress_scenarios.session_program import LoadOver
from tests.stress_scenarios.scripted_fakes import FakeScriptedEngine, FakeStarts
from tests.stress_scenarios.scripted_rig import a_scripted_order, code_operation

Code = Callable[[ScenarioSession], Awaitable[object]]


def an_order(**changes: object) -> LoadOrder:
    """Two operations for code."""
    return a_scripted_order(code_operation("one"), code_operation("two"), **changes)  # type: ignore[arg-type]


def play(
    code: Code,
    *,
    engine: FakeScriptedEngine | None = None,
    starts: FakeStarts | None = None,
    order: LoadOrder | None = None,
    sessions: int = 1,
    memory: MemoryLimit | None = None,
) -> tuple[FakeStarts, FakeScriptedEngine]:
    """Let the first connection play sessions, or as many as there are starts for."""
    engine, starts, order = engine or FakeScriptedEngine(), starts or FakeStarts(), order or an_order()

    async def run() -> None:
        feeders = tuple(FeederTurns(spec, order, read_feeder(spec)) for spec in order.feeders)
        programs = PythonPrograms(
            order, engine, ready_operations(order), feeders, function=code, memory=memory or MemoryLimit()
        )
        program = programs(0)
        try:
            for _ in range(sessions):
                await program.run_session(starts)
        except LoadOver:
            pass
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task of the session still runs"

    asyncio.run(run())
    assert engine.connections.open == 0, "the session left its connection open"
    assert starts.in_flight == 0
    return starts, engine
