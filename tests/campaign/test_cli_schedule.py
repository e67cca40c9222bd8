"""The command that makes a campaign a nightly one."""

import json
from pathlib import Path

import pytest

from campaign.interfaces.cli import main
from campaign.starter_plan import STARTER_PLAN


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a plan, and nobody's settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "person"))
    monkeypatch.delenv("DAYBREAK_STATE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.yaml").write_text(STARTER_PLAN, encoding="utf-8")
    return tmp_path


def test_units_are_printed_and_nothing_is_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard output alone; how to go on stands on standard error."""
    before = sorted(here.iterdir())
    assert main(["schedule", "--systemd", "--at", "22:30", "campaign.yaml", "--until", "07:00"]) == 0
    shown = capsys.readouterr()
    assert "OnCalendar=*-*-* 22:30:00" in shown.out
    assert f" run campaign.yaml --until 07:00 --runs-dir {here}/runs --yes --progress none\n" in shown.out
    assert f"Environment=DAYBREAK_STATE_DIR={here}/person/.local/state/daybreak\n" in shown.out
    assert "systemctl enable" in shown.err
    assert sorted(here.iterdir()) == before


def test_units_are_written_where_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three files of the unit's name, and one JSON document that holds the same."""
    assert main(["schedule", "--systemd", "--at", "2:05", "--unit", "shop", "--output", "units", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    written = {path.name: path.read_text(encoding="utf-8") for path in (here / "units").iterdir()}
    assert written == document["units"]
    assert sorted(written) == ["shop-resume.service", "shop.service", "shop.timer"]
    assert "02:05:00" in written["shop.timer"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--at", "22:30"), "schedule --systemd"),
        (("--systemd",), "--at is missing"),
        (("--systemd", "--at", "25:00"), "--at 25:00"),
        (("--systemd", "--at", "22:30", "missing.yaml"), "missing.yaml"),
        (("--systemd", "--at", "22:30", "--detach"), "--detach"),
        (("--systemd", "--at", "22:30", "--until", "late"), "late"),
        (("--systemd", "--at", "22:30", "--nonsense", "1"), "--nonsense"),
        (("--systemd", "--at", "22:30", "--unit", "a/b"), "a/b"),
        (("--systemd", "--at", "22:30", "--output", "campaign.yaml"), "cannot be written"),
    ],
)
def test_what_is_wrong_is_said_and_ends_with_2(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written: the time, the plan, the options of run, the name and the place."""
    assert main(["schedule", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_named_state_directory_is_carried_and_other_settings_are_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a shell has set is not there at night."""
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(here / "state"))
    monkeypatch.setenv("DAYBREAK_SEED", "7")
    assert main(["schedule", "--systemd", "--at", "22:30"]) == 0
    shown = capsys.readouterr()
    assert f"DAYBREAK_STATE_DIR={here}/state\n" in shown.out
    assert "DAYBREAK_SEED is set here and will not be in the unit" in shown.err
