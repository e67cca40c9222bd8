"""The commands that look ahead, on plans with more than plain requests."""

import json
from pathlib import Path

import pytest

from campaign.interfaces.cli import main

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file of the user's own has a say."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_plan_takes_tags_and_reads_files_beside_the_plan(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From any directory; what the tags leave out is no part of the order."""
    directory = tmp_path / "here"
    directory.mkdir()
    monkeypatch.chdir(directory)
    code = main(["plan", str(EXAMPLES / "login-flow.yaml"), "--exclude-tags", "upload", "--hours", "2", "--json"])
    document = json.loads(capsys.readouterr().out)

    assert code == 0
    assert document["order"]["operations"] == ["log_in", "account", "log_out"]
    assert list(directory.iterdir()) == []


def test_a_tag_that_nobody_carries_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With the tags that there are."""
    code = main(["plan", str(EXAMPLES / "login-flow.yaml"), "--tags", "acount"])

    assert code == 2
    assert '--tags tags.include: no operation has the tag "acount"; did you mean "account"?' in capsys.readouterr().err


def test_tags_may_come_from_the_environment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As every option of a plan's value may."""
    monkeypatch.setenv("DAYBREAK_TAGS", "account")
    main(["plan", str(EXAMPLES / "login-flow.yaml"), "--origin"])
    shown = capsys.readouterr().out

    assert any(line.startswith("  include:") and line.endswith("# DAYBREAK_TAGS") for line in shown.splitlines())


def test_plan_shows_a_search_as_a_stretch_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """With its rates, in the timeline and in the order."""
    code = main(["plan", str(EXAMPLES / "open-arrivals.yaml"), "--compress", "5min", "--json"])
    document = json.loads(capsys.readouterr().out)

    assert code == 0
    assert [part["label"] for part in document["segments"] if part["kind"] == "search"] == ["how_much"]
