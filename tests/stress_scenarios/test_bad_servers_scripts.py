"""Scripts that ask for what cannot be, whole loads of them: the load ends in time, and everything is counted."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.arrival_replay import ReplayError, sha256_of_replay
from stress_scenarios.engines.engine import UNSENT_PAUSE_S, EngineError
from stress_scenarios.engines.httpx_engine import HttpxEngine
from stress_scenarios.engines.wire_engine import WireEngine
from stress_scenarios.feeder import FeederError, sha256_of_feeder
from stress_scenarios.load_plan import EngineName, ErrorClass, Extraction, JsonCheck, Source
from stress_scenarios.messages import Prepare
from stress_scenarios.python_scenario import PythonScenarioError, sha256_of_code
from stress_scenarios.scenario import ready_requests
from stress_scenarios.solo_worker import SoloWorker, SoloWorkerError
from tests.stress_scenarios.bad_server_rig import Load, Way, an_order_for, run_against
from tests.stress_scenarios.orders import Operation, an_order, target_at
from tests.stress_scenarios.rude_servers import by_path
from tests.stress_scenarios.scripted_rig import a_feeder, a_scripted_order, code_operation, operation, some_code
from tests.stress_scenarios.wire_load_rig import permitting_page
from tests.stress_scenarios.worker_rig import HANG_S, ready

ASKED = (Way.WIRE_ASKED, Way.HTTPX_ASKED)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

FLOWS = """
import socket

async def asks(session):
    await session.get("/\\ud800", name="ask")

async def asks_again(session):
    while True:
        try:
            await session.get("/\\ud800", name="ask")
        except Exception:
            pass

async def listens(session):
    await session.get("/", name="ask")
    here, there = socket.socketpair()
    with here, there:
        here.recv(1)
"""


@pytest.fixture
def page(tmp_path: Path) -> Iterator[LoadPage]:
    """A page with a lease that lasts, at full share."""
    with permitting_page(tmp_path) as page:
        yield page


def play(way: Way, page: LoadPage, directory: Path, function: str, *, hold_s: float) -> Load:
    """A load of code, unpaced."""
    code = some_code(directory / "flow.py", FLOWS, function=function)
    order = replace(an_order_for(way, code_operation("ask"), connections=1, hold_s=hold_s), code=code)
    return run_against(way, page, order, by_path({"/": OK}))


@pytest.mark.parametrize("function", ["asks", "asks_again"])
@pytest.mark.parametrize("way", ASKED)
@pytest.mark.timeout(30)
def test_what_cannot_be_sent_does_not_stop_the_loop(way: Way, function: str, tmp_path: Path, page: LoadPage) -> None:
    """Neither sessions that ask for it one after another nor one that asks again and again; nobody is asked.

    Before there was a pause, such a load never ended, not even when its share was taken away.
    """
    hold_s = 0.1
    load = play(way, page, tmp_path, function, hold_s=hold_s)
    ended = load.operations["ask"]
    assert 1 <= ended.failed <= hold_s / UNSENT_PAUSE_S + 2
    assert ended.succeeded == 0
    assert ended.classes <= {ErrorClass.SCENARIO, ErrorClass.CLIENT}
    assert (load.connections.opened, load.drained.bytes_sent) == (0, 0)


def test_code_that_waits_on_a_socket_of_its_own_is_interrupted(tmp_path: Path, page: LoadPage) -> None:
    """As other blocking code is; the session ends with it."""
    load = play(Way.WIRE_ASKED, page, tmp_path, "listens", hold_s=0.1)
    ended = load.operations["ask"]
    assert ended.failed >= 1
    assert ended.classes == {ErrorClass.SCENARIO}
    assert all("ScenarioBlockedError" in message for _, message in ended.errors)


@pytest.mark.parametrize("way", ASKED)
def test_values_that_are_no_text_are_failures_and_never_a_crash(way: Way, page: LoadPage) -> None:
    """JSON can name halves of characters: a server that says them, where a plan puts them into its next request."""
    half = rb'{"half": "\ud800"}'
    answers = {"/": OK, "/half": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(half), half)}
    operations = (
        operation("take", "/half", extract=(Extraction(variable="half", source=Source.JSON, expression="$.half"),)),
        operation("path", "/${half}"),
        operation("query", "/?${half}"),
        operation("header", "/", headers={"X": "${half}"}),
        operation("body", "/", method="PUT", json='{"half": "${half}"}'),
        operation("check", "/half", checks=(JsonCheck(path="$.half", expected='"${half}"'),)),
        operation("checked", "/half", checks=(JsonCheck(path="$.half", expected='"whole"'),)),
    )
    order = an_order_for(way, *operations, connections=1, hold_s=10.0)
    load = run_against(way, page, order, by_path(answers), release_after=2)
    assert load.operations["take"].succeeded >= 2
    assert load.operations["header"].classes <= {ErrorClass.SCENARIO, ErrorClass.CLIENT}
    assert load.operations["header"].succeeded == 0
    assert load.operations["checked"].classes == {ErrorClass.CHECK}


@pytest.mark.parametrize(
    "url",
    ["", "http", "//h", "http:///x", "ftp://h", "http://[zz]", "http://[::1", "http://h:x", "http://h\u2028h", "h:9"],
)
@pytest.mark.parametrize("engine", [WireEngine, HttpxEngine])
def test_both_engines_refuse_a_malformed_url(engine: Callable[[], WireEngine | HttpxEngine], url: str) -> None:
    """Before the load, with what to write."""
    order = replace(an_order(), target=replace(target_at(9), url=url))
    with pytest.raises(EngineError, match="write"):
        engine().prepare(target=order.target, requests=ready_requests(order), response_bytes_max=1)


@pytest.mark.parametrize("engine", [WireEngine, HttpxEngine])
def test_both_engines_refuse_a_path_that_is_no_text(engine: Callable[[], WireEngine | HttpxEngine]) -> None:
    """Half a character cannot be sent."""
    order = an_order(Operation(path="/\ud800"))
    with pytest.raises(EngineError, match="ud800"):
        engine().prepare(target=order.target, requests=ready_requests(order), response_bytes_max=1)


@pytest.mark.parametrize(
    ("read", "error"),
    [(sha256_of_feeder, FeederError), (sha256_of_replay, ReplayError), (sha256_of_code, PythonScenarioError)],
)
@pytest.mark.parametrize("kind", ["pipe", "directory", "device", "missing"])
@pytest.mark.timeout(30)
def test_what_is_no_plain_file_is_refused_and_not_waited_for(
    read: Callable[[str], str], error: type[Exception], kind: str, tmp_path: Path
) -> None:
    """A pipe that nobody writes to would be waited for without end, and a device read without end."""
    path = tmp_path / kind
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    with pytest.raises(error, match=r"cannot be read: (it is not a plain file|No such file)"):
        read("/dev/zero" if kind == "device" else str(path))


@pytest.mark.process
def test_a_file_that_was_changed_since_the_plan_ends_the_worker_with_a_word(tmp_path: Path) -> None:
    """A load over other rows than the plan counted would be another load; nothing is sent."""
    feeder = a_feeder(tmp_path / "users.csv", "name\nada\n")
    Path(feeder.path).write_text("name\ngrace\n", encoding="utf-8")
    order = a_scripted_order(operation("use", "/${users.name}"), feeders=(feeder,))
    with SoloWorker(tmp_path, engine=EngineName.WIRE) as worker:
        ready(worker)
        worker.send(Prepare(order=order))
        with pytest.raises(SoloWorkerError, match=r"users\.csv was changed since the plan was made"):
            worker.next_report(HANG_S)
