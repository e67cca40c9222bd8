"""The tests' own servers and guards: they have to be right before anything measured with them is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from stress_scenarios.demo_process import DemoProcess
from tests.support.processes import SESSION_VARIABLE, end_leftovers, marked_processes
from tests.support.servers import HttpServer, NginxServer, free_port, nginx_server
from tests.support.skips import skip_allowed

HANG_S_MAX = 60.0


def client_of(url: str) -> httpx.Client:
    """A client that takes nothing from the environment."""
    return httpx.Client(base_url=url, timeout=HANG_S_MAX, trust_env=False)


@pytest.mark.process
def test_nginx_counts_requests_and_not_the_wait_for_it(nginx: NginxServer) -> None:
    """The access log has exactly the requests that were made, with the client's port, and none of the readiness wait."""
    assert nginx.requests() == ()
    with client_of(nginx.url) as client:
        assert client.get("/").status_code == 200
        assert client.get("/missing?a=%22b%22", headers={"User-Agent": 'a "quoted" one'}).status_code == 404
    lines = nginx.requests(at_least=2)
    assert [(line.method, line.path, line.status) for line in lines] == [
        ("GET", "/", 200),
        ("GET", "/missing?a=%22b%22", 404),
    ]
    assert lines[0].remote_port == lines[1].remote_port > 0
    assert lines[1].user_agent == 'a "quoted" one'


@pytest.mark.process
def test_nginx_takes_further_configuration(tmp_path: Path) -> None:
    """The extra text lands in the server block."""
    with (
        nginx_server(tmp_path / "one", extra="location /teapot { return 418; }") as server,
        client_of(server.url) as client,
    ):
        assert client.get("/teapot").status_code == 418


@pytest.mark.process
def test_a_stopped_nginx_leaves_nothing(tmp_path: Path) -> None:
    """After its context the port is free and master and worker are gone."""
    with nginx_server(tmp_path / "one") as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii").split()
        assert children
    assert not any(Path(f"/proc/{pid}").exists() for pid in [str(server.pid), *children])
    with pytest.raises(httpx.ConnectError), client_of(server.url) as client:
        client.get("/")


@pytest.mark.process
def test_httpbin_answers(httpbin: HttpServer) -> None:
    """The operations that the campaign tests mix are there."""
    with client_of(httpbin.url) as client:
        assert client.get("/get").status_code == 200
        assert client.post("/post", json={"a": 1}).json()["json"] == {"a": 1}
        assert client.get("/status/500").status_code == 500


@pytest.mark.process
def test_the_demo_fixture_runs(demo: DemoProcess) -> None:
    """The bundled service answers at its address."""
    with client_of(demo.url) as client:
        assert client.get("/health").json()["status"] == "ok"


def test_free_ports_differ() -> None:
    """A port just given is not given again at once (the kernel walks its range at random)."""
    assert len({free_port() for _ in range(5)}) > 1


def test_the_state_directory_is_private(state_dir: Path) -> None:
    """Only its owner may look into it, and the product is told to use it."""
    assert state_dir.stat().st_mode & 0o777 == 0o700
    assert os.environ["DAYBREAK_STATE_DIR"] == str(state_dir)


@pytest.mark.process
def test_a_process_left_running_is_found_and_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark is inherited through a new session, and what bears it too long is killed and told."""
    monkeypatch.setattr("tests.support.processes.LEAVE_S_MAX", 0.2)
    mark = f"guard-{os.getpid()}"
    environment = {**os.environ, SESSION_VARIABLE: mark}
    code = "import time; print('up', flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        assert [left.pid for left in marked_processes(mark)] == [process.pid]
        assert [left.pid for left in end_leftovers(mark)] == [process.pid]
        process.wait(HANG_S_MAX)
    assert end_leftovers(mark) == ()


@pytest.mark.parametrize(
    ("reason", "allowed"),
    [
        ("hardware: no battery", True),
        ("Skipped: kernel: no pressure files", True),
        ("nginx is not installed", False),
        ("", False),
        ("no hardware: battery", False),
    ],
)
def test_only_what_no_installation_can_change_may_be_skipped(reason: str, *, allowed: bool) -> None:
    """The reason starts with hardware: or kernel:, or the skip is a failure."""
    assert skip_allowed(reason) is allowed


@pytest.mark.process
def test_a_skip_without_such_a_reason_fails_the_run(tmp_path: Path) -> None:
    """In a run with our conftest, lazy skips of tests and modules fail; honest ones and expected failures do not."""
    root = Path(__file__).resolve().parents[2]
    suite = tmp_path / "suite"  # not "tests": that name is where our support lives
    suite.mkdir()
    shutil.copy(root / "tests" / "conftest.py", suite)
    (suite / "test_lazy.py").write_text(
        "import pytest\n"
        "@pytest.mark.skip(reason='later')\n"
        "def test_marked(): pass\n"
        "def test_inside(): pytest.skip('no server')\n"
        "@pytest.mark.skip(reason='hardware: no battery')\n"
        "def test_honest(): pass\n"
        "@pytest.mark.xfail(reason='known')\n"
        "def test_expected(): raise ValueError\n",
        encoding="ascii",
    )
    (suite / "test_module.py").write_text(
        "import pytest\npytest.skip('whole module', allow_module_level=True)\n", encoding="ascii"
    )
    (tmp_path / "pytest.ini").write_text(f"[pytest]\npythonpath = {root}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    run = subprocess.run(
        [*command, "--import-mode=importlib", str(suite)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=HANG_S_MAX,
        check=False,
    )
    closing = (run.stdout + run.stderr).strip().splitlines()[-1]
    assert run.returncode == 1, run.stdout + run.stderr
    for part in ("1 failed", "1 skipped", "1 xfailed", "2 errors"):  # a marked skip fails in set-up
        assert part in closing
