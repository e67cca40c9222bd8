"""Nights that may not start: each refused before anything runs, with its exit code and what to do next."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from safety_monitoring import registry
from safety_monitoring.messages import StopCause
from stress_scenarios.demo_process import DemoProcess
from tests.stress_scenarios.rude_servers import hang, saying_once
from tests.support.moody_server import moody_server
from tests.support.night_plans import night_plan
from tests.support.nights import Answer, Home, new_home
from tests.support.servers import demo_service, free_port

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

PAGE = ("{name: page, path: /health}",)

USAGE, REFUSED = 2, 6


@pytest.fixture(scope="module")
def shop() -> Iterator[DemoProcess]:
    """A target in good order."""
    with demo_service() as process:
        yield process


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A place where nothing ran yet."""
    return new_home(tmp_path / "home")


def _run(home: Home, plan: str, *options: str) -> Answer:
    answer = home.command("run", home.write_plan(plan), "--yes", *options)
    assert home.run_names() == set(), "a refused night leaves no run behind"
    assert "Traceback" not in answer.err
    assert registry.entries(str(home.state_dir)) == ()
    return answer


def test_a_dead_target_is_refused(home: Home) -> None:
    """Nobody listens: 6, and the message says where and what to do."""
    port = free_port()
    answer = _run(home, night_plan(f"http://127.0.0.1:{port}"))
    assert answer.exit_code == REFUSED
    assert f"nothing listens on 127.0.0.1 (127.0.0.1) port {port}" in " ".join(answer.err.split())
    assert "start the server" in answer.err


def test_a_target_that_does_not_speak_http_is_refused(home: Home) -> None:
    """An answer that is not HTTP: 6."""
    with moody_server({"/": saying_once(b"SSH-2.0-something\r\n\r\n")}) as server:
        server.be_rude()
        answer = _run(home, night_plan(server.url))
    assert answer.exit_code == REFUSED
    assert "not in HTTP" in " ".join(answer.err.split())


def test_a_target_that_hangs_is_refused(home: Home) -> None:
    """A connection that is taken and never answered: 6, after the probe's two seconds."""
    with moody_server({"/": hang}) as server:
        server.be_rude()
        answer = _run(home, night_plan(server.url))
    assert answer.exit_code == REFUSED
    assert "did not answer within 2 s" in " ".join(answer.err.split())


def test_a_public_target_is_refused(home: Home) -> None:
    """An address outside loopback and private ranges: 6, naming the flag that would allow it; nothing is sent."""
    answer = _run(home, night_plan("http://192.0.2.1:9"))
    assert answer.exit_code == REFUSED
    assert "--allow-target" in answer.err


def test_a_stop_file_of_the_runs_directory_refuses(home: Home, shop: DemoProcess) -> None:
    """A STOP file that an earlier evening left: 6, and `reset` takes it away."""
    home.runs_dir.mkdir()
    stop = home.runs_dir / "STOP"
    stop.touch()
    answer = _run(home, night_plan(shop.url, scenario=PAGE))
    assert answer.exit_code == REFUSED
    assert str(stop) in "".join(answer.err.split()).replace("->", "")
    assert "reset" in answer.err
    assert stop.exists(), "a refused start changes nothing"


def test_a_latched_stop_refuses(home: Home, shop: DemoProcess) -> None:
    """An emergency stop that nobody has reset: 6, with its cause."""
    home.runs_dir.mkdir()
    registry.ensure_state_directory(str(home.state_dir))
    registry.latch(
        str(home.state_dir), str(home.runs_dir), cause=StopCause.STOP_FILE, detail="smoke in room 4", utc_s=time.time()
    )
    answer = _run(home, night_plan(shop.url, scenario=PAGE))
    assert answer.exit_code == REFUSED
    assert "smoke in room 4" in " ".join(answer.err.split())
    assert "reset" in answer.err


@pytest.mark.parametrize("where", ["a_file/runs", "/proc/daybreak-runs"], ids=["below a file", "below /proc"])
def test_a_runs_directory_that_cannot_be_written_is_refused(home: Home, shop: DemoProcess, where: str) -> None:
    """Where no run directory can be made, nothing starts: 6, and another place is asked for (also of root)."""
    (home.path / "a_file").touch()
    answer = _run(home, night_plan(shop.url, scenario=PAGE), "--runs-dir", where)
    assert answer.exit_code == REFUSED
    assert "--runs-dir" in answer.err


def test_a_host_at_the_guardians_limit_is_refused(home: Home, shop: DemoProcess) -> None:
    """A memory limit below what is in use already would only ease: 6 instead."""
    answer = _run(home, night_plan(shop.url, scenario=PAGE, memory_percent=0.5))
    assert answer.exit_code == REFUSED
    assert "guardian's limit of 0.5 %" in " ".join(answer.err.split())


@pytest.mark.parametrize("run_id", ["../runs", "..", "a/b", "/etc", ".hidden"])
def test_a_run_id_that_is_a_path_is_refused(home: Home, run_id: str) -> None:
    """`report` takes the name of a run and nothing that leads elsewhere: 2."""
    answer = home.command("report", run_id)
    assert answer.exit_code == USAGE
    assert "is not a run id" in answer.err
