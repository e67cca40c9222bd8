"""The command drill: every way to stop, rehearsed for real without a campaign, as root and as anybody."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from campaign.interfaces.cli import main
from campaign.interfaces.commands import drilling
from campaign.interfaces.exit_codes import Exit
from campaign.lone_drill import HeldDrill, LoneDrillError
from monitoring_logs.records import DrillFact
from safety_monitoring import registry
from safety_monitoring.drill import SECONDS_MAX
from safety_monitoring.messages import DrillPath, Protection
from tests.support.running_campaign import own_entry

NOBODY = 65534
REPOSITORY = Path(__file__).resolve().parents[2]


def fact(path: DrillPath, *, passed: bool = True) -> DrillFact:
    """One rehearsed path."""
    return DrillFact(
        path=path, seconds=0.025, seconds_max=SECONDS_MAX[path], passed=passed, detail="" if passed else "too late"
    )


def held(*, missed: DrillPath | None = None) -> HeldDrill:
    """A drill as it may have gone."""
    return HeldDrill(
        facts=tuple(fact(path, passed=path is not missed) for path in DrillPath),
        protections=(Protection(name="oom score", works=False, detail="not permitted"),),
    )


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state directory of this test."""
    path = tmp_path / "state"
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(path))
    return path


@pytest.mark.usefixtures("state_dir")
@pytest.mark.parametrize(("missed", "code"), [(None, Exit.DONE), (DrillPath.LIMIT, Exit.REFUSED)])
def test_a_path_that_does_not_work_is_named_and_refuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missed: DrillPath | None, code: Exit
) -> None:
    """Each path with its time and its limit; exit 6 when one is missed."""
    monkeypatch.setattr(drilling, "hold_drill", lambda **_: held(missed=missed))
    assert main(["drill"]) == code
    out = capsys.readouterr().out
    assert all(path.value.replace("_", " ") in out for path in DrillPath)
    assert "load gone in 25 ms, allowed 1 s" in out
    assert "WARN    oom score  not permitted" in out
    assert ("1 of 8 ways to stop do not work" in out) is (missed is not None)


@pytest.mark.usefixtures("state_dir")
def test_no_guardian_is_a_refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing was rehearsed: exit 6, and why."""

    def fails(**_: object) -> HeldDrill:
        raise LoneDrillError("no guardian: it ended with 70")

    monkeypatch.setattr(drilling, "hold_drill", fails)
    assert main(["drill"]) == Exit.REFUSED
    assert "no guardian: it ended with 70" in capsys.readouterr().err


def test_a_drill_beside_a_campaign_is_refused(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its load would be in the campaign's measurements."""
    registry.ensure_state_directory(str(state_dir))
    entry = own_entry(state_dir, state_dir / "runs", run_id="20251120T210000Z-nightly")
    assert main(["drill"]) == Exit.REFUSED
    assert entry.run_id in capsys.readouterr().err


def unprivileged_command(directory: Path) -> list[str]:
    """How to run something without privileges: as nobody, or, where nobody may not reach this Python, without capabilities."""
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("only root can give privileges up here (kernel privilege)")
    as_nobody = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    again = (
        "import subprocess, sys; subprocess.check_call([sys.executable, '-c', ''])"  # setpriv itself may still start it
    )
    reachable = subprocess.run(
        [*as_nobody, sys.executable, "-c", again], capture_output=True, timeout=30.0, check=False
    )
    if reachable.returncode == 0 and os.access(directory, os.X_OK):
        os.chown(directory, NOBODY, NOBODY)
        return as_nobody
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]


@pytest.mark.process
@pytest.mark.timeout(120)
@pytest.mark.parametrize("unprivileged", [False, True])
def test_every_way_to_stop_works_here(*, unprivileged: bool) -> None:
    """Real guardian, real load; an unprivileged user has fewer protections and the same stops. Nothing is left behind."""
    with tempfile.TemporaryDirectory(prefix="daybreak-drill-") as name:
        state = Path(name)
        become = unprivileged_command(state) if unprivileged else []
        done = subprocess.run(
            [*become, sys.executable, str(REPOSITORY / "launch_autonomous_testing.py"), "drill", "--json"],
            env={**os.environ, "DAYBREAK_STATE_DIR": name, "HOME": name, "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=name,
            capture_output=True,
            text=True,
            timeout=90.0,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        assert [path.name for path in state.iterdir() if path.name.startswith("drill-")] == []
    document = json.loads(done.stdout)
    assert document["passed"] is True
    assert [row["path"] for row in document["paths"]] == [path.value for path in DrillPath]
    assert all(0.0 < row["seconds"] <= row["seconds_max"] for row in document["paths"])
    works = {row["name"]: row["works"] for row in document["protections"]}
    assert works["kill path"] is True
    if unprivileged:
        assert not works["scheduling"], "without privileges there is no real-time priority"
        assert not works["oom score"]
