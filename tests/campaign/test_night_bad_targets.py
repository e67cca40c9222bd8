"""A whole night against a target that goes wrong in the middle of it: every failure by its kind, and never FIT."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from monitoring_logs.records import ErrorGroup, Outcome, PhaseRecord
from stress_scenarios.load_plan import ErrorClass
from tests.stress_scenarios.rude_servers import flood, hang, reset, saying_once
from tests.support.moody_server import moody_server
from tests.support.night_plans import night_plan, operation, phase
from tests.support.nights import Campaign, foreground, new_home, with_patience

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

RUDE_ANSWERS = {
    "/garbage": saying_once(b"\x00\x01 this is not HTTP \xff\xfe\r\n\r\n"),
    "/breaks": reset,
    "/megabytes": flood,
    "/hangs": hang,
}

SCENARIO = (
    operation("garbage", "/garbage"),
    operation("breaks", "/breaks"),
    operation("megabytes", "/megabytes"),
    operation("hangs", "/hangs", more="timeout: 150ms"),
)

KINDS = (ErrorClass.PROTOCOL, ErrorClass.RESET, ErrorClass.TOO_LARGE, ErrorClass.TIMEOUT)
"""What each operation of the mix fails with, in its order."""

RUDE, DEAD = range(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadNight:
    """What is left of the night."""

    campaign: Campaign
    exit_code: int
    records: tuple[PhaseRecord, ...]
    errors: tuple[tuple[ErrorGroup, ...], ...]


@pytest.fixture(scope="module")
def bad_night(tmp_path_factory: pytest.TempPathFactory) -> BadNight:
    """Two phases: in the middle of the first the target turns rude in four ways, in the middle of the second it dies."""
    return with_patience(_bad_night, tmp_path_factory.mktemp("bad_night"))


def _bad_night(directory: Path) -> BadNight:
    home = new_home(directory)
    phases = (phase("rude", seconds=3, connections=4), phase("dead", seconds=2.5, connections=4))
    with moody_server(RUDE_ANSWERS) as server:
        plan = night_plan(server.url, phases=phases, scenario=SCENARIO, pace=5, cooldown="1s")
        with foreground(home, plan) as night:
            campaign = night.campaign
            campaign.require_phases(len(phases))
            campaign.wait_for_state("HOLDING", phase_index=RUDE)
            server.be_rude()
            campaign.wait_for(lambda seen: seen.phases[RUDE].state == "FAILED", "the first phase's end")
            server.be_good()
            campaign.wait_for_state("HOLDING", phase_index=DEAD)
            server.die()
            code = night.wait()
    records = campaign.phase_records()
    with campaign.record() as reader:
        errors = tuple(reader.error_groups(record.segment) for record in records)
    return BadNight(campaign=campaign, exit_code=code, records=records, errors=errors)


@pytest.mark.parametrize("index", range(4), ids=["garbage", "breaks", "megabytes", "hangs"])
def test_each_kind_of_rudeness_is_recorded_as_what_it_is(bad_night: BadNight, index: int) -> None:
    """Garbage is a protocol error, a broken answer a reset, megabytes are too large, silence is a timeout."""
    mine = [group for group in bad_night.errors[RUDE] if group.operation == index]
    assert {group.error for group in mine} == {KINDS[index]}
    assert sum(group.count for group in mine) > 0


def test_a_dead_target_refuses_every_connection(bad_night: BadNight) -> None:
    """After its death the operations are refused; what was in flight at that moment was reset."""
    counts: dict[ErrorClass, int] = {}
    for group in bad_night.errors[DEAD]:
        counts[group.error] = counts.get(group.error, 0) + group.count
    assert set(counts) <= {ErrorClass.REFUSED, ErrorClass.RESET}
    assert counts[ErrorClass.REFUSED] > counts.get(ErrorClass.RESET, 0)


def test_the_counts_agree(bad_night: BadNight) -> None:
    """In each phase every operation has succeeded, failed or been given up, and the failures are those in the groups."""
    for record, errors in zip(bad_night.records, bad_night.errors, strict=True):
        load = record.load
        assert load.operations_succeeded > 0, "it had begun well"
        assert load.operations_failed == sum(group.count for group in errors) > 0
        assert load.operations_started == load.operations_succeeded + load.operations_failed
        assert load.operations_started <= load.operations_requested


def test_the_night_ends_by_itself_as_not_fit(bad_night: BadNight) -> None:
    """Both phases are FAILED by their criteria, the report names the failures, the exit code is 1, nothing is left."""
    assert [record.outcome for record in bad_night.records] == [Outcome.FAILED, Outcome.FAILED]
    assert bad_night.exit_code == 1
    bad_night.campaign.assert_over()
    report = bad_night.campaign.report()
    assert report["verdict"]["status"] == "not_fit"
    assert report["exit_code"] == 1
    kinds = {row["kind"] for row in report["errors"]}
    assert {kind.value for kind in (*KINDS, ErrorClass.REFUSED)} <= kinds
    log = bad_night.campaign.run_dir / "monitoring_logs" / "supervisor_output.log"
    assert "Traceback" not in log.read_text(encoding="utf-8")
