"""The process that makes load: ``python -m stress_scenarios.worker --worker N --engine httpx --page PATH --parent-pid P``.

It makes itself expendable first, then maps its page, then loads its engine and no other, and from its first lease on
lives exactly as long as its lease. Orders come on standard input, reports go to standard output, its log is standard
error. Exit codes: 0 told to leave, 70 our own fault, 75 lease, supervisor or pipe gone; a SIGALRM death is the backstop.
Whoever starts it gives it a session of its own, and starts it from a thread that stays: the kernel's parent-death
signal fires when the starting thread ends.
"""

import argparse
import gc
import os
from collections.abc import Sequence
from typing import NoReturn

from baseline_metrics.codec import CodecError
from baseline_metrics.load_page import LoadPage, LoadPageError
from stress_scenarios.engines.drill_engine import DRILL_S_MAX, DrillFault, leave_deaf_grandchild, run_drill_load
from stress_scenarios.lease_watch import FIRST_GRANT_S_MAX, watch_lease
from stress_scenarios.load_plan import EngineName
from stress_scenarios.messages import ORDERS, Leave, Report, WorkerReady
from stress_scenarios.order_pipes import ReportPipe, claim_report_pipe, read_orders
from stress_scenarios.process_start import (
    EXIT_LEFT,
    StartError,
    arm_backstop,
    become_expendable,
    disarm_backstop,
    own_start_ticks,
    raise_descriptor_limit,
)

START_S_MAX = FIRST_GRANT_S_MAX + 60.0
"""How long imports and set-up may take before the kernel ends the process; they take half a second."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Be a worker. Never returns."""
    options = _parse(arguments)
    pipe = ReportPipe(claim_report_pipe())
    try:
        become_expendable(options.parent_pid)
        raise_descriptor_limit()
        page = LoadPage(options.page)
    except (StartError, LoadPageError, OSError) as error:
        pipe.fault(options.worker, f"could not start: {error}")
    match EngineName(options.engine):
        case EngineName.DRILL:
            _be_drill(options.worker, page, pipe, DrillFault(options.drill_fault))
        case EngineName.MEMORY:
            _be_memory(options.worker, page, pipe)
        case EngineName.HTTPX | EngineName.WIRE as engine:
            _be_load(options.worker, page, pipe, engine)


def _be_drill(worker: int, page: LoadPage, pipe: ReportPipe, fault: DrillFault) -> NoReturn:
    def on_line(line: bytes) -> None:
        try:
            order = ORDERS.decode(line)
        except CodecError as error:
            pipe.fault(worker, f"an order that is none: {error}")
        if not isinstance(order, Leave):
            pipe.fault(worker, f"a drill takes no {type(order).__name__}")
        pipe.leave(EXIT_LEFT)

    arm_backstop(DRILL_S_MAX)
    gc.freeze()
    if fault is DrillFault.ESCAPE:
        try:
            leave_deaf_grandchild()
        except OSError as error:
            pipe.fault(worker, f"nobody could escape: {error}")
    if fault is not DrillFault.DEAF:
        watch_lease(page)
    pipe.send(_ready(worker, EngineName.DRILL))
    read_orders(on_line)
    run_drill_load(page, fault)


def _be_memory(worker: int, page: LoadPage, pipe: ReportPipe) -> NoReturn:
    arm_backstop(START_S_MAX)
    from stress_scenarios.loads.memory import MemoryChunks, ResidentSet  # noqa: PLC0415 - only whoever holds memory
    from stress_scenarios.loads.memory_service import MemoryService  # noqa: PLC0415

    service = MemoryService(
        worker=worker, page=page, memory=MemoryChunks(), resident_bytes=ResidentSet().read_bytes, send=pipe.send
    )

    def on_line(line: bytes) -> None:
        try:
            service.accept(ORDERS.decode(line))
        except CodecError as error:
            service.accept(error)

    disarm_backstop()
    gc.collect()
    gc.freeze()
    watch_lease(page)
    pipe.send(_ready(worker, EngineName.MEMORY))
    read_orders(on_line)
    try:
        service.serve()
    except Exception as error:  # noqa: BLE001 - the process ends with it, whatever it is
        pipe.fault(worker, f"{type(error).__name__}: {error}")
    pipe.leave(EXIT_LEFT)


def _be_load(worker: int, page: LoadPage, pipe: ReportPipe, name: EngineName) -> NoReturn:
    arm_backstop(START_S_MAX)
    # Imported only here, after the process is safe: asyncio and the engine take a third of a second, and a drill needs
    # neither.
    import asyncio  # noqa: PLC0415

    from stress_scenarios.engine_choice import chosen_engine  # noqa: PLC0415
    from stress_scenarios.order_service import OrderService  # noqa: PLC0415

    chosen = chosen_engine(name, worker=worker, page=page)

    async def serve() -> None:
        engine, make_run = chosen.begin()
        service = OrderService(worker=worker, engine=engine, make_run=make_run, page=page, send=pipe.send)
        loop = asyncio.get_running_loop()

        def on_line(line: bytes) -> None:
            try:
                order = ORDERS.decode(line)
            except CodecError as error:
                loop.call_soon_threadsafe(service.fail, error)
                return
            loop.call_soon_threadsafe(service.accept, order)

        disarm_backstop()
        gc.collect()
        gc.freeze()
        watch_lease(page)
        pipe.send(_ready(worker, name))
        read_orders(on_line)
        try:
            await service.serve()
        except Exception as error:  # noqa: BLE001 - the process ends with it, whatever it is
            pipe.fault(worker, f"{type(error).__name__}: {error}")
        pipe.leave(EXIT_LEFT)

    with asyncio.Runner(loop_factory=chosen.new_event_loop) as runner:
        runner.run(serve())
    raise AssertionError("serve leaves the process")


def _ready(worker: int, engine: EngineName) -> Report:
    return WorkerReady(worker=worker, pid=os.getpid(), start_ticks=own_start_ticks(), engine=engine)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="stress_scenarios.worker", description="One load process of a campaign.")
    parser.add_argument("--worker", type=int, required=True, help="its number within the campaign")
    parser.add_argument("--engine", choices=[name.value for name in EngineName], required=True)
    parser.add_argument("--page", required=True, help="path of its load page, which exists already")
    parser.add_argument("--parent-pid", type=int, required=True, help="who starts it; any other parent is refused")
    parser.add_argument("--drill-fault", choices=[fault.value for fault in DrillFault], default=DrillFault.NONE.value)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
