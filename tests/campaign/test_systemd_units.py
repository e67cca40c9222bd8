"""Units of systemd for nightly campaigns: their text, read back, and judged by systemd itself."""

import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from campaign.interfaces.exit_codes import Exit
from campaign.systemd_units import Schedule, UnitError, quoted, units_of

SCHEDULE = Schedule(
    name="nightly",
    at="22:30",
    zone="Europe/Berlin",
    user="root",
    program=(sys.executable, "/opt/day break/launch_autonomous_testing.py"),
    run=("campaign.yaml", "--until", "07:00"),
    directory="/opt/day break",
    runs_dir="/var/lib/day break/runs",
    state_dir="/var/lib/daybreak/state",
    writable=("/var/lib", "/var/tmp/of 100%"),
)

Unit = dict[str, dict[str, str]]


def parsed(text: str) -> Unit:
    """Sections and settings, strictly: no setting twice, no line that is neither."""
    sections: Unit = {}
    current = ""
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            current = line.removeprefix("[").removesuffix("]")
            assert current not in sections
            sections[current] = {}
            continue
        name, equals, value = line.partition("=")
        assert equals
        assert name.isalnum(), line
        assert name not in sections[current]
        sections[current][name] = value
    return sections


def made(schedule: Schedule = SCHEDULE) -> dict[str, Unit]:
    """The units by file name."""
    return {name: parsed(text) for name, text in units_of(schedule).items()}


def test_the_timer_starts_the_night_at_its_time_and_catches_nothing_up() -> None:
    """In the plan's zone; a missed night would be load in the middle of the day."""
    timer = made()["nightly.timer"]["Timer"]
    assert timer["OnCalendar"] == "*-*-* 22:30:00 Europe/Berlin"
    assert timer["Persistent"] == "false"
    assert timer["Unit"] == "nightly.service"


def test_what_ends_on_purpose_starts_nothing_and_a_crash_does() -> None:
    """Every code of ours from 1 to 6 is no failure of the night and no reason to resume; our own fault is, and any signal."""
    units = made()
    night, resume = units["nightly.service"], units["nightly-resume.service"]
    on_purpose = {code.value for code in Exit if 1 <= code <= 6}
    assert on_purpose == {1, 2, 3, 4, 5, 6}
    assert night["Unit"]["OnFailure"] == "nightly-resume.service"
    assert "Restart" not in night["Service"], "it would run again, not go on"
    assert _codes(night["Service"]["SuccessExitStatus"]) == on_purpose
    assert resume["Service"]["Restart"] == "on-failure"
    assert _codes(resume["Service"]["RestartPreventExitStatus"]) == on_purpose
    assert " resume " in resume["Service"]["ExecStart"]
    assert " run " in night["Service"]["ExecStart"]


def test_a_campaign_goes_on_after_a_start_of_the_machine_and_not_without_end() -> None:
    """The service that resumes is wanted by the boot, and limited."""
    resume = made()["nightly-resume.service"]
    assert resume["Install"]["WantedBy"] == "multi-user.target"
    assert int(resume["Unit"]["StartLimitBurst"]) <= 3
    assert "Install" not in made()["nightly.service"], "a boot starts no night of its own"


@pytest.mark.parametrize("unit", ["nightly.service", "nightly-resume.service"])
def test_only_the_launcher_gets_a_signal_and_an_oom_kill_ends_no_night(unit: str) -> None:
    """A guardian that got SIGTERM would be lost; a memory load that the kernel kills is a finding."""
    service = made()[unit]["Service"]
    assert service["KillMode"] == "mixed"
    assert service["OOMPolicy"] == "continue"
    assert int(service["TimeoutStopSec"]) >= 190, "10 s for the load and 180 s for the report"
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"


def test_words_are_read_back_as_they_were() -> None:
    """Spaces, quotes, per cent and dollar signs survive; a program's own words are told apart."""
    words = ("plain-1.yaml", "two words", 'a "quote"', "100%", "$HOME", "back\\slash", "")
    line = " ".join(quoted(word) for word in words)
    assert [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)] == list(words)


@pytest.mark.parametrize("word", ["two\nlines", "nul\0", "\x1b[31m"])
def test_what_no_unit_can_hold_is_refused(word: str) -> None:
    """A new line would be a setting of its own."""
    with pytest.raises(UnitError, match="cannot hold"):
        units_of(replace(SCHEDULE, run=(word,)))
    with pytest.raises(UnitError, match="cannot hold"):
        units_of(replace(SCHEDULE, directory=f"/opt/{word}"))


@pytest.mark.parametrize("name", ["", "../up", "a b", "-x", "a" * 62, "a.service", "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    """It becomes a file name, and a part of another unit's name."""
    with pytest.raises(UnitError, match="is no name of a unit"):
        units_of(replace(SCHEDULE, name=name))


@pytest.mark.process
def test_systemd_reads_the_units_without_a_word(tmp_path: Path) -> None:
    """`systemd-analyze verify` knows every setting and value; a misspelt setting it would name."""
    for name, text in units_of(SCHEDULE).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert _verified(tmp_path) == ""
    service = tmp_path / "nightly.service"
    service.write_text(service.read_text(encoding="utf-8").replace("OOMPolicy=", "OOMPolice="), encoding="utf-8")
    assert "OOMPolice" in _verified(tmp_path)


def _verified(directory: Path) -> str:
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(str(path) for path in directory.iterdir())],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def _codes(value: str) -> set[int]:
    return {int(word) for word in value.split()}
