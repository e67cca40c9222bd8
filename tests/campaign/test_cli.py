"""The command line: which command is meant, exit codes, one document with --json, and nothing touched by looking."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from campaign.interfaces import cli
from campaign.interfaces.cli import COMMANDS, LATER_COMMANDS, main, with_command
from campaign.interfaces.exit_codes import Exit
from campaign.past_runs import REPORT
from safety_monitoring import registry
from safety_monitoring.messages import StopCause
from tests.support.running_campaign import own_entry

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> Path:
    """Work in an empty directory, with a state directory of its own and nothing of the user's settings."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in [name for name in os.environ if name.startswith("DAYBREAK_") and name != "DAYBREAK_STATE_DIR"]:
        if name != "DAYBREAK_TEST_SESSION":
            monkeypatch.delenv(name)
    return directory


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("", "run"),
        ("plan.yaml", "run plan.yaml"),
        ("--target http://x --yes", "run --target http://x --yes"),
        ("-q --demo", "-q run --demo"),
        ("--json status", "--json status"),
        ("status --json", "status --json"),
        ("--check-only", "check"),
        ("--check-only --target http://x", "check --target http://x"),
        ("--target http://x --check-only --json", "check --target http://x --json"),
        ("run plan.yaml --check-only", "check plan.yaml"),
        ("--check-only --help", "check --help"),
        ("--help", "--help"),
        ("-h", "-h"),
        ("--version", "--version"),
        ("-- --check-only", "run -- --check-only"),
    ],
)
def test_which_command_is_meant(written: str, meant: str) -> None:
    """Without a name `run` is meant, with --check-only `check`; global flags may come first."""
    assert with_command(written.split()) == meant.split()


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of the table can be imported, and explains itself with exit 0."""
    assert main([name, "--help"]) == Exit.DONE
    text = capsys.readouterr().out
    assert f"daybreak {name} " in text
    assert "--json" in text


def test_group_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The help of the program lists all commands, and says what happens without one."""
    assert main(["--help"]) == Exit.DONE
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in COMMANDS)
    assert "`run` is meant" in text.replace("\n", " ")


def test_importing_the_group_is_light() -> None:
    """Showing the help imports no command: neither plan models, nor the terminal library, nor the database's."""
    program = (
        "import sys; from campaign.interfaces import cli; cli.main(['--help']);"
        "heavy = {'pydantic', 'rich', 'sqlalchemy', 'ruamel', 'httpx'} & {name.partition('.')[0] for name in sys.modules};"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_nothing_to_load(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither plan, nor ./campaign.yaml, nor target, nor --demo: exit 2, and the three ways to go on."""
    assert main([]) == Exit.USAGE
    text = capsys.readouterr().err
    assert all(way in text for way in ("run --demo", "run --target", "init"))
    assert list(here.iterdir()) == []


def test_mistyped_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A word that is neither command nor file is named, with the nearest command."""
    assert main(["statsu"]) == Exit.USAGE
    assert '"statsu" is neither a command nor a plan file: did you mean `status`?' in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(LATER_COMMANDS))
def test_a_command_of_a_later_version_is_named_so(here: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """With and without arguments, exit 2; a plan of that name can still be named to `run`."""
    for arguments in ([name], [name, "some-run"], ["--json", name, "some-run", "--option"]):
        assert main(arguments) == Exit.USAGE
        assert capsys.readouterr().err.startswith(f"`{name}` is not part of this version")
    assert with_command(["run", name]) == ["run", name]


@pytest.mark.parametrize(
    ("plan_there", "arguments", "source"),
    [
        (True, ["--target", "http://127.0.0.1:9"], "plan: ./campaign.yaml, target from --target"),
        (True, [], "plan: ./campaign.yaml"),
        (False, ["--target", "http://127.0.0.1:9"], "plan: the default one, target from --target"),
        (False, ["other.yaml"], "plan: other.yaml"),
    ],
)
def test_the_first_line_names_the_source_of_the_plan(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], source: str, *, plan_there: bool
) -> None:
    """Of run, check and plan: a ./campaign.yaml that was found is never used unseen; -q keeps it quiet."""
    text = "target: {url: 'http://127.0.0.1:9'}\n"
    (here / "other.yaml").write_text(text)
    if plan_there:
        (here / "campaign.yaml").write_text(text)
    for command in ("plan", "check", "run"):
        main([command, *arguments])
        assert capsys.readouterr().err.splitlines()[0] == source
    main(["plan", "-q", *arguments])
    assert capsys.readouterr().err == ""


def test_the_demo_and_the_environment_are_sources_too(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a user's own settings."""
    main(["plan", "--demo"])
    assert capsys.readouterr().err == "plan: the demo's own, target from --demo\n"
    monkeypatch.setenv("DAYBREAK_TARGET", "http://127.0.0.1:9")
    main(["plan"])
    assert capsys.readouterr().err == "plan: the default one, target from DAYBREAK_TARGET\n"
    own = Path(os.environ["XDG_CONFIG_HOME"]) / "daybreak" / "config.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("seed: 1\n")
    main(["plan"])
    assert capsys.readouterr().err == f"plan: {own}, target from DAYBREAK_TARGET\n"


def test_missing_plan(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan file that is not there is named, with what to do."""
    assert main(["run", "night.yaml"]) == Exit.USAGE
    assert "night.yaml: there is no such file" in capsys.readouterr().err


def test_broken_plan_names_every_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem of a plan stands on a line of its own with file, line and column."""
    (here / "night.yaml").write_text("target: {url: 'http://127.0.0.1:1'}\nnmae: x\nwindow: {hours: -1}\n")
    for command in ("run", "check", "plan"):
        assert main([command, "night.yaml"]) == Exit.USAGE
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(" ")[0] for line in lines] == ["night.yaml:2:1", "night.yaml:3:10"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--target", "http://127.0.0.1:1", "--compress", "2"], "--compress"),
        (["--target", "http://127.0.0.1:1", "--hours", "8", "--until", "07:00"], "write one of the two"),
        (["--target", "http://127.0.0.1:1", "--demo"], "write one of the two"),
        (["--target", "http://127.0.0.1:1", "--hours", "0"], "--hours"),
        (["--target", "ftp://127.0.0.1"], "not an HTTP address"),
        (["--target", "127.0.0.1:8080"], "not an HTTP address"),
        (["--target", "http://127.0.0.1:1", "--scale", "0"], "--scale"),
        (["--no-such-option"], "No such option"),
        (["--progress", "loud"], "loud"),
    ],
)
def test_usage_errors(here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    """What cannot be meant is refused with exit 2 before anything is made."""
    assert main(["run", *arguments]) == Exit.USAGE
    assert says in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_public_target_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An address outside the private ranges needs --allow-target: exit 6, naming the option."""
    assert main(["run", "--target", "http://192.0.2.1", "--yes"]) == Exit.REFUSED
    assert "--allow-target 192.0.2.1" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_dead_target_is_refused(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A target that does not answer fails the preflight: the table, exit 6, and nothing was made."""
    arguments = ["run", "--target", "http://127.0.0.1:9", "--compress", "10min", "--yes"]
    assert main(arguments) == Exit.REFUSED
    assert "not ready to start: target" in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_status_without_campaigns(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody runs: status says so with exit 0, and as an empty list in JSON; stop says so as well."""
    assert main(["status"]) == Exit.DONE
    assert capsys.readouterr().out == "no campaign is running\n"
    assert main(["status", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "campaigns": [], "broken_entries": []}
    assert main(["stop"]) == Exit.DONE
    assert capsys.readouterr().out == "no campaign is running\n"
    assert main(["stop", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out) == {"schema_version": 1, "stopped": []}


def test_status_of_a_campaign(here: Path, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A registered campaign is shown with its run; a document that is not there yet is no error."""
    own_entry(state_dir, here / "runs", run_id="nightly-1")
    assert main(["status"]) == Exit.DONE
    text = capsys.readouterr().out
    assert text.startswith("nightly-1  running\n")
    assert str(here / "runs" / "nightly-1") in text
    assert main(["status", "--json", "nightly-1"]) == Exit.DONE
    (campaign,) = json.loads(capsys.readouterr().out)["campaigns"]
    assert campaign["alive"] is True
    assert campaign["progress"] is None


@pytest.mark.parametrize("command", ["status", "stop", "report"])
@pytest.mark.parametrize("run_id", ["../escape", "a/b", "..", ".hidden", "a..b", "x" * 101, "-- /"])
def test_run_ids_cannot_leave_the_runs_directory(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, run_id: str
) -> None:
    """A run id that is more than a plain name is refused with exit 2."""
    assert main([command, "--", *run_id.removeprefix("-- ").split("|")]) == Exit.USAGE
    assert "is not a run id" in capsys.readouterr().err


def test_reset_takes_the_latch_away(here: Path, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Reset says what it removed and starts nothing; a second one finds nothing."""
    runs = here / "runs"
    runs.mkdir()
    registry.latch(str(state_dir), str(runs), cause=StopCause.STOP_FILE, detail="STOP was touched", utc_s=0.0)
    (runs / "STOP").touch()
    assert main(["reset"]) == Exit.DONE
    text = capsys.readouterr().out
    assert "STOP was touched" in text
    assert f"removed {runs / 'STOP'}" in text
    assert isinstance(registry.latched(str(state_dir), str(runs)), registry.NotLatched)
    assert main(["reset", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["removed"] == []


def test_reset_waits_for_the_running_campaign(here: Path, state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While a campaign still runs there, its stop is not taken away: exit 6."""
    own_entry(state_dir, here / "runs", run_id="nightly-1")
    assert main(["reset"]) == Exit.REFUSED
    assert "nightly-1 still runs" in capsys.readouterr().err


def test_init_writes_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Init writes the commented plan, does not replace a file without --force, and what it writes is a valid plan."""
    assert main(["init"]) == Exit.DONE
    written = (here / "campaign.yaml").read_text()
    (here / "campaign.yaml").write_text("mine")
    assert main(["init"]) == Exit.USAGE
    assert "--force" in capsys.readouterr().err
    assert (here / "campaign.yaml").read_text() == "mine"
    assert main(["init", "--force"]) == Exit.DONE
    assert (here / "campaign.yaml").read_text() == written
    assert main(["plan", "--hours", "8"]) == Exit.DONE
    assert main(["init", "no/such/place.yaml"]) == Exit.USAGE


def test_plan_prints_timeline_and_origins(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plan shows the phases; --origin shows which source won for each value; --json is one document; nothing is made."""
    arguments = ["plan", "--target", "http://127.0.0.1:8080", "--hours", "8"]
    assert main(arguments) == Exit.DONE
    assert "endurance_test" in capsys.readouterr().out
    assert main([*arguments, "--origin"]) == Exit.DONE
    hours = [line for line in capsys.readouterr().out.splitlines() if line.strip().startswith("hours:")]
    assert len(hours) == 1
    assert hours[0].endswith("--hours")
    assert main([*arguments, "--json"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert len(document["order"]["phases"]) == 8
    assert list(here.iterdir()) == []


def test_plan_refuses_with_the_arithmetic(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A night that cannot decide anything is refused with the numbers: exit 2."""
    assert main(["plan", "--target", "http://127.0.0.1:8080", "--compress", "30s"]) == Exit.USAGE
    assert "are needed" in capsys.readouterr().err


def test_check_without_a_target(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check-only without a target checks the host, names what is missing, exits 6, and creates nothing."""
    assert main(["--check-only"]) == Exit.REFUSED
    assert "target" in capsys.readouterr().out
    assert main(["--check-only", "--json"]) == Exit.REFUSED
    document = json.loads(capsys.readouterr().out)
    assert document["schema_version"] == 1
    assert document["ready"] is False
    assert list(here.iterdir()) == []


def test_list_newest_first(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """List shows runs newest first with their verdicts; other files and links are no runs; a broken report is said."""
    runs = here / "runs"
    for run_id, report in (
        (
            "20251101T000000Z-a",
            {"verdict": {"word": "FIT", "marks": ["REHEARSAL"], "why": "all pass"}, "partial": False},
        ),
        ("20251103T000000Z-c", {"verdict": {"word": "NOT FIT", "marks": [], "why": "errors"}, "partial": True}),
        ("20251102T000000Z-b", None),
    ):
        (runs / run_id / "results_summary").mkdir(parents=True)
        (runs / run_id / "plan.yaml").touch()
        if report is not None:
            (runs / run_id / REPORT).write_text(json.dumps(report))
    (runs / "latest").symlink_to("20251103T000000Z-c")
    (runs / "notes").mkdir()
    assert main(["list"]) == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["20251103T000000Z-c", "20251102T000000Z-b", "20251101T000000Z-a"]
    assert "goes on" in lines[0]
    assert "FIT REHEARSAL" in lines[2]
    assert "no report" in lines[1]
    (runs / "20251103T000000Z-c" / REPORT).write_text("{")
    assert main(["list", "--json"]) == Exit.DONE
    document = json.loads(capsys.readouterr().out)
    assert [run["verdict"] for run in document["runs"]] == [None, None, "FIT REHEARSAL"]


def test_report_of_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Report without any run, or with an unknown one, says what there is to do: exit 2."""
    assert main(["report"]) == Exit.USAGE
    assert "there is no run" in capsys.readouterr().err
    assert main(["report", "20251101T000000Z-a"]) == Exit.USAGE
    assert "is not a run" in capsys.readouterr().err


def test_simulate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Simulate runs virtual nights, says so, and exits 0 when no invariant broke."""
    assert main(["simulate", "--nights", "20", "--seed", "7"]) == Exit.DONE
    assert "20 virtual nights (simulated), seeds 7..26" in capsys.readouterr().out
    assert main(["simulate", "--nights", "5", "--json"]) == Exit.DONE
    assert json.loads(capsys.readouterr().out)["broken_count"] == 0
    assert main(["simulate", "--nights", "0"]) == Exit.USAGE


def test_our_own_fault(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An exception that nobody expected is one clear line and exit 70; the traceback comes with -v only."""

    def broken(*_arguments: object, **_options: object) -> int:
        raise ZeroDivisionError("no such thing")

    monkeypatch.setattr(cli.root, "main", broken)
    assert main(["status"]) == Exit.FAULT
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert "ZeroDivisionError: no such thing" in text
    assert "-v" in text
    assert main(["status", "-v"]) == Exit.FAULT
    assert "Traceback" in capsys.readouterr().err


def test_interrupted_before_the_start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C before anything was started is not a stop of a campaign: exit 6, and it says so."""

    def interrupted(*_arguments: object, **_options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.root, "main", interrupted)
    assert main(["run"]) == Exit.REFUSED
    assert "before anything was started" in capsys.readouterr().err


@pytest.mark.process
def test_reader_that_leaves_is_no_error(here: Path) -> None:
    """`list | head -0` and the like: a closed standard output changes no exit code and makes no noise."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", "import sys; from campaign.interfaces.cli import main; sys.exit(main(['status']))"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.process
def test_check_is_quick(here: Path) -> None:
    """--check-only takes less than three seconds, start-up included, also with a dead target."""
    program = "import sys; from campaign.interfaces.cli import main; sys.exit(main(sys.argv[1:]))"
    arguments = ["--check-only", "--target", "http://127.0.0.1:9", "--runs-dir", str(here / "runs")]
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == Exit.REFUSED
    assert time.monotonic() - begun < 3.0
    assert list(here.iterdir()) == []
