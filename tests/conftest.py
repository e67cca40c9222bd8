"""What every room's tests share: real servers, a private state directory, and two house rules enforced on each run.

A skipped test fails unless its reason starts with ``hardware:`` or ``kernel:``, and no process that a test started may
outlive the session.
"""

import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from stress_scenarios.demo_process import DemoProcess
from tests.support.processes import SESSION_VARIABLE, end_leftovers
from tests.support.servers import HttpServer, NginxServer, demo_service, httpbin_server, nginx_server
from tests.support.skips import reason_of, refusal, skip_allowed

settings.register_profile(
    "daybreak",
    deadline=None,  # a busy machine is not a defect of the code under test
    print_blob=True,  # a failure can be replayed from the log alone
    derandomize=os.environ.get("CI") == "true",  # the same commit gives the same result
    suppress_health_check=[HealthCheck.too_slow],  # as for the deadline
)
settings.load_profile("daybreak")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip without an acceptable reason into a failure, so that the closing line tells the truth."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and not skip_allowed(reason_of(report.longrepr)):
        report.longrepr = refusal(reason_of(report.longrepr))
        report.outcome = "failed"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Do the same for a module that skips itself."""
    report = yield
    if report.skipped and not skip_allowed(reason_of(report.longrepr)):
        report.longrepr = refusal(reason_of(report.longrepr))
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session", autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Mark all that this session starts; at its end nothing marked may run."""
    mark = uuid.uuid4().hex
    os.environ[SESSION_VARIABLE] = mark
    yield
    left = end_leftovers(mark)
    del os.environ[SESSION_VARIABLE]
    assert not left, f"left running by the tests (killed now): {left}"


@pytest.fixture
def nginx(tmp_path: Path) -> Iterator[NginxServer]:
    """Run an nginx with an empty access log, for one test."""
    with nginx_server(tmp_path / "nginx") as server:
        yield server


@pytest.fixture(scope="session")
def httpbin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpServer]:
    """Run httpbin under gunicorn; started once, as it keeps no state between requests."""
    with httpbin_server(tmp_path_factory.mktemp("httpbin")) as server:
        yield server


@pytest.fixture
def demo() -> Iterator[DemoProcess]:
    """Run the demo service without faults, for one test; ``POST /admin`` gives it some."""
    with demo_service() as process:
        yield process


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep registry, PERMIT, latch and locks of this test apart from the user's."""
    directory = tmp_path / "state"
    directory.mkdir(mode=0o700)
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(directory))
    return directory
