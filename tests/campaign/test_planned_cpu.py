"""Limits on CPU at plan time: a phase whose own load would reach one is refused, just below, at and above."""

import pytest

from baseline_metrics.samples import Gap, GapReason, Sample
from campaign.plan_problems import PlanError
from campaign.planned_night import PlannedNight, PlanRefused
from campaign.planner import fit_night
from tests.support.plans import TARGET, loaded

UNKNOWN = Gap(reason=GapReason.ABSENT, detail="no sensor names a critical temperature")


def fitted(load: str, *, more: str = "", cores: int = 2) -> PlannedNight | PlanRefused:
    """The planner's answer to a plan of one phase with this load."""
    found = loaded(
        f"{TARGET}{more}phases:\n  - {{name: rush, duration: 10min, operations: 10, level: low, connections: 100, {load}}}\n"
    )
    return fit_night(
        found.plan,
        inputs=found.inputs,
        now_utc_s=1.8e9,
        host_cpu_count=cores,
        run_id="run",
    )


def reason(answer: PlannedNight | PlanRefused) -> str:
    """The one reason against the night, or none."""
    if isinstance(answer, PlannedNight):
        return ""
    (only,) = answer.reasons
    return only


@pytest.mark.parametrize(
    ("load", "refused"),
    [
        ("arrivals: {rate: 47900}", ""),  # 30,000/s of a core: 48,000/s are 80 % of two, which is our own limit
        ("arrivals: {rate: 48000}", "80 % of the CPU, and the guardian's limit in this phase is 80 % for our own"),
        ("arrivals: {rate: 48100}", "80 % of the CPU"),
        ("arrivals: {rate: 40000}, threshold_multiplier: 0.8", ""),  # 68 % of two cores are 40,800/s
        (
            "arrivals: {rate: 40800}, threshold_multiplier: 0.8",
            (
                "40,800 operations/s / 30,000/s of one core = 1.36 of 2 cores = 68 % of the CPU, and the guardian's limit in "
                "this phase is 68 % (safety.cpu 85 % x threshold_multiplier 0.8): it would ease the load for what the load "
                "itself takes; write a rate below 40,000/s, a higher limit, or load from a larger machine"
            ),
        ),
        ("arrivals: {rate: 40800}, threshold_multiplier: 0.9", ""),
    ],
)
def test_a_limit_has_to_be_above_what_the_phase_itself_takes(load: str, refused: str) -> None:
    """The arithmetic stands in the refusal, with the phase and what to write instead."""
    answer = reason(fitted(load))
    assert refused in answer
    assert bool(refused) is answer.startswith("rush: ")


def test_a_spike_shorter_than_the_limits_hold_time_is_no_violation() -> None:
    """The guardian looks at CPU for ten seconds before it eases: five of them may be above, twenty may not."""
    spike = "arrivals: {{spike: {{base: 100, peak: 50000, at: 60s, lasts: {lasts}}}}}"
    assert reason(fitted(spike.format(lasts="5s"))) == ""
    assert "of the CPU" in reason(fitted(spike.format(lasts="30s")))


def test_a_high_multiplier_moves_the_hosts_limit_and_not_our_own() -> None:
    """85 % x 1.2 is more than the ceiling, and our own processes still may not take more than 80 %."""
    answer = reason(fitted("arrivals: {rate: 50000}, threshold_multiplier: 1.2"))
    assert "80 % for our own processes (safety.own)" in answer


@pytest.mark.parametrize(("cores", "workers"), [(2, 1), (4, 3), (8, 6), (16, 12)])
def test_a_load_without_a_pace_gets_no_more_processes_than_its_limit_bears(cores: int, workers: int) -> None:
    """Each fills a core, and together they stay below 80 % of the machine."""
    answer = fitted("required_health: 70", more="levels: {low: {pace: unpaced}}\n", cores=cores)
    assert isinstance(answer, PlannedNight), answer
    assert answer.workers == workers
    assert workers / cores < 0.8


@pytest.mark.parametrize(
    ("critical", "fits"),
    [(99.9, False), (100.0, True), (100.1, True), (UNKNOWN, True)],
    ids=["below", "at", "above", "?"],
)
def test_a_temperature_above_what_any_sensor_calls_critical_is_refused(critical: float | Gap, *, fits: bool) -> None:
    """It could never fire: the machine is off before. Where a sensor names no such temperature, nobody can say so."""
    found = loaded(f"{TARGET}safety: {{temperature: 100}}\n")
    answer = fit_night(
        found.plan,
        inputs=found.inputs,
        now_utc_s=1.8e9,
        host_cpu_count=4,
        run_id="run",
        critical_celsius_max=critical if isinstance(critical, Gap) else Sample(value=critical),
    )
    if fits:
        assert isinstance(answer, PlannedNight)
    else:
        assert "safety.temperature: 100 degrees Celsius would never be reached" in reason(answer)
        assert "calls critical is 99.9" in reason(answer)
        assert reason(answer).endswith("write at most 95 (95 % of it)")


@pytest.mark.parametrize("key", ["memory_reserve", "disk_reserve"])
@pytest.mark.parametrize(("size", "fits"), [("63MiB", False), ("64MiB", True), ("65MiB", True), ("1B", False)])
def test_a_reserve_that_could_never_be_acted_on_is_refused(key: str, size: str, *, fits: bool) -> None:
    """What ends and reports the night has to fit into it."""
    text = f"{TARGET}safety: {{{key}: {size}}}\n"
    if fits:
        loaded(text)
        return
    with pytest.raises(PlanError, match="too late") as refused:
        loaded(text)
    (problem,) = refused.value.problems
    assert problem.path == f"safety.{key}"
    assert problem.text.endswith("write at least 64 MiB")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("safety: {cpu: 102}", "plan.yaml:2:10 safety.cpu: 102 is more than 95"),
        ("safety: {memory: 100}", "plan.yaml:2:10 safety.memory: 100 is more than 95"),
        ("safety: {disk: 95.1}", "plan.yaml:2:10 safety.disk: 95.1 is more than 95"),
        ("safety: {own: 81}", "plan.yaml:2:10 safety.own: 81 is more than 80"),
        ("safety: {memory_reserve: 0B}", "plan.yaml:2:10 safety.memory_reserve: "),
        ("safety: {temperature: 120}", "plan.yaml:2:10 safety.temperature: 120 is more than 110"),
        ("safety: {temperature: 20}", "plan.yaml:2:10 safety.temperature: 20 is less than 40"),
        ("safety: {battery: 0}", "plan.yaml:2:10 safety.battery: 0 is less than 1"),
        ("safety: {battery: 95}", "plan.yaml:2:10 safety.battery: 95 is more than 90"),
        ("safety: {memory: 0}", "plan.yaml:2:10 safety.memory: 0 is not above 0"),
    ],
)
def test_a_threshold_that_could_never_fire_is_refused_where_it_stands(line: str, words: str) -> None:
    """With line and column, before anything else is asked."""
    with pytest.raises(PlanError) as refused:
        loaded(f"{TARGET}{line}\n")
    assert words in str(refused.value)
