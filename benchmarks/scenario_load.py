"""Our own coroutines as a contestant: one Python scenario, unpaced, in one worker, for so many seconds.

Usage: ``python benchmarks/scenario_load.py URL CONNECTIONS SECONDS``; it prints how many operations succeeded. The
scenario below is what a user writes; everything that a campaign accounts for is accounted for.
"""

import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in (None, ""):  # run as a file: its folder is on the path instead of the folder above
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from baseline_metrics.target_policy import PinnedTarget, resolve_target, system_resolver
from stress_scenarios.load_plan import (
    EngineName,
    LoadOrder,
    NoBody,
    OperationSpec,
    PythonScenario,
    Stage,
    TargetSpec,
    Unpaced,
)
from stress_scenarios.messages import Drained, Go, Prepare, Prepared, WorkerReady
from stress_scenarios.solo_worker import SoloWorker

if TYPE_CHECKING:
    from stress_scenarios.scenario_session import ScenarioSession

START_S_MAX = 30.0


async def browse(session: "ScenarioSession") -> None:
    """One session of a virtual user: a GET after another."""
    for _ in range(1_000_000):
        await session.get("/", name="GET")


def main() -> int:
    """Make the load and say how much there was."""
    url, connections, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    pinned = resolve_target(url, allow=(), resolver=system_resolver)
    assert isinstance(pinned, PinnedTarget), pinned
    target = TargetSpec(
        name=pinned.host, url=pinned.url, address=pinned.address, port=pinned.port, headers=(), ca_file=""
    )
    operation = OperationSpec(
        name="GET",
        weight=1.0,
        method="GET",
        path="/",
        headers=(),
        body=NoBody(),
        expected_status=(200,),
        body_contains=(),
        timeout_s=10.0,
        stage=Stage.CODE,
    )
    here = Path(__file__).resolve()
    order = LoadOrder(
        segment=0,
        target=target,
        operations=(operation,),
        connections=connections,
        connection_offset=0,
        connections_total=connections,
        operations_per_session=1000,
        pace=Unpaced(),
        ramp_s=0.0,
        hold_s=seconds,
        drain_s=5.0,
        response_bytes_max=1 << 20,
        seed=1,
        code=PythonScenario(code=f"{here}:{browse.__name__}", sha256=hashlib.sha256(here.read_bytes()).hexdigest()),
    )
    with (
        tempfile.TemporaryDirectory(prefix="daybreak-bench-") as directory,
        SoloWorker(Path(directory), engine=EngineName.WIRE) as worker,
    ):
        assert isinstance(worker.next_report(START_S_MAX), WorkerReady)
        worker.send(Prepare(order=order))
        assert isinstance(worker.next_report(START_S_MAX), Prepared)
        worker.send(Go(segment=0, start_mono_s=time.monotonic() + 0.05))
        while not isinstance(report := worker.next_report(START_S_MAX), Drained):
            pass
        print(report.operations_succeeded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
