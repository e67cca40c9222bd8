"""Files of a run that lie elsewhere for a while."""

from pathlib import Path

import pytest

from monitoring_logs.run_files import bring_home, files_of, link_beside, set_aside


def test_the_names_are_the_contract() -> None:
    """People's scripts rely on them."""
    files = files_of("runs/x")
    assert files.meta == "runs/x/meta.json"
    assert files.database == "runs/x/monitoring_logs/campaign.db"
    assert files.journal == "runs/x/monitoring_logs/journal.jsonl"
    assert files.guardian_journal == "runs/x/monitoring_logs/guardian.jsonl"
    assert files.spill == "runs/x/monitoring_logs/spill.jsonl"


def test_a_file_in_its_own_place_is_neither_linked_nor_moved(tmp_path: Path) -> None:
    """Without another disk there is nothing to do."""
    spill = tmp_path / "spill.jsonl"
    spill.write_text("a\n", encoding="utf-8")
    for act in (link_beside, bring_home):
        act(str(tmp_path / "campaign.db"), name="spill.jsonl", target=str(spill))
    assert spill.read_text(encoding="utf-8") == "a\n"
    assert not spill.is_symlink()


def test_what_comes_home_twice_is_appended(tmp_path: Path) -> None:
    """The second session of a resumed night keeps the lines of the first."""
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    for text in ("first\n", "second\n"):
        link_beside(str(run / "campaign.db"), name="spill.jsonl", target=str(other / "spill.jsonl"))
        (other / "spill.jsonl").write_text(text, encoding="utf-8")
        bring_home(str(run / "campaign.db"), name="spill.jsonl", target=str(other / "spill.jsonl"))
    assert (run / "spill.jsonl").read_text(encoding="utf-8") == "first\nsecond\n"
    assert list(other.iterdir()) == []
    assert [path.name for path in run.iterdir()] == ["spill.jsonl"]


def test_what_cannot_come_home_stays_where_it_is(tmp_path: Path) -> None:
    """When the run's directory takes nothing, the link still leads to the lines."""
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.mkdir()
    link_beside(str(run / "campaign.db"), name="spill.jsonl", target=str(other / "spill.jsonl"))
    (other / "spill.jsonl").write_text("kept\n", encoding="utf-8")
    (run / "spill.jsonl.new").mkdir()
    bring_home(str(run / "campaign.db"), name="spill.jsonl", target=str(other / "spill.jsonl"))
    assert (run / "spill.jsonl").is_symlink()
    assert (run / "spill.jsonl").read_text(encoding="utf-8") == "kept\n"


def test_damaged_databases_are_kept_side_by_side_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gets the next number; beyond the bound it says what to do."""
    monkeypatch.setattr("monitoring_logs.run_files.SET_ASIDE_MAX", 2)
    database = tmp_path / "campaign.db"
    for number in (1, 2):
        database.write_text(str(number), encoding="utf-8")
        assert set_aside(str(database)) == f"{database}.damaged-{number}"
    database.write_text("3", encoding="utf-8")
    with pytest.raises(OSError, match="move them away"):
        set_aside(str(database))
