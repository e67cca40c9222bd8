"""The fixed list of gates."""

from dataclasses import replace

from monitoring_logs.records import GateKind, Judged, NotJudged
from results_summary.gates import GateSettings, ResponseLimit, gates_sha256, planned_gates
from tests.support.night import Night, Phase, eight_phases, make_meta


def test_each_running_phase_has_three_gates_and_the_campaign_five() -> None:
    """Success, response and achievement per phase; a cut phase is not asked about."""
    phases = (Phase(name="one"), Phase(name="two", cut="the window is too short"), Phase(name="three"))
    gates = make_meta(Night(phases=phases)).order.gates
    assert [gate.gate for gate in gates] == [
        "phase.1.one.success",
        "phase.1.one.response",
        "phase.1.one.achieved",
        "phase.3.three.success",
        "phase.3.three.response",
        "phase.3.three.achieved",
        "campaign.baseline_health",
        "campaign.phases_passed",
        "campaign.operations_succeeded",
        "campaign.no_guardian_stop",
        "campaign.no_anchor_drift",
    ]


def test_a_p99_gate_is_judged_from_299_expected_operations_on() -> None:
    """Below the sample count that bounds a p99 the gate is set aside with the arithmetic."""
    meta = make_meta(Night(phases=(Phase(),)))
    settings = GateSettings(baseline_health_min=70.0, response_p99=ResponseLimit(response_s_p99_max=0.4))
    for expected, judged in ((298, False), (299, True), (300, True)):
        order = replace(meta.order.phases[0], operations_expected=expected)
        gates = planned_gates(phases=(order,), anchor=meta.order.anchor, settings=settings)
        (gate,) = (gate for gate in gates if gate.kind is GateKind.PHASE_RESPONSE_P99)
        assert isinstance(gate.judged, Judged) is judged
        if isinstance(gate.judged, NotJudged):
            assert "a p99 needs 299 operations, phase will make 298" in gate.judged.reason


def test_the_drift_gate_needs_three_anchors() -> None:
    """One phase makes two anchors, two phases make three."""
    for count, judged in ((1, False), (2, True), (3, True)):
        gates = make_meta(Night(phases=eight_phases()[:count])).order.gates
        (gate,) = (gate for gate in gates if gate.kind is GateKind.NO_ANCHOR_DRIFT)
        assert isinstance(gate.judged, Judged) is judged


def test_the_planners_reason_sets_a_gate_aside() -> None:
    """What the planner cannot have decided is NOT JUDGED, with its words."""
    meta = make_meta(Night(phases=eight_phases()))
    reason = NotJudged(reason="a rehearsal of 2 min shows no drift")
    gates = planned_gates(
        phases=meta.order.phases,
        anchor=meta.order.anchor,
        settings=GateSettings(baseline_health_min=70.0),
        not_judged={GateKind.NO_ANCHOR_DRIFT: reason},
    )
    assert [gate.judged for gate in gates if gate.kind is GateKind.NO_ANCHOR_DRIFT] == [reason]


def test_the_hash_changes_with_any_threshold() -> None:
    """The hash covers rule, threshold and order of the gates."""
    gates = make_meta(Night(phases=eight_phases())).order.gates
    changed = (replace(gates[0], threshold=gates[0].threshold - 1), *gates[1:])
    assert gates_sha256(gates) == gates_sha256(tuple(gates))
    assert len({gates_sha256(gates), gates_sha256(changed), gates_sha256(gates[::-1]), gates_sha256(())}) == 4
