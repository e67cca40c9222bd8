"""Real campaigns from the real command line: exit codes, signals, detaching, and reaching them from elsewhere.

One short plan against the bundled demo service; each test ends what it started.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from baseline_metrics.host_files import MarkedProcess, RunMark, marked_processes
from campaign import control
from campaign.control import AnyRun, Everywhere
from campaign.interfaces.exit_codes import Exit
from campaign.status import Status
from safety_monitoring import registry

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parent.parent.parent
LAUNCHER = ROOT / "launch_autonomous_testing.py"

HANG_S_MAX = 90.0
"""A campaign of these tests takes about 10 s on an idle machine."""

QUIET_S_MAX = 10.0
"""After a command has answered, a guardian may still be leaving; what is left after this is left."""

PLAN = """\
name: short
window: {{hours: 0.1}}
target: {{url: "http://127.0.0.1:8765"}}
scenario:
  - {{name: catalogue, path: /catalogue}}
levels:
  quick: {{pace: 20, success: 50, response: 5s}}
phases:
  - {{name: only, duration: {seconds}s, connections: 4, operations: 20, level: quick, required_health: 0}}
anchor: {{duration: 1s}}
baseline: {{idle: 1s}}
break: none
cooldown: none
ramp: {{percent: 0.5}}
health: {{minimum: 0}}
safety: {{cpu: 95}}
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """A working directory with a short and a long plan, and a state directory of its own."""

    directory: Path
    environ: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        """The launcher's command line."""
        return [sys.executable, str(LAUNCHER), *arguments]

    def do(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=HANG_S_MAX,
            check=False,
        )

    def begin(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a command."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def runs(self) -> list[Path]:
        """The run directories."""
        return [path for path in sorted((self.directory / "runs").glob("2*")) if path.is_dir()]

    def state(self) -> str:
        """Where the one campaign stands; "" while there is none. Read here: a command takes half a second of a core."""
        state_dir = self.environ["DAYBREAK_STATE_DIR"]
        campaigns = control.registered(state_dir, place=Everywhere(), which=AnyRun()).campaigns
        seen = campaigns[0].status if campaigns else None
        return seen.state if isinstance(seen, Status) else ""


@pytest.fixture
def bench(tmp_path: Path, state_dir: Path) -> Iterator[Bench]:
    """Make the bench; afterwards nothing of its campaigns may run."""
    for name, seconds in (("short", 3), ("long", 60)):
        (tmp_path / f"{name}.yaml").write_text(PLAN.format(seconds=seconds))
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DAYBREAK_RUN")}
    environ |= {"DAYBREAK_STATE_DIR": str(state_dir), "XDG_CONFIG_HOME": str(tmp_path / "config"), "CI": "true"}
    made = Bench(tmp_path, environ)
    yield made

    def left_running() -> list[MarkedProcess]:
        return [
            process
            for run in made.runs()
            for process in marked_processes(RunMark(run_id=run.name, state_dir=str(state_dir)))
        ]

    deadline_mono_s = time.monotonic() + QUIET_S_MAX
    while (left := left_running()) and time.monotonic() < deadline_mono_s:
        time.sleep(0.05)  # a guardian without its supervisor has its last act still before it
    if left:
        made.do("--emergency-stop", "--force")
    assert left == []


def eventually(holds: Callable[[], bool], *, what: str) -> None:
    """Wait until it holds, within the hang limit."""
    deadline_mono_s = time.monotonic() + HANG_S_MAX
    while not holds():
        assert time.monotonic() < deadline_mono_s, f"{what} did not happen within {HANG_S_MAX:g} s"
        time.sleep(0.05)


def finished(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Its exit code, standard output and standard error."""
    out, err = process.communicate(timeout=HANG_S_MAX)
    return process.returncode, out, err


def test_a_campaign_from_beginning_to_end(bench: Bench) -> None:
    """`run` prints the summary on standard output and progress on standard error; report and list know the run."""
    done = bench.do("run", "short.yaml", "--demo", "--yes")
    assert done.returncode in (Exit.DONE, Exit.NOT_FIT, Exit.INCONCLUSIVE), done.stderr
    (run,) = bench.runs()
    assert done.stdout == (run / "results_summary" / "campaign_summary.txt").read_text()
    assert "event=1 " in done.stderr
    assert " state=" in done.stderr
    listed = json.loads(bench.do("list", "--json").stdout)["runs"]
    assert [entry["run"] for entry in listed] == [run.name]
    assert listed[0]["verdict"]
    report = bench.do("report", "--json")
    assert report.returncode == Exit.DONE
    assert report.stdout == (run / "results_summary" / "autonomous_campaign_report.json").read_text()
    assert bench.do("status").stdout == "no campaign is running\n"


def test_detached_campaign_is_reached_from_elsewhere(bench: Bench) -> None:
    """--detach returns at once; status and stop reach it; meanwhile a second one in this runs directory is refused."""
    done = bench.do("run", "long.yaml", "--demo", "--yes", "--detach")
    assert done.returncode == Exit.DONE, done.stderr
    (run,) = bench.runs()
    assert run.name in done.stdout
    assert bench.do("status").stdout.startswith(f"{run.name}  running\n")
    eventually(lambda: bench.state() == "HOLDING", what="the load")
    second = bench.do("run", "long.yaml", "--demo", "--yes")
    assert second.returncode == Exit.REFUSED
    assert "other campaigns" in second.stderr
    stopped = bench.do("stop", "--json")
    assert stopped.returncode == Exit.DONE, stopped.stderr
    (result,) = json.loads(stopped.stdout)["stopped"]
    assert result["quiet"] is True
    assert result["load_gone_s"] <= 2.5  # the two seconds of the contract, and the looks
    assert json.loads((run / "results_summary" / "autonomous_campaign_report.json").read_text())["exit_code"] == 4
    assert bench.do("status").stdout == "no campaign is running\n"


def test_interrupt_is_an_orderly_stop(bench: Bench) -> None:
    """Ctrl-C: load off, report, exit 4, nothing latched, and the summary is printed all the same."""
    process = bench.begin("run", "long.yaml", "--demo", "--yes")
    eventually(lambda: bench.state() == "HOLDING", what="the load")
    process.send_signal(signal.SIGINT)
    code, out, err = finished(process)
    assert code == Exit.STOPPED_BY_PERSON, err
    assert "press Ctrl-C again to stop at once" in err
    assert "exit 4" in out
    runs_dir = str(bench.directory / "runs")
    assert isinstance(registry.latched(bench.environ["DAYBREAK_STATE_DIR"], runs_dir), registry.NotLatched)


def test_second_interrupt_latches(bench: Bench) -> None:
    """Ctrl-C twice: stopped at once, exit 4; the next start is refused until `reset`."""
    process = bench.begin("run", "long.yaml", "--demo", "--yes")
    eventually(lambda: bench.state() == "HOLDING", what="the load")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    code, _, err = finished(process)
    assert code == Exit.STOPPED_BY_PERSON, err
    refused = bench.do("run", "short.yaml", "--demo", "--yes")
    assert refused.returncode == Exit.REFUSED
    assert "latch" in refused.stderr
    assert bench.do("reset").returncode == Exit.DONE
    assert bench.do("--check-only", "short.yaml", "--demo").returncode == Exit.DONE


def test_lost_terminal_leaves_the_campaign_alone(bench: Bench) -> None:
    """SIGHUP ends the viewer quietly; the campaign and its demo service go on."""
    process = bench.begin("run", "long.yaml", "--demo", "--yes")
    eventually(lambda: bench.state() == "HOLDING", what="the load")
    process.send_signal(signal.SIGHUP)
    code, out, _ = finished(process)
    assert (code, out) == (Exit.HUNG_UP, "")
    time.sleep(1.0)
    (campaign,) = json.loads(bench.do("status", "--json").stdout)["campaigns"]
    assert campaign["alive"] is True
    assert campaign["progress"]["state"] == "HOLDING"
    assert campaign["progress"]["error_percent"] == 0.0
    assert bench.do("stop").returncode == Exit.DONE


def test_killed_supervisor_still_gives_a_report(bench: Bench) -> None:
    """Kill -9 of the supervisor: exit 70, and the guardian's report is there and printed without anyone asking."""
    process = bench.begin("run", "long.yaml", "--demo", "--yes", "--json")
    eventually(lambda: bench.state() == "HOLDING", what="the load")
    (campaign,) = json.loads(bench.do("status", "--json").stdout)["campaigns"]
    os.kill(campaign["supervisor_pid"], signal.SIGKILL)
    code, out, err = finished(process)
    assert code == Exit.FAULT
    assert "ended by signal 9" in err
    assert json.loads(out)["campaign_info"]["end_cause"] == "supervisor_lost"


@pytest.mark.parametrize("answer", ["n", ""])
def test_no_is_an_answer(bench: Bench, answer: str) -> None:
    """On a terminal the question is asked, no is the default, and no starts nothing: exit 6."""
    terminal, far_end = os.openpty()
    process = subprocess.Popen(
        bench.command("run", "long.yaml", "--demo"),
        cwd=bench.directory,
        env=bench.environ,
        stdin=far_end,
        stdout=far_end,
        stderr=far_end,
        start_new_session=True,
    )
    os.close(far_end)
    os.write(terminal, f"{answer}\n".encode())
    assert process.wait(HANG_S_MAX) == Exit.REFUSED
    shown = os.read(terminal, 65536)
    os.close(terminal)
    assert b"with up to 4 connections? [y/N]" in shown
    assert bench.runs() == []
