"""Scripted sessions in a real worker against real servers: log in, extract, use, upload from a feeder, check; and code."""

from pathlib import Path

import pytest

from stress_scenarios.load_plan import (
    EngineName,
    ErrorClass,
    Extraction,
    FeederOrder,
    JsonCheck,
    JsonPresent,
    LatencyCheck,
    Paced,
    RegexCheck,
    SizeCheck,
    Source,
    Stage,
    Unpaced,
)
from tests.stress_scenarios.scripted_rig import (
    Counts,
    a_feeder,
    a_scripted_order,
    code_operation,
    operation,
    run_in_worker,
    some_code,
)
from tests.support.servers import HttpServer, NginxServer

pytestmark = pytest.mark.process

USERS = 'name,text\nann,plain\n"bo ""b""","two\nlines, ä"\n'


@pytest.fixture(params=[EngineName.HTTPX, EngineName.WIRE], ids=lambda name: name.value)
def engine(request: pytest.FixtureRequest) -> EngineName:
    """Both engines: what holds for one holds for the other."""
    name = request.param
    assert isinstance(name, EngineName)
    return name


def test_a_declared_session_logs_in_uses_its_token_and_uploads_from_a_feeder(
    tmp_path: Path, httpbin: HttpServer, engine: EngineName
) -> None:
    """Setup, mix and teardown in their order; the token of one answer is in the next request; JSON is what was sent."""
    order = a_scripted_order(
        operation(
            "log in",
            "/uuid",
            stage=Stage.SETUP,
            extract=(
                Extraction(variable="token", source=Source.JSON, expression="$.uuid"),
                Extraction(variable="server", source=Source.HEADER, expression="Server"),
                Extraction(variable="start", source=Source.REGEX, expression=r'"uuid": "(\w{4})'),
            ),
        ),
        operation(
            "look",
            "/bearer",
            headers={"Authorization": "Bearer ${token}"},
            checks=(
                JsonCheck(path="$.authenticated", expected="true"),
                JsonCheck(path="$.token", expected='"${token}"'),
                RegexCheck(pattern="(?m)^.*token"),
                LatencyCheck(service_s_max=5.0),
            ),
        ),
        operation(
            "upload",
            "/anything/${users.name}?start=${start}",
            method="POST",
            json='{"name": "${users.name}", "text": "${users.text}", "literal": "$${x}", "n": ${number}}',
            checks=(
                JsonCheck(path="$.json.name", expected='"${users.name}"'),
                JsonCheck(path="$.json.text", expected='"${users.text}"'),
                JsonCheck(path="$.json.literal", expected='"$${x}"'),
                JsonCheck(path="$.args.start", expected='"${start}"'),
                JsonPresent(path="$.json.n"),
                SizeCheck(bytes_min=10, bytes_max=10_000),
            ),
        ),
        operation("log out", "/status/204", stage=Stage.TEARDOWN, expected=(204,)),
        port=httpbin.port,
        feeders=(a_feeder(tmp_path / "users.csv", USERS),),
        per_session=2,
        connections=2,
        pace=Paced(operations_per_s=40.0),
        hold_s=0.5,
    )
    ran = run_in_worker(tmp_path / "worker", order, engine)
    assert ran.errors == {}
    counts = ran.counts
    drained = ran.drained
    assert 0.8 * 40 <= drained.operations_started == drained.operations_succeeded <= 40
    assert counts["log in"].started == drained.connections_opened
    assert 0 <= counts["log in"].started - counts["log out"].started <= 2
    assert abs(counts["look"].started - counts["upload"].started) <= 2
    assert drained.reconnects == 0
    assert drained.bytes_sent > drained.operations_started * 50


def test_one_row_for_each_session_and_an_end_when_they_are_used_up(
    tmp_path: Path, nginx: NginxServer, engine: EngineName
) -> None:
    """The server sees each row once; what comes after the last one is counted as failed and not sent."""
    rows = [f"row{number}" for number in range(6)]
    order = a_scripted_order(
        operation("use", "/index.html?u=${users.u}"),
        port=nginx.port,
        connections=2,
        per_session=1,
        pace=Unpaced(),
        hold_s=0.5,
        feeders=(a_feeder(tmp_path / "users.csv", "u\n" + "\n".join(rows) + "\n", order=FeederOrder.UNIQUE),),
    )
    ran = run_in_worker(tmp_path / "worker", order, engine)
    counts = ran.counts["use"]
    assert sorted(line.path.partition("u=")[2] for line in nginx.requests(at_least=6)) == rows
    assert counts.succeeded == 6
    assert counts.started == counts.succeeded + counts.failed == ran.drained.operations_started
    assert ran.errors == {("use", ErrorClass.SCENARIO, "feeder users is dry after 6 rows"): counts.failed}
    assert 2 < counts.failed <= 110, "two connections that pause 10 ms each time"


PYTHON_FLOW = """
async def browse(session):
    user = session.feed("users")
    reply = await session.get("/uuid", name="log in")
    token = reply.json()["uuid"]
    reply = await session.get("/bearer", name="look", headers={"Authorization": f"Bearer {token}"})
    if reply.json()["token"] != token:
        session.fail("another token")
    await session.think(session.random.uniform(0.0, 0.01))
    reply = await session.post("/anything", name="upload", json={"text": user["text"]}, expect=(200, 201))
    if reply.json()["json"] != {"text": user["text"]}:
        session.fail("another text")
    reply = await session.get("/redirect/2", name="moved", redirects=2)
    assert reply.redirects == 2 and reply.status == 200
"""


def test_the_same_in_python(tmp_path: Path, httpbin: HttpServer, engine: EngineName) -> None:
    """Log in, take the token out, use it, upload from a feeder, check JSON, follow redirects."""
    order = a_scripted_order(
        *(code_operation(name) for name in ("log in", "look", "upload", "moved")),
        port=httpbin.port,
        connections=2,
        pace=Paced(operations_per_s=40.0),
        hold_s=0.5,
        feeders=(a_feeder(tmp_path / "users.csv", USERS),),
        code=some_code(tmp_path / "flow.py", PYTHON_FLOW),
    )
    ran = run_in_worker(tmp_path / "worker", order, engine)
    assert ran.errors == {}
    counts = ran.counts
    assert 0.8 * 40 <= ran.drained.operations_started == ran.drained.operations_succeeded <= 40
    assert counts["log in"].started == ran.drained.connections_opened
    assert 0 <= counts["log in"].started - counts["moved"].started <= 2
    assert ran.drained.redirects == 2 * counts["moved"].started


RUDE_FLOW = """
import time

sessions = 0

async def raises(session):
    await session.get("/index.html", name="use")
    raise ValueError("on purpose")

async def blocks(session):
    global sessions
    sessions += 1
    await session.get("/index.html", name="use")
    if sessions == 2:
        time.sleep(30)
"""


def test_code_that_raises_is_counted_and_the_load_goes_on(
    tmp_path: Path, nginx: NginxServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every session ends with the error; the server was asked each time; the log has one traceback."""
    code = some_code(tmp_path / "flow.py", RUDE_FLOW, function="raises")
    order = a_scripted_order(
        code_operation("use"), port=nginx.port, code=code, pace=Paced(operations_per_s=40.0), hold_s=0.5
    )
    ran = run_in_worker(tmp_path / "worker", order, EngineName.WIRE)
    started = ran.drained.operations_started
    assert started >= 10
    assert ran.counts["use"] == Counts(started=started, succeeded=0, failed=started)
    assert ran.errors == {("use", ErrorClass.SCENARIO, "flow.py:8: ValueError: on purpose"): started}
    assert len(nginx.requests(at_least=started)) == started
    assert capfd.readouterr().err.count("Traceback") == 1


def test_code_that_blocks_is_interrupted_and_the_load_goes_on(tmp_path: Path, nginx: NginxServer) -> None:
    """One session sleeps for thirty seconds without the loop; the worker lives, and goes on after about one."""
    order = a_scripted_order(
        code_operation("use"),
        port=nginx.port,
        pace=Paced(operations_per_s=10.0),
        hold_s=2.0,
        code=some_code(tmp_path / "flow.py", RUDE_FLOW, function="blocks"),
    )
    ran = run_in_worker(tmp_path / "worker", order, EngineName.WIRE)
    (((name, error, message), count),) = ran.errors.items()
    assert (name, error, count) == ("use", ErrorClass.SCENARIO, 1)
    assert message.startswith("flow.py:15: ScenarioBlockedError")
    counts = ran.counts["use"]
    assert counts.started == len(nginx.requests(at_least=counts.started))
    assert counts.succeeded >= 3
    assert ran.drained.operations_abandoned == 0
