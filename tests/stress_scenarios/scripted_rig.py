"""Scripted orders for tests, and a real worker that carries one out."""

import hashlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stress_scenarios.load_plan import (
    NO_CODE,
    NO_THINK,
    Check,
    EngineName,
    ErrorClass,
    Extraction,
    FeederFormat,
    FeederOrder,
    FeederSpec,
    HeaderField,
    HttpRequest,
    LoadOrder,
    NoBody,
    NoCode,
    OperationSpec,
    Pace,
    Paced,
    PythonScenario,
    Stage,
    TextBody,
    ThinkTime,
    Variable,
    WebSocketRequest,
)
from stress_scenarios.messages import Drained, Go, Prepare, Prepared, WindowReport, WorkerReady
from stress_scenarios.solo_worker import SoloWorker
from tests.stress_scenarios.orders import target_at

HANG_S = 30.0
LEAD_S = 0.05

HTTP = HttpRequest()
NO_BODY = NoBody()
TWENTY_A_SECOND = Paced(operations_per_s=20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the page says about one operation."""

    started: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What became of an order."""

    drained: Drained
    windows: tuple[WindowReport, ...]
    counts: Mapping[str, Counts]

    @property
    def errors(self) -> Counter[tuple[str, ErrorClass, str]]:
        """How often each kind of failure happened: operation, class, message."""
        names = tuple(self.counts)
        found: Counter[tuple[str, ErrorClass, str]] = Counter()
        for window in self.windows:
            for error in window.errors:
                found[names[error.operation], error.error, error.message] += error.count
        return found


def operation(
    name: str,
    path: str = "/",
    *,
    method: str = "GET",
    stage: Stage = Stage.MIX,
    weight: float = 1.0,
    headers: Mapping[str, str] | None = None,
    json: str = "",
    body: NoBody | TextBody = NO_BODY,
    expected: tuple[int, ...] = (200,),
    contains: tuple[str, ...] = (),
    timeout_s: float = 5.0,
    extract: tuple[Extraction, ...] = (),
    checks: tuple[Check, ...] = (),
    think: ThinkTime = NO_THINK,
    kind: HttpRequest | WebSocketRequest = HTTP,
    redirects_max: int = 0,
) -> OperationSpec:
    """An operation of which only the interesting is said. json: a body of that type."""
    return OperationSpec(
        name=name,
        weight=weight,
        method=method,
        path=path,
        headers=tuple(HeaderField(name=header, value=value) for header, value in (headers or {}).items()),
        body=TextBody(content=json, content_type="application/json") if json else body,
        expected_status=expected,
        body_contains=contains,
        timeout_s=timeout_s,
        stage=stage,
        extractions=extract,
        checks=checks,
        think=think,
        kind=kind,
        redirects_max=redirects_max,
    )


def code_operation(name: str, *, timeout_s: float = 5.0) -> OperationSpec:
    """An operation for code."""
    return operation(name, stage=Stage.CODE, timeout_s=timeout_s)


def a_scripted_order(
    *operations: OperationSpec,
    port: int = 9,
    connections: int = 1,
    connection_offset: int = 0,
    connections_total: int = 0,
    per_session: int = 2,
    pace: Pace = TWENTY_A_SECOND,
    hold_s: float = 1.0,
    drain_s: float = 2.0,
    seed: int = 0,
    variables: Mapping[str, str] | None = None,
    feeders: tuple[FeederSpec, ...] = (),
    code: NoCode | PythonScenario = NO_CODE,
    segment: int = 0,
) -> LoadOrder:
    """A scripted order; connections_total is the worker's own connections unless said."""
    return LoadOrder(
        segment=segment,
        target=target_at(port),
        operations=operations,
        connections=connections,
        connection_offset=connection_offset,
        connections_total=connections_total or connection_offset + connections,
        operations_per_session=per_session,
        pace=pace,
        ramp_s=0.0,
        hold_s=hold_s,
        drain_s=drain_s,
        response_bytes_max=1 << 20,
        seed=seed,
        variables=tuple(Variable(name=name, value=value) for name, value in (variables or {}).items()),
        feeders=feeders,
        code=code,
    )


def a_feeder(
    path: Path,
    content: str | bytes,
    *,
    order: FeederOrder = FeederOrder.SEQUENTIAL,
    kind: FeederFormat = FeederFormat.CSV,
    name: str = "users",
) -> FeederSpec:
    """Write a feeder's file; its spec."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return FeederSpec(
        name=name, path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest(), format=kind, order=order
    )


def some_code(path: Path, source: str, *, function: str = "browse") -> PythonScenario:
    """Write a scenario's file; its place in an order."""
    path.write_text(source, encoding="utf-8")
    return PythonScenario(code=f"{path}:{function}", sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def run_in_worker(directory: Path, order: LoadOrder, engine: EngineName) -> Ran:
    """One whole load in a worker process of its own."""
    directory.mkdir(exist_ok=True)
    with SoloWorker(directory, engine=engine) as worker:
        assert isinstance(worker.next_report(HANG_S), WorkerReady)
        return run_once(worker, order)


def run_once(worker: SoloWorker, order: LoadOrder) -> Ran:
    """One whole load in this worker."""
    worker.send(Prepare(order=order))
    assert worker.next_report(HANG_S) == Prepared(worker=0, segment=order.segment)
    before = _counts(worker, order)
    worker.send(Go(segment=order.segment, start_mono_s=time.monotonic() + LEAD_S))
    windows: list[WindowReport] = []
    while True:
        report = worker.next_report(HANG_S)
        if isinstance(report, Drained):
            break
        assert isinstance(report, WindowReport)
        windows.append(report)
    counts = {
        name: Counts(
            started=after.started - before[name].started,
            succeeded=after.succeeded - before[name].succeeded,
            failed=after.failed - before[name].failed,
        )
        for name, after in _counts(worker, order).items()
    }
    return Ran(drained=report, windows=tuple(windows), counts=counts)


def at(order: LoadOrder, port: int) -> LoadOrder:
    """The same order for a target on this port."""
    return replace(order, target=target_at(port))


def _counts(worker: SoloWorker, order: LoadOrder) -> dict[str, Counts]:
    counts = {}
    for index, spec in enumerate(order.operations):
        page = worker.page.operation(index)
        counts[spec.name] = Counts(started=page.started, succeeded=page.succeeded, failed=page.failed)
    return counts
