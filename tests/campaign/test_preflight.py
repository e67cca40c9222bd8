"""The preflight table as a whole: what blocks, what is asked, and that nothing is changed."""

import dataclasses
import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from baseline_metrics.clock import Clock, FakeClock, SystemClock
from baseline_metrics.samples import Gap, GapReason, Sample
from baseline_metrics.target_policy import PinnedTarget, RefusalKind, TargetRefused
from campaign.check_rows import CheckRow, CheckState, may_start, ok, render_table, to_json, unknown, warn
from campaign.planned_night import PlanRefused
from campaign.preflight import NoPlan, NoTarget, PlannedCampaign, PreflightInputs, run_preflight, this_host
from campaign.preflight_host import HostView, read_host
from campaign.target_probe import ProbeAnswered, ProbeFailed, ProbeRequest
from safety_monitoring import registry
from safety_monitoring.messages import StopCause
from tests.support.plans import TARGET, plan
from tests.support.preflight import NOW_UTC_S, default_night, no_process, row, view

PINNED = PinnedTarget(url="http://127.0.0.1:8080", scheme="http", host="127.0.0.1", address="127.0.0.1", port=8080)


def inputs(tmp_path: Path, **changes: object) -> PreflightInputs:
    """A campaign that may start, but for what is given."""

    def probe(_target: PinnedTarget, _request: ProbeRequest) -> ProbeAnswered | ProbeFailed:
        return ProbeAnswered(status=200, server="nginx")

    ready = PreflightInputs(
        campaign=PlannedCampaign(plan=plan(), night=default_night()),
        target=PINNED,
        runs_dir=tmp_path / "runs",
        state_dir=tmp_path / "state",
        environ={},
        clock=FakeClock(utc_s=NOW_UTC_S),
        probe=probe,
        read_host=lambda _path, _clock: view(),
        marked=no_process,
    )
    return dataclasses.replace(ready, **changes)  # type: ignore[arg-type]  # a test's own keywords


def tree(directory: Path) -> list[tuple[str, float]]:
    """Everything below a directory, with times of change."""
    return sorted((str(path), path.lstat().st_mtime_ns) for path in directory.rglob("*"))


def test_a_campaign_in_good_order_may_start_and_nothing_is_changed(tmp_path: Path) -> None:
    """Sixteen rows and more, none of them blocking; not even the runs directory is made."""
    before = tree(tmp_path)
    rows = run_preflight(inputs(tmp_path))

    assert [found.name for found in rows if found.state is not CheckState.OK] == []
    assert may_start(rows)
    assert [found.name for found in rows] == [
        "plan",
        "target",
        "disk",
        "memory",
        "temperature",
        "open files",
        "ports",
        "clock",
        "clock changes",
        "power",
        "sensors",
        "runs directory",
        "file system",
        "stop channels",
        "latch",
        "last drill",
        "leftovers",
        "other campaigns",
        "sqlite",
    ]
    assert tree(tmp_path) == before


def test_without_a_target_the_host_is_checked_and_the_target_named_as_missing(tmp_path: Path) -> None:
    """A start is refused, and the ways to name one are told."""
    no_plan = NoPlan(reason="no plan was named", remedy="write one: `init`")
    rows = run_preflight(inputs(tmp_path, campaign=no_plan, target=NoTarget()))

    assert [found.name for found in rows if found.blocks] == ["plan", "target"]
    assert "--target" in row(rows, "target").remedy


@pytest.mark.parametrize(("used", "state"), [(63.9, CheckState.OK), (64.0, CheckState.FAIL), (64.1, CheckState.FAIL)])
def test_memory_is_held_against_the_limit_of_the_strictest_phase(
    tmp_path: Path, used: float, state: CheckState
) -> None:
    """The default plan's warmup multiplies 80 % by 0.8: a host at 64 % would be eased by its first phase."""
    host = view(memory_percent=Sample(value=used))
    found = row(run_preflight(inputs(tmp_path, read_host=lambda _path, _clock: host)), "memory")
    assert found.state is state
    assert (state is CheckState.OK) or "at the guardian's limit of 64 % (its strictest phase)" in found.detail


def test_refusals_of_plan_and_target_become_rows(tmp_path: Path) -> None:
    """With their arithmetic and their remedy."""
    refused = PlannedCampaign(plan=plan(), night=PlanRefused(reasons=("too short", "by far")))
    public = TargetRefused(kind=RefusalKind.PUBLIC, reason="outside", remedy="--allow-target x")
    rows = run_preflight(inputs(tmp_path, campaign=refused, target=public))

    assert row(rows, "plan").detail == "too short; by far"
    assert row(rows, "target") == CheckRow(
        name="target", state=CheckState.FAIL, detail="outside", remedy="--allow-target x"
    )


def test_the_probe_asks_what_the_first_reading_operation_would_ask(tmp_path: Path) -> None:
    """A POST is never replayed for a look; the operation's headers win over the target's."""
    asked: list[ProbeRequest] = []

    def probe(_target: PinnedTarget, request: ProbeRequest) -> ProbeAnswered:
        asked.append(request)
        return ProbeAnswered(status=500, server="")

    text = (
        'target: {url: http://127.0.0.1:8080, headers: {accept: a, X: "${env:KEY}"}}\n'
        "scenario:\n"
        "  - {name: order, path: /orders, method: POST, body: x}\n"
        "  - {name: look, path: /look, headers: {Accept: b}}\n"
    )
    campaign = PlannedCampaign(plan=plan(text), night=default_night())
    rows = run_preflight(inputs(tmp_path, campaign=campaign, probe=probe, environ={"KEY": "k"}))

    (request,) = asked
    assert (request.method, request.path) == ("GET", "/look")
    assert {header.name: header.value for header in request.headers} == {"Accept": "b", "X": "k"}
    assert row(rows, "target").state is CheckState.WARN
    assert "answers 500, which the plan does not expect" in row(rows, "target").detail


def test_only_writing_operations_are_probed_by_head(tmp_path: Path) -> None:
    """Any answer in HTTP is good enough then."""
    asked: list[ProbeRequest] = []

    def probe(_target: PinnedTarget, request: ProbeRequest) -> ProbeAnswered:
        asked.append(request)
        return ProbeAnswered(status=404, server="")

    campaign = PlannedCampaign(
        plan=plan(TARGET + "scenario: [{name: order, path: /orders, method: POST, body: x}]\n"), night=default_night()
    )
    rows = run_preflight(inputs(tmp_path, campaign=campaign, probe=probe))

    assert [(request.method, request.path) for request in asked] == [("HEAD", "/")]
    assert row(rows, "target").state is CheckState.OK


@pytest.mark.parametrize(
    "operation",
    [
        "{name: look, path: '/items/${random:1-9}'}",
        "{name: look, path: /items, headers: {X: '${uuid}'}}",
        "{name: look, path: '/socket/${uuid}', websocket: {message: hello}}",
    ],
)
def test_what_only_a_session_could_ask_is_probed_by_head(tmp_path: Path, operation: str) -> None:
    """A path with a placeholder, a header with one: nothing of a session is known yet."""
    asked: list[ProbeRequest] = []

    def probe(_target: PinnedTarget, request: ProbeRequest) -> ProbeAnswered:
        asked.append(request)
        return ProbeAnswered(status=404, server="")

    campaign = PlannedCampaign(plan=plan(f"{TARGET}scenario: [{operation}]\n"), night=default_night())
    rows = run_preflight(inputs(tmp_path, campaign=campaign, probe=probe))

    assert [(request.method, request.path) for request in asked] == [("HEAD", "/")]
    assert row(rows, "target").state is CheckState.OK


@pytest.mark.parametrize(("status", "state"), [(101, CheckState.OK), (200, CheckState.WARN), (404, CheckState.WARN)])
def test_a_plan_of_messages_alone_is_probed_by_opening_a_websocket(
    tmp_path: Path, status: int, state: CheckState
) -> None:
    """Some servers answer nothing else; one that does not switch over is named."""
    asked: list[ProbeRequest] = []

    def probe(_target: PinnedTarget, request: ProbeRequest) -> ProbeAnswered:
        asked.append(request)
        return ProbeAnswered(status=status, server="")

    operation = "{name: ask, path: /socket, websocket: {message: hello, subprotocols: [v2]}}"
    campaign = PlannedCampaign(plan=plan(f"{TARGET}scenario: [{operation}]\n"), night=default_night())
    rows = run_preflight(inputs(tmp_path, campaign=campaign, probe=probe))

    (request,) = asked
    assert (request.method, request.path, request.websocket, request.subprotocols) == ("GET", "/socket", True, ("v2",))
    assert row(rows, "target").state is state


def test_an_operation_that_the_tags_leave_out_is_not_probed(tmp_path: Path) -> None:
    """It is no part of the load."""
    asked: list[str] = []

    def probe(_target: PinnedTarget, request: ProbeRequest) -> ProbeAnswered:
        asked.append(request.path)
        return ProbeAnswered(status=200, server="")

    text = TARGET + "tags: {exclude: slow}\nscenario: [{name: a, path: /a, tags: slow}, {name: b, path: /b}]\n"
    campaign = PlannedCampaign(plan=plan(text), night=default_night())
    run_preflight(inputs(tmp_path, campaign=campaign, probe=probe))

    assert asked == ["/b"]


def test_a_dead_target_and_a_missing_secret_block(tmp_path: Path) -> None:
    """Without the secret nobody is asked at all."""

    def dead(_target: PinnedTarget, _request: ProbeRequest) -> ProbeFailed:
        return ProbeFailed(reason="nothing listens", remedy="start it")

    assert row(run_preflight(inputs(tmp_path, probe=dead)), "target").blocks
    text = 'target: {url: http://127.0.0.1:8080, headers: {X: "${env:KEY}"}}\n'
    campaign = PlannedCampaign(plan=plan(text), night=default_night())
    found = row(run_preflight(inputs(tmp_path, campaign=campaign, probe=dead)), "target")
    assert "environment variables that are not set: KEY" in found.detail


def test_a_check_that_breaks_is_a_row_of_its_own(tmp_path: Path) -> None:
    """The others are still made."""

    def broken(_target: PinnedTarget, _request: ProbeRequest) -> ProbeAnswered:
        raise RuntimeError("boom")

    rows = run_preflight(inputs(tmp_path, probe=broken))

    assert row(rows, "target").state is CheckState.UNKNOWN
    assert "boom" in row(rows, "target").detail
    assert not may_start(rows)
    assert len(rows) == 19


@pytest.mark.parametrize("kind", ["file", "directory", "dangling"])
def test_a_stale_stop_file_refuses_whatever_it_is(tmp_path: Path, kind: str) -> None:
    """A regular file, a directory, a symlink to nowhere; the remedy is reset."""
    stop = tmp_path / "runs" / "STOP"
    stop.parent.mkdir()
    if kind == "file":
        stop.touch()
    elif kind == "directory":
        stop.mkdir()
    else:
        stop.symlink_to("nowhere")
    found = row(run_preflight(inputs(tmp_path)), "stop channels")

    assert found.blocks
    assert found.remedy.endswith("reset")


def test_a_latched_stop_refuses_until_reset(tmp_path: Path) -> None:
    """With its cause."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "state").mkdir()
    registry.latch(
        str(tmp_path / "state"), str(tmp_path / "runs"), cause=StopCause.STOP_FILE, detail="by hand", utc_s=NOW_UTC_S
    )
    found = row(run_preflight(inputs(tmp_path)), "latch")
    assert found.blocks
    assert "by hand" in found.detail

    registry.reset(str(tmp_path / "state"), str(tmp_path / "runs"))
    assert row(run_preflight(inputs(tmp_path)), "latch").state is CheckState.OK


def test_runs_and_state_directories_have_to_be_directories(tmp_path: Path) -> None:
    """A file in the way is named."""
    (tmp_path / "file").touch()
    rows = run_preflight(inputs(tmp_path, runs_dir=tmp_path / "file" / "runs", state_dir=tmp_path / "file" / "state"))

    assert row(rows, "runs directory").blocks
    assert row(rows, "stop channels").blocks
    assert "is not a directory" in row(rows, "runs directory").detail


def test_a_runs_directory_without_write_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started. The kernel's answer is replaced, since root may write everywhere."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) not in (tmp_path / "runs", tmp_path / "state"))
    rows = run_preflight(inputs(tmp_path))

    assert row(rows, "runs directory").detail == f"{tmp_path / 'runs'} is not writable"
    assert row(rows, "stop channels").detail == f"{tmp_path / 'state'} is not writable, so PERMIT cannot be created"


@pytest.mark.parametrize(
    ("blocks", "flags", "says"),
    [(0, 0, "has no size"), (10, os.ST_RDONLY, "mounted read-only"), (10, os.ST_NOSUID | os.ST_RDONLY, "read-only")],
)
def test_a_runs_directory_that_cannot_hold_files_is_refused_by_its_own_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blocks: int, flags: int, says: str
) -> None:
    """As a pseudo file system or one mounted read-only; its disk is not looked at, so that nothing else complains."""
    looked_at: list[str] = []

    def look(path: str, _clock: Clock) -> HostView:
        looked_at.append(path)
        return view(disk_free=Gap(reason=GapReason.FAILED, detail="no blocks"))

    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_blocks=blocks, f_flag=flags))
    rows = run_preflight(inputs(tmp_path, read_host=look))

    assert says in row(rows, "runs directory").detail
    assert "--runs-dir" in row(rows, "runs directory").remedy
    assert [found.name for found in rows if found.blocks] == ["runs directory"]
    assert looked_at == ["/"]


def test_a_real_pseudo_file_system_is_recognized(tmp_path: Path) -> None:
    """/proc: with the real sensors, one row says what is wrong."""
    real = dataclasses.replace(
        inputs(tmp_path, runs_dir=Path("/proc/daybreak-runs"), clock=SystemClock()), read_host=this_host
    )
    rows = run_preflight(real)

    assert "/proc has no room for files" in row(rows, "runs directory").detail
    assert row(rows, "sensors").state is CheckState.OK
    assert not row(rows, "disk").blocks


def test_no_rows_are_no_evidence() -> None:
    """An empty table never says that a campaign may start."""
    assert not may_start(())
    assert render_table(()).endswith("not ready to start: nothing was checked")


def test_an_uncritical_unknown_does_not_block() -> None:
    """But counts as unknown in the table."""
    rows = (ok("one", "good"), unknown("two", "who knows", "look", critical=False), warn("three", "hm", "mind it"))

    assert may_start(rows)
    assert render_table(rows).splitlines() == [
        "OK      one    good",
        "UNKNOWN two    who knows",
        "               -> look",
        "WARN    three  hm",
        "               -> mind it",
        "",
        "ready to start, 1 warning",
    ]


def test_the_document_says_the_same_as_the_table() -> None:
    """With a version, for scripts."""
    document = to_json((unknown("one", "detail", "remedy"),))

    assert document == {
        "schema_version": 1,
        "ready": False,
        "checks": [{"name": "one", "state": "UNKNOWN", "detail": "detail", "remedy": "remedy", "blocks": True}],
    }


def test_the_real_host_is_looked_at_in_well_under_a_second(tmp_path: Path) -> None:
    """The table is promised within three seconds, the probe's two included."""
    started = time.monotonic()
    rows = run_preflight(
        inputs(tmp_path, clock=SystemClock(), read_host=lambda path, clock: read_host(disk_path=path, clock=clock))
    )

    assert time.monotonic() - started < 1.0
    assert row(rows, "sensors").state is CheckState.OK
    assert row(rows, "clock").state is CheckState.OK
