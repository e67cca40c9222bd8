"""Whole nights over WebSocket: against a server that falls mute in the middle, and a broker that speaks something else."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from monitoring_logs.records import ErrorGroup, LoadMinute, Outcome, PhaseRecord
from stress_scenarios.load_plan import ErrorClass
from tests.stress_scenarios.websocket_servers import echo_server, mosquitto_server
from tests.support.night_plans import night_plan, operation, phase
from tests.support.nights import Campaign, foreground, new_home, whole_night, with_patience

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

MESSAGE = """websocket: {message: '{"id": "${request_id}", "ask": "price"}', reply_id: $.id}, timeout: 200ms"""

SCENARIO = (operation("page", "/page"), operation("price", "/moody", weight=3, more=MESSAGE))
PAGE, PRICE = range(2)

TALKING, MUTE = range(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSocketNight:
    """What is left of the night, and what the server saw of it."""

    campaign: Campaign
    exit_code: int
    records: tuple[PhaseRecord, ...]
    minutes: tuple[tuple[LoadMinute, ...], ...]
    errors: tuple[tuple[ErrorGroup, ...], ...]
    seen: Mapping[str, Any]


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> WebSocketNight:
    """Two phases; in the middle of the second the server answers no message any more, while its pages still come."""
    return with_patience(_night, tmp_path_factory.mktemp("websocket_night"))


def _night(directory: Path) -> WebSocketNight:
    home = new_home(directory)
    phases = (phase("talking", seconds=2, connections=3), phase("mute", seconds=2.5, connections=4))
    with echo_server(directory / "echo") as server:
        plan = night_plan(server.url, phases=phases, scenario=SCENARIO, pace=8, engine="wire")
        with foreground(home, plan) as running:
            campaign = running.campaign
            campaign.require_phases(len(phases))
            campaign.wait_for_state("HOLDING", phase_index=MUTE)
            server.be_mute()
            code = running.wait()
        seen = server.seen()
    records = campaign.phase_records()
    with campaign.record() as reader:
        minutes = tuple(reader.load_minutes(record.segment) for record in records)
        errors = tuple(reader.error_groups(record.segment) for record in records)
    return WebSocketNight(campaign=campaign, exit_code=code, records=records, minutes=minutes, errors=errors, seen=seen)


def test_both_sides_have_counted_the_same(night: WebSocketNight) -> None:
    """Messages in both directions and pages, over all phases and anchors, also those of the mute part."""
    loads = night.campaign.loads()
    assert sum(load.messages_sent for load in loads) == night.seen["received"] > 0
    assert sum(load.messages_received for load in loads) == night.seen["sent"] > 0
    assert sum(load.operations_started for load in loads) == night.seen["received"] + night.seen["pages"]
    assert night.seen["sent"] < night.seen["received"]


def test_every_message_of_the_talking_phase_has_its_reply(night: WebSocketNight) -> None:
    """All operations succeed, three in four are messages, and nothing is opened in the place of a broken WebSocket."""
    record = night.records[TALKING]
    assert record.outcome is Outcome.COMPLETED, record.reason
    assert record.load.operations_started >= 0.98 * record.load.operations_requested
    assert record.load.operations_succeeded == record.load.operations_started
    assert record.load.messages_sent == record.load.messages_received == _succeeded(night, PRICE)
    assert _succeeded(night, PRICE) == pytest.approx(3 * _succeeded(night, PAGE), abs=3 * record.load.connections_peak)


def _succeeded(night: WebSocketNight, operation_index: int) -> int:
    return sum(minute.succeeded for minute in night.minutes[TALKING] if minute.operation == operation_index)


def test_a_mute_server_fails_its_phase(night: WebSocketNight) -> None:
    """Each message without a reply is an error of its own kind; pages go on succeeding; the night is not fit."""
    assert night.records[MUTE].outcome is Outcome.FAILED
    groups = {(group.operation, group.error) for group in night.errors[MUTE]}
    assert groups == {(PRICE, ErrorClass.NO_REPLY)}
    load = night.records[MUTE].load
    assert load.operations_failed == sum(group.count for group in night.errors[MUTE]) > 0
    assert load.messages_sent - load.messages_received <= load.operations_failed + load.operations_abandoned
    assert night.exit_code == 1
    night.campaign.assert_over()
    report = night.campaign.report()
    assert report["verdict"]["status"] == "not_fit"
    assert "no_reply" in {row["kind"] for row in report["errors"]}


# Mosquitto ------------------------------------------------------------------------------------------------------------

NOT_OURS = """websocket: {message: '{"id": "${request_id}"}', reply_id: $.id, subprotocols: [mqtt]}, timeout: 1s"""


def test_a_broker_that_speaks_websocket_but_not_ours_is_not_fit(tmp_path: Path) -> None:
    """The handshake passes, the preflight's too, but who agreed to MQTT hangs up on JSON: the baseline already says no."""
    scenario = (operation("ask", "/mqtt", more=NOT_OURS),)
    with mosquitto_server(tmp_path / "mosquitto") as server:
        plan = night_plan(
            server.url, phases=(phase("asking", seconds=2, connections=4),), scenario=scenario, pace=4, engine="wire"
        )
        night, code = whole_night(new_home(tmp_path / "home"), plan)
    campaign = night.campaign
    campaign.assert_over()
    assert code == 1
    assert campaign.outcomes() == ("NOT_REACHED",)
    report = campaign.report()
    assert report["verdict"]["status"] == "not_fit"
    with campaign.record() as reader:
        anchors = [anchor.load for anchor in reader.anchor_records()]
    failed = sum(load.operations_failed for load in anchors)
    assert failed == sum(load.operations_started for load in anchors) > 0
    assert sum(load.messages_sent for load in anchors) == failed
    assert sum(load.messages_received for load in anchors) == 0
    (row,) = report["errors"]
    assert (row["operation"], row["kind"], row["count"], row["where"]) == ("ask", "reset", failed, "anchors")
