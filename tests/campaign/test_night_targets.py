"""Whole nights against real servers: what the record says is what the server saw, and what the mix implies."""

import functools
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest

from baseline_metrics.samples import Sample
from campaign.status import Ended, PhaseStatus, Status
from campaign.target_probe import USER_AGENT as PROBE
from monitoring_logs.memory_records import NO_MEMORY_HELD, MemoryFacts
from monitoring_logs.records import ErrorGroup, LoadFacts, LoadMinute, Outcome
from stress_scenarios.histogram import Histogram
from stress_scenarios.load_plan import ErrorClass
from tests.support.night_plans import night_plan, operation, phase
from tests.support.nights import (
    COMPONENT_LOGS,
    REPORT_FILES,
    Campaign,
    foreground,
    new_home,
    whole_night,
    with_patience,
)
from tests.support.servers import AccessLine, HttpServer, nginx_server

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

NGINX_PHASES = (
    phase("few", seconds=2, connections=3, operations=7),
    phase("more", seconds=2, connections=6, operations=4, memory="{size: 24MiB, rate: 48MiB/s}"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NginxNight:
    """A whole night against an unmodified nginx, and what nginx saw of it."""

    campaign: Campaign
    exit_code: int
    partial_report: Any
    requests: tuple[AccessLine, ...]
    probes: tuple[AccessLine, ...]


@pytest.fixture(scope="module", params=["httpx", "wire"])
def nginx_night(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> NginxNight:
    """Run two phases with each engine; a copy of the report is taken while the night runs."""
    run = functools.partial(_nginx_night, engine=str(request.param))
    return with_patience(run, tmp_path_factory.mktemp("nginx_night"))


def _nginx_night(directory: Path, *, engine: str) -> NginxNight:
    with nginx_server(directory / "nginx") as server:
        home = new_home(directory / "home")
        with foreground(home, night_plan(server.url, phases=NGINX_PHASES, engine=engine)) as night:
            campaign = night.campaign
            campaign.require_phases(len(NGINX_PHASES))
            campaign.wait_for(_reported(campaign, of_phase="running"), "a report during the first phase")
            campaign.wait_for(_reported(campaign, of_phase="COMPLETED"), "a report after the first phase")
            partial = campaign.report()
            code = night.wait()
        started = sum(load.operations_started for load in campaign.loads())
        lines = server.requests(at_least=started + 1)
    return NginxNight(
        campaign=campaign,
        exit_code=code,
        partial_report=partial,
        requests=tuple(line for line in lines if line.user_agent != PROBE),
        probes=tuple(line for line in lines if line.user_agent == PROBE),
    )


def _reported(campaign: Campaign, *, of_phase: str) -> Callable[[Status], bool]:
    """Whether a partial report stands that was made while, or after, the first phase ran."""

    def reported(seen: Status) -> bool:
        assert not isinstance(seen.end, Ended), "the night ended without a partial report"
        if not (campaign.results / "autonomous_campaign_report.json").exists():
            return False
        if of_phase == "running":
            return True
        return bool(campaign.report()["phase_results"][0]["outcome"] == of_phase)

    return reported


def test_as_many_operations_are_recorded_as_nginx_has_seen_requests(nginx_night: NginxNight) -> None:
    """Every request in nginx's access log is one recorded operation of a phase or an anchor; the one probe is apart."""
    loads = nginx_night.campaign.loads()
    assert sum(load.operations_started for load in loads) == len(nginx_night.requests)
    assert sum(load.operations_succeeded for load in loads) == len(nginx_night.requests)
    assert all(line.status == 200 for line in nginx_night.requests)
    assert [line.method for line in nginx_night.probes] == ["GET"]


def test_what_was_requested_was_achieved(nginx_night: NginxNight) -> None:
    """At least 98 % of the requested operations were started in each phase, and all phases are completed and fit."""
    records = nginx_night.campaign.phase_records()
    assert [record.name for record in records] == ["few", "more"]
    for record in records:
        assert record.outcome is Outcome.COMPLETED, record.reason
        assert record.load.operations_started >= 0.98 * record.load.operations_requested
        assert record.load.hold_s_achieved == pytest.approx(record.load.hold_s_requested, abs=0.1)
    assert nginx_night.exit_code == 0, nginx_night.campaign.report()["verdict"]


def test_a_phase_that_asks_for_memory_has_held_it(nginx_night: NginxNight) -> None:
    """The other one held none; peak, integral and gate are in record and report, and everything was given back."""
    without, held = (record.memory for record in nginx_night.campaign.phase_records())
    assert without == NO_MEMORY_HELD
    assert isinstance(held, MemoryFacts)
    assert held.peak_bytes == held.size_bytes == 24 << 20
    assert isinstance(held.release_s, Sample)
    (gate,) = [gate for gate in nginx_night.campaign.report()["gates"] if gate["kind"] == "phase_memory_achieved"]
    assert (gate["phase"], gate["passed"]) == (2, True)
    with nginx_night.campaign.record() as reader:
        seconds = reader.memory_seconds(nginx_night.campaign.phase_records()[1].segment)
    assert [second.held_bytes for second in seconds] == [24 << 20, 24 << 20]


def test_nginx_has_seen_every_connection_of_each_phase(nginx_night: NginxNight) -> None:
    """In a phase's stretch of nginx's log there is one client port per recorded session; all connections were open at once."""
    loads = nginx_night.campaign.loads()
    bounds = list(accumulate((load.operations_started for load in loads), initial=0))
    for load, (first, last) in zip(loads, pairwise(bounds), strict=True):
        ports = {line.remote_port for line in nginx_night.requests[first:last]}
        assert len(ports) == load.connections_opened
        assert len(ports) >= load.connections_requested
        assert load.connections_peak == load.connections_requested


def test_a_partial_report_stands_after_the_first_phase(nginx_night: NginxNight) -> None:
    """While the second phase runs, the report tells of the first one, marked as partial and without a verdict."""
    partial = nginx_night.partial_report
    assert partial["partial"] is True
    assert partial["verdict"]["status"] is None
    assert "PARTIAL" in partial["verdict"]["marks"] or "PARTIAL" in partial["verdict"]["word"]
    assert partial["phase_results"][0]["outcome"] == "COMPLETED"
    assert partial["phase_results"][1]["outcome"] is None


def test_the_report_can_be_built_again_byte_for_byte(nginx_night: NginxNight) -> None:
    """`report RUN` writes the same files again, from the record alone."""
    campaign = nginx_night.campaign
    before = _digests(campaign.results)
    assert {*REPORT_FILES, "phase_report_1_few.json", "phase_report_2_more.json"} <= set(before)
    for path in campaign.results.iterdir():
        path.unlink()
    answer = campaign.home.command("report", campaign.run_id)
    assert answer.exit_code == 0, answer.err
    assert _digests(campaign.results) == before


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_the_component_logs_have_the_names_that_people_know(nginx_night: NginxNight) -> None:
    """Each component keeps its own log, one JSON document per line."""
    logs = nginx_night.campaign.run_dir / "monitoring_logs"
    for component in COMPONENT_LOGS:
        (log,) = logs.glob(f"{component}_*.log")
        for line in log.read_text(encoding="utf-8").splitlines():
            assert isinstance(json.loads(line), dict)
    assert (logs / "supervisor_output.log").read_text(encoding="utf-8").count("Traceback") == 0


def test_the_night_ends_quiet_and_leaves_the_registry(nginx_night: NginxNight) -> None:
    """Nothing runs, the database is sound, `latest` points to the run, `current` and the registry entry are gone."""
    campaign = nginx_night.campaign
    campaign.assert_over()
    assert (campaign.home.runs_dir / "latest").readlink() == Path(campaign.run_id)
    assert not (campaign.home.runs_dir / "current").is_symlink()
    assert campaign.home.command("status", "--json").document["campaigns"] == []
    seen = campaign.status()
    assert isinstance(seen, Status)
    assert seen.state == "DONE"
    assert isinstance(seen.end, Ended)
    assert seen.end.exit_code == nginx_night.exit_code
    assert all(isinstance(one, PhaseStatus) and one.state == "COMPLETED" for one in seen.phases)


# httpbin --------------------------------------------------------------------------------------------------------------

MIX = (
    operation("get", "/get", weight=4),
    operation("post", "/post", weight=3, more="method: POST, json: {item: 1}"),
    operation("broken", "/status/500", weight=1),
    operation("slow", "/delay/1", weight=2),
)
GET, POST, BROKEN, SLOW = range(4)
SHARES = (0.4, 0.3, 0.1, 0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedNight:
    """A whole night against httpbin, with its record of the phase."""

    campaign: Campaign
    exit_code: int
    load: LoadFacts
    minutes: tuple[LoadMinute, ...]
    errors: tuple[ErrorGroup, ...]

    def count(self, index: int) -> tuple[int, int]:
        """Succeeded and failed operations of one kind."""
        mine = [minute for minute in self.minutes if minute.operation == index]
        return sum(minute.succeeded for minute in mine), sum(minute.failed for minute in mine)

    def mean_s(self, index: int) -> float:
        """Mean service time of the successes of one kind."""
        merged = Histogram()
        for minute in self.minutes:
            if minute.operation == index:
                merged.merge(Histogram.decode(minute.service_succeeded))
        mean = merged.mean_s
        assert isinstance(mean, Sample)
        return mean.value


@pytest.fixture(scope="module")
def mixed_night(httpbin: HttpServer, tmp_path_factory: pytest.TempPathFactory) -> MixedNight:
    """Run one phase of 20 virtual users, an operation a second each."""
    home = new_home(tmp_path_factory.mktemp("httpbin_night"))
    phases = (phase("mixed", seconds=4, connections=20, operations=5),)
    plan = night_plan(httpbin.url, phases=phases, scenario=MIX, pace=1, success=80, anchor_s=2)
    night, code = whole_night(home, plan)
    (record,) = night.campaign.phase_records()
    with night.campaign.record() as reader:
        minutes, errors = reader.load_minutes(record.segment), reader.error_groups(record.segment)
    return MixedNight(campaign=night.campaign, exit_code=code, load=record.load, minutes=minutes, errors=errors)


def test_every_operation_has_its_share_of_the_mix(mixed_night: MixedNight) -> None:
    """All operations together are the recorded ones, and each kind has the share that its weight gives it."""
    counts = [sum(mixed_night.count(index)) for index in range(4)]
    assert sum(counts) == mixed_night.load.operations_started
    for count, share in zip(counts, SHARES, strict=True):
        assert count / sum(counts) == pytest.approx(share, abs=0.05)


def test_only_the_broken_operation_fails_and_by_its_status(mixed_night: MixedNight) -> None:
    """`/status/500` fails always, as class status; everything else succeeds always; the report gives the same rate."""
    succeeded, failed = mixed_night.count(BROKEN)
    assert succeeded == 0
    assert failed == mixed_night.load.operations_failed
    for index in (GET, POST, SLOW):
        assert mixed_night.count(index)[1] == 0
    assert {(group.operation, group.error) for group in mixed_night.errors} == {(BROKEN, ErrorClass.STATUS)}
    assert sum(group.count for group in mixed_night.errors) == failed
    report = mixed_night.campaign.report()
    measured = report["phase_results"][0]["measured"]
    assert (measured["operations_succeeded"], measured["operations_failed"]) == (
        mixed_night.load.operations_succeeded,
        failed,
    )
    assert report["campaign_summary"]["success_percent"] == pytest.approx(90, abs=5)
    assert {(row["operation"], row["kind"]) for row in report["errors"]} == {("broken", "status")}


def test_latencies_are_those_of_the_mix(mixed_night: MixedNight) -> None:
    """`/delay/1` takes a second and what the others take; the phase's mean is the weighted one of all that succeed."""
    quick_s = max(mixed_night.mean_s(GET), mixed_night.mean_s(POST))
    assert quick_s < 0.5
    assert 1.0 <= mixed_night.mean_s(SLOW) <= 1.0 + max(0.1, 3 * quick_s)
    measured = mixed_night.campaign.report()["phase_results"][0]["measured"]
    slow_share = SHARES[SLOW] / (1.0 - SHARES[BROKEN])
    assert measured["response_s_mean"] == pytest.approx(slow_share, abs=0.15)
    assert measured["response_s_p50"] < 0.5
    assert measured["response_s_max"] >= 1.0


def test_the_mixed_night_is_fit(mixed_night: MixedNight) -> None:
    """90 % succeed where 80 are asked for and all of the load was achieved: the exit code is that of the verdict."""
    assert mixed_night.load.operations_started >= 0.98 * mixed_night.load.operations_requested
    assert mixed_night.load.connections_peak == 20
    assert mixed_night.exit_code == mixed_night.campaign.report()["exit_code"]
    mixed_night.campaign.assert_over()
