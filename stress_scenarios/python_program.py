"""A virtual user whose sessions are calls of a coroutine function: whatever that does, the load goes on around it.

Errors of the code are counted as an operation's (SCENARIO). Worker processes use it.
"""

import asyncio
from enum import Enum, auto

from stress_scenarios.blocked_watch import WATCH, running_code_of
from stress_scenarios.declared_program import pause_unsent
from stress_scenarios.engines.engine import Engine
from stress_scenarios.feeder_turns import FeederTurns
from stress_scenarios.load_plan import ErrorClass, LoadOrder, Stage
from stress_scenarios.memory_limit import MemoryLimit
from stress_scenarios.operation_account import Settlements
from stress_scenarios.python_scenario import ScenarioFunction
from stress_scenarios.ready_operation import ReadyOperation
from stress_scenarios.scenario import Failed, ScenarioError, bounded_message
from stress_scenarios.scenario_errors import ScenarioErrors
from stress_scenarios.scenario_session import (
    FeederDryError,
    OperationFailedError,
    ScenarioOver,
    ScenarioSession,
)
from stress_scenarios.scenario_tasks import SessionTasks, install_task_factory
from stress_scenarios.session_program import LoadOver, Starts
from stress_scenarios.session_values import RequestNumbers, SessionValues
from stress_scenarios.user_session import UserSessions

_NO_REQUEST = Failed(error=ErrorClass.SCENARIO, message="the scenario's function ended without a request")


class _Ended(Enum):
    BY_ITSELF = auto()
    BY_LOAD = auto()


class PythonPrograms:
    """Makes the programs of one order. Made in the worker's loop."""

    def __init__(
        self,
        order: LoadOrder,
        engine: Engine,
        operations: tuple[ReadyOperation, ...],
        feeders: tuple[FeederTurns, ...],
        *,
        function: ScenarioFunction,
        memory: MemoryLimit,
    ) -> None:
        """Raises ScenarioError for an order without operations for code."""
        self.order = order
        self.sessions = UserSessions(order, engine)
        self.operations = {
            operation.spec.name: operation for operation in operations if operation.spec.stage is Stage.CODE
        }
        if not self.operations:
            raise ScenarioError("the order has code, but no operation that code could perform")
        self.feeders = {feeder.spec.name: feeder for feeder in feeders}
        self.function = function
        self.memory = memory
        self.errors = ScenarioErrors(function)
        self.settlements = Settlements()
        install_task_factory(asyncio.get_running_loop())

    def __call__(self, connection: int) -> "PythonProgram":
        """The virtual user of that connection of this worker."""
        return PythonProgram(self, connection)


class PythonProgram:
    """One virtual user."""

    def __init__(self, programs: PythonPrograms, connection: int) -> None:
        self._programs = programs
        self._connection = programs.order.connection_offset + connection
        self._request_numbers = RequestNumbers(self._connection)
        self._sessions = 0

    async def run_session(self, starts: Starts) -> None:
        """See session_program.UserProgram. Raises MemoryLimitError and LeftTasksError, which end the worker."""
        await starts.next()
        self._programs.memory.look()
        values = SessionValues(
            self._programs.order,
            connection=self._connection,
            session=self._sessions,
            request_numbers=self._request_numbers,
        )
        self._sessions += 1
        user_session = self._programs.sessions.begin(values)
        session = ScenarioSession(
            connection=self._connection,
            operations=self._programs.operations,
            feeders=self._programs.feeders,
            session=user_session,
            starts=starts,
            settlements=self._programs.settlements,
        )
        try:
            await self._run(session, starts)
        except asyncio.CancelledError:
            session.account.abandon()
            raise
        finally:
            await user_session.close()

    async def _run(self, session: ScenarioSession, starts: Starts) -> None:
        account = session.account
        ended = await self._call(session)
        if ended is _Ended.BY_LOAD:
            account.abandon()
            raise LoadOver
        if not isinstance(ended, Failed):
            account.settle()
            ended = _Ended.BY_ITSELF if account.has_begun else _NO_REQUEST
        if isinstance(ended, Failed) and not account.fail_open(ended):
            await starts.next()
            starts.started(account.operation)
            starts.ended(account.operation, ended, 0)
            await pause_unsent(self._programs.order, starts)
        await starts.next()

    async def _call(self, session: ScenarioSession) -> _Ended | Failed:
        """Let the code have its session; at the end nothing of it runs any more."""
        errors = self._programs.errors
        tasks = SessionTasks(errors.note)
        try:
            with WATCH.watching(), running_code_of(tasks):
                await self._programs.function(session)
        except ScenarioOver:
            return _Ended.BY_LOAD
        except OperationFailedError:
            return _Ended.BY_ITSELF  # counted when it failed
        except FeederDryError as error:
            return Failed(error=ErrorClass.SCENARIO, message=bounded_message(str(error)))
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            return errors.note(error)
        except BaseException as error:  # noqa: BLE001 - whatever the code raises is its session's end, and not ours
            return errors.note(error)
        finally:
            await tasks.end()
        return _Ended.BY_ITSELF


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
