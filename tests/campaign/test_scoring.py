"""What the machine is told about an ended load: gaps stay unknown, limits are met at the limit."""

import dataclasses

import pytest

from baseline_metrics.baseline_collector import IdleSummary
from baseline_metrics.health import Health, KnownScore, UnknownScore
from baseline_metrics.samples import Gap, GapReason, HostSample, NamedReading, Reading, Sample
from campaign.events import Criteria, GeneratorInvalid, GeneratorUnknown, GeneratorValid
from campaign.scoring import LoadMeasurement, baseline_of, criteria_of, generator_of, load_health, mean_of
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import MemoryFacts
from monitoring_logs.records import LoadFacts
from results_summary.generator import Excess, GeneratorLimit, GeneratorSecond
from safety_monitoring.limits import default_limits
from tests.support.orders import night_order, phase_order

AT = 2000.0
GAP = Gap(reason=GapReason.FAILED, detail="no answer")


def host_sample(memory: Reading, cpu: Reading) -> HostSample:
    """One look at the host."""
    readings = (
        NamedReading(sensor="memory_percent", reading=memory),
        NamedReading(sensor="cpu_percent", reading=cpu),
    )
    return HostSample(at_mono_s=AT, at_utc_s=0.0, readings=readings)


def facts(*, succeeded: int = 100, failed: int = 0, requested: int = 100, started: int = 100) -> LoadFacts:
    """What a load did."""
    return LoadFacts(
        connections_requested=2,
        connections_peak=2,
        connections_opened=2,
        operations_requested=requested,
        operations_started=started,
        operations_succeeded=succeeded,
        operations_failed=failed,
        operations_abandoned=0,
        hold_s_requested=50.0,
        hold_s_achieved=50.0,
        bytes_received=1,
    )


def measurement(
    load: LoadFacts | None = None,
    *,
    response: Reading | None = None,
    host: tuple[HostSample, ...] | None = None,
    multiplier: float = 1.0,
) -> LoadMeasurement:
    """A healthy load unless said otherwise."""
    calm = host_sample(Sample(value=30.0), Sample(value=20.0))
    return LoadMeasurement(
        facts=load or facts(),
        response_s_mean=response or Sample(value=0.05),
        host=(calm, calm) if host is None else host,
        limits=default_limits(memory_reserve_bytes=0, disk_reserve_bytes=0, multiplier=multiplier),
        at_mono_s=AT,
    )


def value_of(health: Health) -> float:
    """The score, which has to be known."""
    assert isinstance(health.score, KnownScore), health.score
    return health.score.value


def test_a_healthy_load_scores_high_with_all_its_parts() -> None:
    """Four golden signals, each with its share, and the time of the measurement."""
    health = load_health(measurement(), night_order())
    assert value_of(health) > 90.0
    assert len(health.parts) == 4
    assert health.at_mono_s == AT


@pytest.mark.parametrize(
    "worse",
    [
        measurement(response=Sample(value=1.9)),
        measurement(facts(succeeded=95, failed=5)),
        measurement(facts(started=90)),
        measurement(host=(host_sample(Sample(value=79.0), Sample(value=20.0)),)),
        measurement(host=(host_sample(Sample(value=30.0), Sample(value=84.0)),)),
    ],
    ids=["slow", "errors", "short of what was asked", "memory", "cpu"],
)
def test_each_signal_lowers_the_score(worse: LoadMeasurement) -> None:
    """Latency, errors, traffic and saturation all count."""
    assert value_of(load_health(worse, night_order())) < value_of(load_health(measurement(), night_order())) - 5.0


@pytest.mark.parametrize(
    "blind",
    [
        measurement(response=GAP),
        measurement(facts(succeeded=0, failed=0)),
        measurement(facts(requested=0, started=0)),
        measurement(host=()),
        measurement(host=(host_sample(GAP, Sample(value=20.0)),)),
        measurement(host=(host_sample(Sample(value=30.0), GAP),)),
    ],
    ids=["no response", "nothing ended", "nothing requested", "no samples", "no memory", "no cpu"],
)
def test_a_missing_signal_makes_the_score_unknown(blind: LoadMeasurement) -> None:
    """No signal is re-weighted away, and a gap never raises a score."""
    assert isinstance(load_health(blind, night_order()).score, UnknownScore)


def test_where_all_have_failed_the_reason_says_so() -> None:
    """An unknown score ends the night before its first phase, so its reason is what the report tells."""
    score = load_health(measurement(facts(succeeded=0, failed=78), response=GAP), night_order()).score
    assert isinstance(score, UnknownScore)
    assert "none of 78 operations succeeded" in score.reason


def test_saturation_is_measured_against_the_limits_of_the_phase() -> None:
    """A phase whose limits were moved up is less saturated by the same host."""
    busy = (host_sample(Sample(value=78.0), Sample(value=60.0)),)
    strict = load_health(measurement(host=busy), night_order())
    wide = load_health(measurement(host=busy, multiplier=1.15), night_order())
    assert value_of(wide) > value_of(strict)


def test_more_than_was_asked_for_is_not_better_than_all_of_it() -> None:
    """A share is at most one."""
    more = load_health(measurement(facts(started=130)), night_order())
    assert more.score == load_health(measurement(), night_order()).score


@pytest.mark.parametrize(("succeeded", "criteria"), [(899, Criteria.NOT_MET), (900, Criteria.MET), (901, Criteria.MET)])
def test_the_success_criterion_is_met_at_its_limit(succeeded: int, criteria: Criteria) -> None:
    """90 % are needed: just below is not met, at it is."""
    load = facts(succeeded=succeeded, failed=1000 - succeeded)
    met, sentence = criteria_of(phase_order(success_percent_min=90.0), measurement(load))
    assert met is criteria
    assert f"{succeeded / 10:.1f} %" in sentence


@pytest.mark.parametrize(
    ("seconds", "criteria"), [(2.999, Criteria.MET), (3.0, Criteria.MET), (3.001, Criteria.NOT_MET)]
)
def test_the_response_criterion_is_met_at_its_limit(seconds: float, criteria: Criteria) -> None:
    """At most 3 s on average are allowed."""
    met, sentence = criteria_of(phase_order(response_s_mean_max=3.0), measurement(response=Sample(value=seconds)))
    assert met is criteria
    assert f"{seconds:.3f} s" in sentence


def test_without_evidence_the_criteria_are_unknown() -> None:
    """Nothing ended, or no response time: neither met nor missed."""
    nothing = measurement(facts(succeeded=0, failed=0))
    assert criteria_of(phase_order(), nothing) == (Criteria.UNKNOWN, "no operation has ended")
    met, sentence = criteria_of(phase_order(), measurement(response=GAP))
    assert met is Criteria.UNKNOWN
    assert "no answer" in sentence


def test_too_many_failures_are_not_met_even_without_a_response_time() -> None:
    """When everything failed there is no response time, and that is no excuse."""
    met, _ = criteria_of(phase_order(), measurement(facts(succeeded=0, failed=50), response=GAP))
    assert met is Criteria.NOT_MET


@pytest.mark.parametrize(("known", "gaps", "is_known"), [(0, 0, False), (1, 2, False), (1, 1, True), (2, 1, True)])
def test_a_mean_needs_half_of_the_readings(known: int, gaps: int, is_known: bool) -> None:  # noqa: FBT001 - a row
    """Just below the coverage it is a gap that says how many readings there were."""
    samples = (
        *(host_sample(Sample(value=40.0), GAP) for _ in range(known)),
        *(host_sample(GAP, GAP) for _ in range(gaps)),
    )
    reading = mean_of(samples, "memory_percent")
    if is_known:
        assert reading == Sample(value=40.0)
    else:
        assert isinstance(reading, Gap)
        assert f"{known} of {known + gaps} readings" in reading.detail


def test_a_mean_of_a_sensor_that_is_not_there_is_a_gap() -> None:
    """A name that no sample knows."""
    assert isinstance(mean_of(measurement().host, "battery_percent"), Gap)


IDLE = IdleSummary(
    samples=60,
    seconds=60.0,
    means={"memory_percent": 30.0, "cpu_percent": 5.0, "disk_percent:/": 40.0},
    noise_cv={"memory_percent": 0.01},
    gaps={"battery_percent": "no battery"},
)


def test_a_good_baseline_allows_every_phase_that_is_not_cut() -> None:
    """The record keeps idle means, gaps and the anchor's figures, and counts only phases that may run."""
    order = night_order(phase_order(0), phase_order(1, cut="cut for time"), phase_order(2))
    record = baseline_of(idle=IDLE, idle_segment=0, anchor_segment=1, measurement=measurement(), order=order)
    assert record.phases_allowed == 2
    assert (record.idle_segment, record.anchor_segment) == (0, 1)
    assert record.host_means == IDLE.means
    assert record.gaps == IDLE.gaps
    assert record.success_percent == Sample(value=100.0)
    assert value_of(record.health) > 90.0


@pytest.mark.parametrize(
    ("idle", "load"),
    [
        (IDLE, measurement(facts(succeeded=0, failed=0), response=GAP)),
        (dataclasses.replace(IDLE, means={"memory_percent": 30.0, "disk_percent:/": 40.0}), measurement()),
    ],
    ids=["target silent", "host blind"],
)
def test_a_baseline_with_a_gap_is_unknown_and_allows_nothing(idle: IdleSummary, load: LoadMeasurement) -> None:
    """Missing readings never escalate."""
    record = baseline_of(idle=idle, idle_segment=0, anchor_segment=1, measurement=load, order=night_order())
    assert isinstance(record.health.score, UnknownScore)
    assert record.phases_allowed == 0


def test_a_dead_target_cannot_have_a_good_baseline() -> None:
    """Everything failed: at most 60, and no phase may run."""
    dead = measurement(facts(succeeded=0, failed=20), response=GAP)
    record = baseline_of(idle=IDLE, idle_segment=0, anchor_segment=1, measurement=dead, order=night_order())
    assert value_of(record.health) <= 60.0
    assert record.phases_allowed == 0
    assert record.success_percent == Sample(value=0.0)


def fared(*saturated: int, seconds: int = 20) -> list[GeneratorSecond]:
    """So many seconds of a generator that was at its limit in some of them."""
    busy = (Excess(limit=GeneratorLimit.CPU, value=0.97),)
    return [
        GeneratorSecond(second=number, excesses=busy if number in saturated else (), readable=True)
        for number in range(seconds)
    ]


def test_a_generator_that_kept_up_is_valid() -> None:
    """At most a tenth of the seconds at a limit is a hiccup."""
    assert generator_of(fared(3, 4), planned_s=20.0, ran_s=20.4) == GeneratorValid()


def test_a_generator_at_its_limit_for_more_than_a_tenth_is_invalid() -> None:
    """Three of twenty seconds; the reason names the limit."""
    state = generator_of(fared(3, 4, 5), planned_s=20.0, ran_s=20.4)
    assert isinstance(state, GeneratorInvalid)
    assert "CPU" in state.reason


@pytest.mark.parametrize(("seconds", "planned_s"), [(17, 20.0), (0, 20.0), (0, 0.5)])
def test_a_generator_that_was_not_seen_is_unknown(seconds: int, planned_s: float) -> None:
    """Missing seconds may have been busy ones; a load without a whole second shows nothing."""
    assert isinstance(generator_of(fared(seconds=seconds), planned_s=planned_s, ran_s=planned_s), GeneratorUnknown)


MEMORY = MemoryLoad(size_bytes=100 << 20, rise_bytes_per_s=float(50 << 20))


@pytest.mark.parametrize(
    ("share", "criteria"), [(0.9499, Criteria.NOT_MET), (0.9501, Criteria.MET), (1.0, Criteria.MET)]
)
def test_memory_below_what_was_asked_is_no_quiet_success(share: float, criteria: Criteria) -> None:
    """A phase that held less than 95 % of its memory has not met its criteria, and the sentence says so."""
    phase = dataclasses.replace(phase_order(), memory=MEMORY)
    held = MemoryFacts(
        size_bytes=MEMORY.size_bytes,
        rise_bytes_per_s=MEMORY.rise_bytes_per_s,
        peak_bytes=MEMORY.size_bytes,
        asked_byte_s=1e9,
        achieved_byte_s=share * 1e9,
        release_s=Sample(value=0.01),
        refused="",
    )
    found, detail = criteria_of(phase, dataclasses.replace(measurement(), memory=held))
    assert found is criteria
    assert ("of the asked memory over time" in detail) is (criteria is Criteria.NOT_MET)
    assert criteria_of(phase, measurement())[0] is Criteria.UNKNOWN
