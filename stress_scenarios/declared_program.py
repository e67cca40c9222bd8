"""A virtual user whose sessions are declared in the plan: setup, then operations of the mix, then teardown.

Every operation takes a start of the load run, so pace and counts are the same as of a plain load. An operation that cannot
be sent (a variable without a value, a dry feeder) is counted as started and failed. Worker processes use it.
"""

import asyncio
from collections.abc import Iterator

from stress_scenarios.blocked_watch import WATCH
from stress_scenarios.engines.engine import Engine
from stress_scenarios.feeder_turns import Dry, FeederTurns
from stress_scenarios.load_plan import ErrorClass, LoadOrder, Paced, Stage
from stress_scenarios.ready_operation import ReadyOperation
from stress_scenarios.scenario import Failed, ScenarioError, bounded_message, choice_cycle, cycle_offset
from stress_scenarios.session_program import Starts
from stress_scenarios.session_values import RequestNumbers, SessionValues
from stress_scenarios.user_session import UserSession, UserSessions

UNSENT_PAUSE_S = 0.01
"""After an operation that could not be sent, where no pace says when the next one is due: else one connection would count
a hundred thousand failures a second and do nothing else."""


class DeclaredPrograms:
    """Makes the programs of one order."""

    def __init__(
        self,
        order: LoadOrder,
        engine: Engine,
        operations: tuple[ReadyOperation, ...],
        feeders: tuple[FeederTurns, ...],
    ) -> None:
        """Raises ScenarioError for an order that sessions cannot perform."""
        self.order = order
        self.sessions = UserSessions(order, engine)
        self.feeders = feeders
        self.setup = tuple(operation for operation in operations if operation.spec.stage is Stage.SETUP)
        self.mix = tuple(operation for operation in operations if operation.spec.stage is Stage.MIX)
        self.teardown = tuple(operation for operation in operations if operation.spec.stage is Stage.TEARDOWN)
        if len(self.setup) + len(self.mix) + len(self.teardown) < len(operations):
            raise ScenarioError("operations of the stage code are performed by code, and the order has none")
        self.cycle = choice_cycle(tuple(operation.spec.weight for operation in self.mix)) if self.mix else ()

    def __call__(self, connection: int) -> "DeclaredProgram":
        """The virtual user of that connection of this worker."""
        return DeclaredProgram(self, connection)


class DeclaredProgram:
    """One virtual user."""

    def __init__(self, programs: DeclaredPrograms, connection: int) -> None:
        self._programs = programs
        self._connection = programs.order.connection_offset + connection
        self._request_numbers = RequestNumbers(self._connection)
        self._position = cycle_offset(programs.order, connection, len(programs.cycle)) if programs.cycle else 0
        self._sessions = 0

    async def run_session(self, starts: Starts) -> None:
        """See session_program.UserProgram. A session stays connected until its user's next operation is due."""
        await starts.next()
        values = SessionValues(
            self._programs.order,
            connection=self._connection,
            session=self._sessions,
            request_numbers=self._request_numbers,
        )
        self._sessions += 1
        fed = feed(values, self._programs.feeders)
        if isinstance(fed, Dry):
            operation = next(self._plan())
            failed = Failed(error=ErrorClass.SCENARIO, message=bounded_message(fed.message))
            starts.started(operation.index)
            starts.ended(operation.index, failed, 0)
            await pause_unsent(self._programs.order, starts)
            return
        session = self._programs.sessions.begin(fed)
        try:
            with WATCH.watching():
                await self._perform_all(starts, session)
        finally:
            await session.close()

    async def _perform_all(self, starts: Starts, session: UserSession) -> None:
        for operation in self._plan():
            performed = await session.perform(operation, starts)
            if not performed.was_sent:
                await pause_unsent(self._programs.order, starts)
            if isinstance(performed.judgement, Failed) and operation.spec.stage is Stage.SETUP:
                return
            if operation.has_think_time:
                think = operation.spec.think
                await starts.think(session.values.draws.random.uniform(think.seconds_min, think.seconds_max))
        await starts.next()

    def _plan(self) -> Iterator[ReadyOperation]:
        """One session's operations. The mix goes on where the last session left it."""
        programs = self._programs
        yield from programs.setup
        for _ in range(programs.order.operations_per_session if programs.mix else 0):
            operation = programs.mix[programs.cycle[self._position]]
            self._position = (self._position + 1) % len(programs.cycle)
            yield operation
        yield from programs.teardown


def feed(values: SessionValues, feeders: tuple[FeederTurns, ...]) -> Dry | SessionValues:
    """Give a session its row of each feeder."""
    for feeder in feeders:
        row = feeder.next()
        if isinstance(row, Dry):
            return row
        values.variables.update({f"{feeder.spec.name}.{column}": value for column, value in row.items()})
    return values


async def pause_unsent(order: LoadOrder, starts: Starts) -> None:
    """Let the loop turn after an operation that was never sent. Raises LoadOver."""
    if isinstance(order.pace, Paced):
        await asyncio.sleep(0)
    else:
        await starts.think(UNSENT_PAUSE_S)
