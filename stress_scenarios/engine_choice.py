"""Which engine a worker loads, on which event loop, and which kind of run drives it: one place that knows all engines.

Sessions that do more than repeat requests are coroutines on either engine; a plain order goes at wire speed where the
engine can. Each engine's modules, and those for scripts, are imported only when they are needed. Worker processes use it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.engine import Engine
from stress_scenarios.load_plan import EngineName, LoadOrder
from stress_scenarios.messages import WindowReport
from stress_scenarios.segment_run import MakeRun, SegmentRun
from stress_scenarios.session_program import UNSCRIPTED, MakeProgram, Unscripted


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenEngine:
    """An engine before its loop runs. begin: makes engine and runs, called inside the loop."""

    new_event_loop: Callable[[], asyncio.AbstractEventLoop]
    begin: Callable[[], tuple[Engine, MakeRun]]


def chosen_engine(name: EngineName, *, worker: int, page: LoadPage) -> ChosenEngine:
    """Import the engine of that name."""
    match name:
        case EngineName.HTTPX:
            return _httpx(worker, page)
        case EngineName.WIRE:
            return _wire(worker, page)
        case EngineName.DRILL | EngineName.MEMORY:
            raise AssertionError(f"{name.value} makes its load without a loop")


def _httpx(worker: int, page: LoadPage) -> ChosenEngine:
    from stress_scenarios.engines.httpx_engine import HttpxEngine  # noqa: PLC0415 - only the chosen engine is imported

    def begin() -> tuple[Engine, MakeRun]:
        engine = HttpxEngine()
        return engine, _CoroutineRuns(worker, engine, page)

    return ChosenEngine(new_event_loop=asyncio.new_event_loop, begin=begin)


def _wire(worker: int, page: LoadPage) -> ChosenEngine:
    import uvloop  # noqa: PLC0415 - only the chosen engine is imported

    from stress_scenarios.engines.wire_engine import WireEngine  # noqa: PLC0415
    from stress_scenarios.engines.wire_load_run import WireLoadRun  # noqa: PLC0415

    def begin() -> tuple[Engine, MakeRun]:
        engine = WireEngine()
        scripted = _CoroutineRuns(worker, engine, page)

        def make_run(
            *, order: LoadOrder, next_sequence: Callable[[], int], send: Callable[[WindowReport], None]
        ) -> SegmentRun:
            if order.scripted:
                return scripted(order=order, next_sequence=next_sequence, send=send)
            return WireLoadRun(
                worker=worker, order=order, engine=engine, page=page, next_sequence=next_sequence, send=send
            )

        return engine, make_run

    return ChosenEngine(new_event_loop=uvloop.new_event_loop, begin=begin)


class _CoroutineRuns:
    """Makes loads whose virtual users are coroutines, on any engine."""

    def __init__(self, worker: int, engine: Engine, page: LoadPage) -> None:
        self._worker = worker
        self._engine = engine
        self._page = page

    def __call__(
        self, *, order: LoadOrder, next_sequence: Callable[[], int], send: Callable[[WindowReport], None]
    ) -> SegmentRun:
        """See segment_run.MakeRun. Raises ScenarioError, too, for scripts, feeders and code that cannot be used."""
        from stress_scenarios.load_run import LoadRun  # noqa: PLC0415 - a plain load at wire speed needs none of it

        make_program: MakeProgram | Unscripted = UNSCRIPTED
        if order.scripted:
            from stress_scenarios.session_programs import programs_for  # noqa: PLC0415

            make_program = programs_for(order, self._engine)
        return LoadRun(
            worker=self._worker,
            order=order,
            engine=self._engine,
            page=self._page,
            next_sequence=next_sequence,
            send=send,
            make_program=make_program,
        )
