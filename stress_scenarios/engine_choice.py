"""Which engine a worker loads, on which event loop, and which kind of run drives it: one place that knows all engines.

Each engine's modules are imported only when it is chosen. Worker processes use it.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from baseline_metrics.load_page import LoadPage
from stress_scenarios.engines.engine import Engine
from stress_scenarios.load_plan import EngineName
from stress_scenarios.segment_run import MakeRun


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
        case EngineName.DRILL:
            raise AssertionError("a drill makes its load without a loop")


def _httpx(worker: int, page: LoadPage) -> ChosenEngine:
    from stress_scenarios.engines.httpx_engine import HttpxEngine  # noqa: PLC0415 - only the chosen engine is imported
    from stress_scenarios.load_run import LoadRun  # noqa: PLC0415

    def begin() -> tuple[Engine, MakeRun]:
        engine = HttpxEngine()
        return engine, partial(LoadRun, worker=worker, engine=engine, page=page)

    return ChosenEngine(new_event_loop=asyncio.new_event_loop, begin=begin)


def _wire(worker: int, page: LoadPage) -> ChosenEngine:
    import uvloop  # noqa: PLC0415 - only the chosen engine is imported

    from stress_scenarios.engines.wire_engine import WireEngine  # noqa: PLC0415
    from stress_scenarios.engines.wire_load_run import WireLoadRun  # noqa: PLC0415

    def begin() -> tuple[Engine, MakeRun]:
        engine = WireEngine()
        return engine, partial(WireLoadRun, worker=worker, engine=engine, page=page)

    return ChosenEngine(new_event_loop=uvloop.new_event_loop, begin=begin)
