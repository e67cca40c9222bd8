"""A run's directory: made once, complete or not at all, and pointed to by links that never dangle half-way."""

import dataclasses
import json
from pathlib import Path

import pytest

from baseline_metrics.codec import from_json_value
from campaign import run_directory
from campaign.run_directory import (
    RunDirectory,
    RunDirectoryError,
    create_run_directory,
    point,
    read_order,
    run_id_of,
    unpoint,
    write_meta,
    write_whole,
)
from monitoring_logs.records import Meta
from safety_monitoring.messages import Protection
from tests.support.foreign import give_away
from tests.support.orders import RUN_ID, campaign_order

UTC_S = 1_763_586_000.0  # 2025-11-19 21:00:00 UTC


def test_a_run_id_sorts_by_time_and_tells_the_name() -> None:
    """UTC, to the second."""
    assert run_id_of(name="night", utc_s=UTC_S) == RUN_ID
    assert run_id_of(name="a", utc_s=UTC_S + 1.0) > run_id_of(name="z", utc_s=UTC_S)


def test_a_run_directory_holds_plan_order_and_meta_from_the_beginning(tmp_path: Path) -> None:
    """Everything that a supervisor or a reporter needs, before the first process starts."""
    order = campaign_order(tmp_path)
    run = create_run_directory(order, plan_yaml="name: night\n")
    assert run.path == tmp_path / "runs" / RUN_ID
    assert (run.path / "plan.yaml").read_text() == "name: night\n"
    assert read_order(run) == order
    meta = from_json_value(Meta, json.loads((run.path / "meta.json").read_text()))
    assert (meta.order, meta.host, meta.protections) == (order.night, order.host, ())
    assert (run.logs / "workers").is_dir()
    assert run.results.is_dir()
    assert not list(run.path.rglob("*.new"))
    assert run.path.stat().st_mode & 0o007 == 0, "not for everybody's eyes"


def test_the_paths_of_a_run_are_the_contract(tmp_path: Path) -> None:
    """Scripts rely on them."""
    run = RunDirectory(tmp_path)
    assert run.logs == tmp_path / "monitoring_logs"
    assert run.results == tmp_path / "results_summary"
    assert run.stop_file == tmp_path / "STOP"
    assert run.order_file == tmp_path / "order.json"
    assert run.supervisor_log.parent == run.guardian_order.parent == run.logs


def test_a_run_that_exists_already_is_not_touched(tmp_path: Path) -> None:
    """Two runs of one name in one second: the second is refused, with what to do, and the first stays whole."""
    order = campaign_order(tmp_path)
    run = create_run_directory(order, plan_yaml="first")
    with pytest.raises(RunDirectoryError, match="exists already: wait a second, or give the run another --name"):
        create_run_directory(order, plan_yaml="second")
    assert (run.path / "plan.yaml").read_text() == "first"


def test_a_run_is_not_made_where_a_link_of_its_name_lies(tmp_path: Path) -> None:
    """Whether it leads somewhere or nowhere: nothing is written through it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "victim").mkdir()
    for target in ("victim", "nowhere"):
        link = tmp_path / "runs" / RUN_ID
        link.symlink_to(tmp_path / target)
        with pytest.raises(RunDirectoryError, match="exists already"):
            create_run_directory(campaign_order(tmp_path), plan_yaml="")
        link.unlink()
    assert list((tmp_path / "victim").iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_a_run_is_not_made_in_the_directory_of_another_user(tmp_path: Path) -> None:
    """Its owner could replace what we write to; nothing is made there, whatever the preflight saw before."""
    (tmp_path / "runs").mkdir()
    give_away(tmp_path / "runs")
    with pytest.raises(RunDirectoryError, match=r"belongs to user 54321.*choose a directory of your own"):
        create_run_directory(campaign_order(tmp_path), plan_yaml="")
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_runs_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """The message names the path."""
    (tmp_path / "runs").write_text("not a directory")
    with pytest.raises(RunDirectoryError, match="runs"):
        create_run_directory(campaign_order(tmp_path), plan_yaml="")


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Permission denied becomes a sentence with the path and another --runs-dir."""

    def denied(self: Path, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - Path's own signature
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(RunDirectoryError, match="Permission denied; choose another --runs-dir"):
        create_run_directory(campaign_order(tmp_path), plan_yaml="")


def test_a_disk_that_fills_while_it_is_made_leaves_nothing_half_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same run id can be tried again."""
    real = run_directory.write_whole

    def full(path: Path, text: str) -> None:
        if path.name == "order.json":
            raise OSError(28, "No space left on device", str(path))
        real(path, text)

    monkeypatch.setattr(run_directory, "write_whole", full)
    with pytest.raises(RunDirectoryError, match="No space left on device"):
        create_run_directory(campaign_order(tmp_path), plan_yaml="")
    assert not (tmp_path / "runs" / RUN_ID).exists()
    monkeypatch.setattr(run_directory, "write_whole", real)
    create_run_directory(campaign_order(tmp_path), plan_yaml="")


def test_meta_is_written_again_with_the_guardians_protections(tmp_path: Path) -> None:
    """Once the guardian has tried them."""
    order = campaign_order(tmp_path)
    run = create_run_directory(order, plan_yaml="")
    tried = (Protection(name="pidfd", works=True, detail=""),)
    write_meta(run, order, protections=tried)
    assert from_json_value(Meta, json.loads((run.path / "meta.json").read_text())).protections == tried


@pytest.mark.parametrize("content", ["", "{", "[]", '{"type": "CampaignOrder"}', '{"type": "Other"}', "\x00"])
def test_an_order_that_cannot_be_understood_is_refused(tmp_path: Path, content: str) -> None:
    """Torn, foreign, or of another version: the error names the file."""
    run = create_run_directory(campaign_order(tmp_path), plan_yaml="")
    run.order_file.write_text(content)
    with pytest.raises(RunDirectoryError, match=r"order\.json"):
        read_order(run)


def test_an_order_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A directory that is no run."""
    with pytest.raises(RunDirectoryError, match=r"order\.json"):
        read_order(RunDirectory(tmp_path))


def test_an_order_with_a_field_of_another_version_is_refused(tmp_path: Path) -> None:
    """One field more is another version."""
    run = create_run_directory(campaign_order(tmp_path), plan_yaml="")
    body = json.loads(run.order_file.read_text())
    run.order_file.write_text(json.dumps({**body, "more": 1}))
    with pytest.raises(RunDirectoryError, match="more"):
        read_order(run)


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """A reader that holds the old one keeps the old one; beside it nothing is left."""
    path = tmp_path / "file.txt"
    write_whole(path, "old")
    with path.open() as reader:
        write_whole(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_links_are_replaced_by_rename_and_removed(tmp_path: Path) -> None:
    """Latest points to the newest run at every moment."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        point(tmp_path, "latest", name)
        assert (tmp_path / "latest").readlink() == Path(name)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["first", "latest", "second"]
    unpoint(tmp_path, "latest")
    assert not (tmp_path / "latest").is_symlink()
    unpoint(tmp_path, "latest")


def test_a_link_left_half_made_is_replaced(tmp_path: Path) -> None:
    """A crash between making and renaming does not stop the next run."""
    (tmp_path / ".latest.new").symlink_to("dead")
    point(tmp_path, "latest", "alive")
    assert (tmp_path / "latest").readlink() == Path("alive")


def test_a_file_system_without_links_loses_the_convenience_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error reaches the night."""

    def refused(self: Path, target: str) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "symlink_to", refused)
    point(tmp_path, "latest", "run")
    assert list(tmp_path.iterdir()) == []


def test_an_order_is_the_same_after_the_disk(tmp_path: Path) -> None:
    """Every field of the order survives, whatever it holds."""
    order = dataclasses.replace(campaign_order(tmp_path), strict=True, workers=64, drain_s=0.25)
    assert read_order(create_run_directory(order, plan_yaml="")) == order
