"""WebSocket loads through a real worker, with both engines: what is reported is what the server counted."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stress_scenarios.load_plan import (
    EngineName,
    ErrorClass,
    Extraction,
    JsonCheck,
    LoadOrder,
    OperationSpec,
    Source,
    Unpaced,
    WebSocketRequest,
)
from stress_scenarios.messages import Drained, Go, Prepare, Prepared, WindowReport, WorkerReady
from stress_scenarios.solo_worker import SoloWorker
from tests.stress_scenarios.orders import Operation, an_order
from tests.stress_scenarios.websocket_rig import BY_ID
from tests.stress_scenarios.websocket_servers import EchoServer, echo_server

pytestmark = pytest.mark.process

HANG_S = 30.0


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[EchoServer]:
    """Run an echo server with counts of zero."""
    with echo_server(tmp_path / "echo") as server:
        yield server


@pytest.fixture(params=[EngineName.HTTPX, EngineName.WIRE], ids=lambda name: name.value)
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Both engines: WebSockets are the same beside them."""
    name = request.param
    assert isinstance(name, EngineName)
    return name


def over_websocket(path: str, *, kind: WebSocketRequest = BY_ID, timeout_s: float = 5.0) -> OperationSpec:
    """An operation over WebSocket."""
    return replace(Operation(path=path, timeout_s=timeout_s).spec, name=f"websocket {path}", kind=kind)


def order_of(*operations: OperationSpec, port: int, connections: int = 4, hold_s: float = 0.5) -> LoadOrder:
    """Sessions of five operations at 20 a second."""
    order = an_order(port=port, connections=connections, per_session=5, rate=20.0, hold_s=hold_s)
    return replace(order, operations=operations)


def run(directory: Path, order: LoadOrder, engine: EngineName) -> tuple[Drained, list[WindowReport]]:
    """One whole load."""
    with SoloWorker(directory, engine=engine) as worker:
        assert isinstance(worker.next_report(HANG_S), WorkerReady)
        worker.send(Prepare(order=order))
        assert isinstance(worker.next_report(HANG_S), Prepared)
        worker.send(Go(segment=order.segment, start_mono_s=time.monotonic() + 0.05))
        windows: list[WindowReport] = []
        while True:
            report = worker.next_report(HANG_S)
            if isinstance(report, Drained):
                return report, windows
            assert isinstance(report, WindowReport)
            windows.append(report)


def errors_of(windows: list[WindowReport]) -> Counter[tuple[int, ErrorClass]]:
    """Failures by operation and class."""
    counted: Counter[tuple[int, ErrorClass]] = Counter()
    for window in windows:
        for error in window.errors:
            counted[error.operation, error.error] += error.count
    return counted


def test_a_load_over_websocket_counts_what_the_server_counts(tmp_path: Path, echo: EchoServer) -> None:
    """Operations, messages in both directions, and connections; pushes are messages and no operations."""
    order = order_of(over_websocket("/pushing"), port=echo.port)
    drained, windows = run(tmp_path, order, EngineName.WIRE)
    seen = echo.seen()
    assert drained.operations_started == drained.operations_succeeded == seen["received"] > 0
    assert drained.operations_started >= 0.9 * drained.operations_requested
    assert (drained.messages_sent, drained.messages_received) == (seen["received"], seen["sent"])
    assert sum(window.messages_sent for window in windows) == drained.messages_sent
    assert sum(window.messages_received for window in windows) == drained.messages_received
    assert (drained.connections_opened, drained.reconnects) == (seen["connections"], 0)
    assert drained.connections_opened >= drained.operations_started // 5
    assert set(seen["closes"]) == {1000}
    assert drained.bytes_sent > 0


def test_http_and_websocket_in_one_load_are_both_counted(tmp_path: Path, echo: EchoServer, engine: EngineName) -> None:
    """Towards one port; the mix alternates, and each side has its own count."""
    page = replace(Operation(path="/page").spec, body_contains=("hello",))
    order = order_of(page, over_websocket("/echo"), port=echo.port)
    drained, windows = run(tmp_path, order, engine)
    seen = echo.seen()
    done = Counter[int]()
    for window in windows:
        for operation in window.operations:
            done[operation.operation] += operation.succeeded
    assert (done[0], done[1]) == (seen["pages"], seen["received"])
    assert sum(done.values()) == drained.operations_started == drained.operations_succeeded
    assert abs(done[0] - done[1]) <= order.connections
    assert drained.messages_sent == done[1]


def test_breaks_and_wrong_replies_are_counted_as_they_were(tmp_path: Path, echo: EchoServer) -> None:
    """One reset and one reconnect for every fourth message, one unmatched reply for each wrong one."""
    order = replace(
        order_of(over_websocket("/drop"), over_websocket("/wrong"), port=echo.port, connections=2),
        operations_per_session=10,
    )
    drained, windows = run(tmp_path, order, EngineName.WIRE)
    seen = echo.seen()
    errors = errors_of(windows)
    wrong = errors[1, ErrorClass.UNMATCHED]
    assert wrong == sum(window_operations(windows, 1)) > 0
    assert errors[0, ErrorClass.RESET] > 0
    assert drained.operations_succeeded + errors[0, ErrorClass.RESET] + wrong == drained.operations_started
    assert drained.messages_received == seen["sent"] == drained.operations_started - errors[0, ErrorClass.RESET]
    assert 0 < drained.reconnects <= errors[0, ErrorClass.RESET]
    assert drained.connections_opened == seen["connections"]


def window_operations(windows: list[WindowReport], index: int) -> list[int]:
    """How many of this operation ended in each window."""
    return [
        operation.succeeded + operation.failed
        for window in windows
        for operation in window.operations
        if operation.operation == index
    ]


def test_what_a_reply_holds_is_checked_and_extracted(tmp_path: Path, echo: EchoServer) -> None:
    """As of an HTTP answer: a check that fails is a CHECK, a value goes on into the next message."""
    asks = replace(
        over_websocket("/echo"),
        checks=(JsonCheck(path="$.ok", expected="true"),),
        extractions=(Extraction(variable="last", source=Source.JSON, expression="$.id"),),
    )
    fails = replace(asks, name="fails", checks=(JsonCheck(path="$.ok", expected="false"),), extractions=())
    uses = replace(
        over_websocket("/echo"),
        name="uses",
        kind=replace(BY_ID, message='{"id": "${request_id}", "last": "${last}"}'),
    )
    order = replace(order_of(asks, fails, uses, port=echo.port, connections=1), pace=Unpaced(), hold_s=0.3)
    drained, windows = run(tmp_path, order, EngineName.WIRE)
    errors = errors_of(windows)
    assert set(errors) <= {(1, ErrorClass.CHECK), (2, ErrorClass.SCENARIO)}
    assert errors[1, ErrorClass.CHECK] == sum(window_operations(windows, 1)) > 0
    assert drained.operations_succeeded > 0
    assert drained.messages_sent == echo.seen()["received"]
