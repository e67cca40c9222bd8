"""The judge at every boundary: just inside, at and past the limit; just before, at and after the hold time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.samples import Gap, GapReason, Reading, Sample
from safety_monitoring.judge import (
    FRESH_S,
    HISTORY_S,
    READINGS_MAX,
    ReadingWindow,
    ResourceReading,
    Violation,
    ViolationKind,
    clear,
    judge,
)
from safety_monitoring.limits import Limit, Limits, Resource

UNKNOWN = Gap(reason=GapReason.FAILED, detail="no answer")
BEGAN = 1000.0


def limits(
    resource: Resource = Resource.CPU, *, percent_max: float = 80.0, free_min: int = 0, hold_s: float = 10.0
) -> Limits:
    """One limit with a margin of 5 % and a clear hold of 10 s."""
    limit = Limit(
        resource=resource,
        percent_max=percent_max,
        free_min=free_min,
        hold_s=hold_s,
        clear_margin_percent=5.0,
        clear_hold_s=10.0,
    )
    return Limits(limits=(limit,), unknown_s_max=30.0)


def window(
    *readings: tuple[float, float | Gap], resource: Resource = Resource.CPU, free: Reading = UNKNOWN
) -> ReadingWindow:
    """A window of percentages, each with its second after BEGAN."""
    kept = ReadingWindow(began_mono_s=BEGAN)
    for at_s, percent in readings:
        value = percent if isinstance(percent, Gap) else Sample(value=percent)
        kept.add(resource, ResourceReading(at_mono_s=BEGAN + at_s, percent=value, free=free))
    return kept


def seconds(percent: float | Gap, first: int, last: int) -> list[tuple[float, float | Gap]]:
    """The same reading once a second, both ends included."""
    return [(float(second), percent) for second in range(first, last + 1)]


@pytest.mark.parametrize(("percent", "violated"), [(79.999, False), (80.0, False), (80.001, True)])
def test_over_is_strictly_past_the_limit(percent: float, *, violated: bool) -> None:
    """A reading at the limit is inside."""
    found = judge(limits(), window(*seconds(percent, 0, 10)), BEGAN + 10.0)
    assert bool(found) is violated


@pytest.mark.parametrize(("last", "violated"), [(9.999, False), (10.0, True), (10.001, True)])
def test_a_violation_lasts_its_hold_time(last: float, *, violated: bool) -> None:
    """The violation must have been read over the whole hold time."""
    found = judge(limits(), window((0.0, 90.0), (5.0, 90.0), (last, 90.0)), BEGAN + last)
    assert bool(found) is violated


def test_one_reading_inside_begins_anew() -> None:
    """A single reading inside the limit breaks the violation."""
    found = judge(limits(), window(*seconds(90.0, 0, 9), (9.5, 79.0), *seconds(90.0, 10, 19)), BEGAN + 19.0)
    assert found == ()
    (violation,) = judge(limits(), window((0.0, 79.0), *seconds(90.0, 1, 11)), BEGAN + 11.0)
    assert (violation.since_mono_s, violation.evidence_mono_s) == (BEGAN + 1.0, BEGAN + 11.0)
    assert violation.text == "cpu at 90.0 %, limit 80 %, for 10.0 s"


def test_time_alone_is_no_evidence() -> None:
    """One reading over the limit and then silence is not a sustained violation."""
    assert judge(limits(), window((0.0, 90.0)), BEGAN + 20.0) == ()


def test_gaps_neither_prove_nor_end_a_violation() -> None:
    """Between two readings over the limit a gap changes nothing; at the end it adds nothing."""
    readings = [(0.0, 90.0), *seconds(UNKNOWN, 1, 9), (10.0, 90.0)]
    assert len(judge(limits(), window(*readings), BEGAN + 10.0)) == 1
    assert judge(limits(), window((0.0, 90.0), *seconds(UNKNOWN, 1, 20)), BEGAN + 20.0) == ()


@pytest.mark.parametrize(("free", "violated"), [(999, True), (1000, False), (1001, False)])
def test_the_absolute_reserve_counts_on_its_own(free: int, *, violated: bool) -> None:
    """Fewer free bytes than the reserve is a violation, whatever the percentage says."""
    kept = window(*seconds(1.0, 0, 5), resource=Resource.DISK, free=Sample(value=float(free)))
    found = judge(limits(Resource.DISK, free_min=1000, hold_s=5.0), kept, BEGAN + 5.0)
    assert [violation.kind for violation in found] == ([ViolationKind.RESERVE] if violated else [])


@pytest.mark.parametrize(("second_reading_s", "violated"), [(0.199, False), (0.2, True), (0.25, True)])
def test_the_memory_reserve_does_not_wait_two_seconds(second_reading_s: float, *, violated: bool) -> None:
    """Two readings below the memory reserve, a fifth of a second apart, are enough."""
    kept = window((0.0, 10.0), (second_reading_s, 10.0), resource=Resource.MEMORY, free=Sample(value=1.0))
    found = judge(limits(Resource.MEMORY, free_min=1000, hold_s=2.0), kept, BEGAN + second_reading_s)
    assert bool(found) is violated


@pytest.mark.parametrize(("now", "violated"), [(29.999, False), (30.0, False), (30.001, True)])
def test_unknown_for_too_long_is_a_violation_of_its_own(now: float, *, violated: bool) -> None:
    """A resource that nobody could read for longer than 30 s is a violation, also if it never could be read."""
    for kept in (window(), window((0.0, 50.0), (15.0, UNKNOWN), (29.0, UNKNOWN))):
        found = judge(limits(), kept, BEGAN + now)
        assert [violation.kind for violation in found] == ([ViolationKind.UNKNOWN] if violated else [])


def test_half_a_reading_is_unknown_where_the_other_half_counts() -> None:
    """With a reserve, a percentage without free bytes is not a known reading."""
    kept = window(*seconds(10.0, 0, 31), resource=Resource.DISK)
    (violation,) = judge(limits(Resource.DISK, free_min=1), kept, BEGAN + 31.0)
    assert violation.kind is ViolationKind.UNKNOWN
    assert "no answer" in violation.text


@pytest.mark.parametrize(("percent", "is_clear"), [(74.999, True), (75.0, True), (75.001, False), (80.0, False)])
def test_clear_is_inside_by_the_margin(percent: float, *, is_clear: bool) -> None:
    """Load may return when every reading is at least the margin inside the limit."""
    assert clear(limits(), window(*seconds(percent, 0, 10)), BEGAN + 10.0) is is_clear


@pytest.mark.parametrize(("now", "is_clear"), [(9.999, False), (10.0, True)])
def test_clear_needs_its_whole_hold_time(now: float, *, is_clear: bool) -> None:
    """The readings must reach back over the whole clear hold time."""
    kept = window(*seconds(10.0, 0, 9), (now, 10.0))
    assert clear(limits(), kept, BEGAN + now) is is_clear


@pytest.mark.parametrize(("age", "is_clear"), [(FRESH_S, True), (FRESH_S + 0.001, False)])
def test_clear_needs_fresh_readings(age: float, *, is_clear: bool) -> None:
    """Readings that stopped coming clear nothing."""
    assert clear(limits(), window(*seconds(10.0, 0, 20)), BEGAN + 20.0 + age) is is_clear


@pytest.mark.parametrize(("free", "is_clear"), [(1049, False), (1050, True)])
def test_clear_needs_the_reserve_with_its_margin(free: int, *, is_clear: bool) -> None:
    """Free bytes must exceed the reserve by the margin, too."""
    kept = window(*seconds(10.0, 0, 10), resource=Resource.DISK, free=Sample(value=float(free)))
    assert clear(limits(Resource.DISK, free_min=1000), kept, BEGAN + 10.0) is is_clear


def test_a_limit_of_another_resource_does_not_see_these_readings() -> None:
    """Each limit is judged by its own resource."""
    assert judge(limits(Resource.DISK), window(*seconds(99.0, 0, 20)), BEGAN + 20.0) == ()


def test_the_window_is_bounded() -> None:
    """Old readings are dropped by age and number, but never so that the history becomes shorter than it has to be."""
    kept = window(*[(second / 10.0, 50.0) for second in range(5000)])
    readings = tuple(kept.newest_first(Resource.CPU))
    assert len(readings) <= READINGS_MAX
    assert HISTORY_S <= readings[0].at_mono_s - readings[-1].at_mono_s <= HISTORY_S + 0.2


known = st.floats(min_value=0.0, max_value=100.0)
maybe = st.one_of(known, st.just(UNKNOWN))


@given(before=st.lists(known, max_size=20), after=st.lists(known, max_size=8))
def test_unknown_never_clears(before: list[float], after: list[float]) -> None:
    """A gap anywhere within the clear hold time means not clear, whatever the other readings are."""
    percents: list[float | Gap] = [*before, UNKNOWN, *after]
    kept = window(*[(float(second), percent) for second, percent in enumerate(percents)])
    assert not clear(limits(), kept, BEGAN + len(percents) - 1.0)


@given(percents=st.lists(maybe, max_size=60))
def test_never_clear_and_violated_at_once(percents: list[float | Gap]) -> None:
    """The two judgements exclude each other."""
    kept = window(*[(float(second), percent) for second, percent in enumerate(percents)])
    now = BEGAN + len(percents)
    assert not (clear(limits(), kept, now) and judge(limits(), kept, now))


@given(percents=st.lists(maybe, min_size=1, max_size=40), missing=st.sets(st.integers(0, 39)))
def test_losing_readings_never_adds_a_violation(percents: list[float | Gap], missing: set[int]) -> None:
    """A violation that is found with gaps is found without them, if what was lost was over the limit as well."""
    thinned = [UNKNOWN if second in missing else percent for second, percent in enumerate(percents)]
    filled = [90.0 if isinstance(percent, Gap) else percent for percent in thinned]

    def over(these: list[float | Gap]) -> list[Violation]:
        kept = window(*[(float(second), percent) for second, percent in enumerate(these)])
        found = judge(limits(), kept, BEGAN + len(these) - 1.0)
        return [violation for violation in found if violation.kind is ViolationKind.PERCENT]

    if over(list(thinned)):
        assert over(list(filled))


@pytest.mark.parametrize(("since_s", "violated"), [(4.999, True), (5.0, True), (5.001, False)])
def test_what_was_read_before_a_limit_was_in_force_does_not_violate_it(since_s: float, *, violated: bool) -> None:
    """A phase with tighter limits than the one before it gets their whole hold time."""
    found = judge(limits(), window(*seconds(90.0, 0, 15)), BEGAN + 15.0, since_mono_s=BEGAN + since_s)
    assert bool(found) is violated


def test_only_what_is_asked_for_is_judged() -> None:
    """A look at memory alone finds what violates memory, and leaves the others to their own looks."""
    limits = Limits(limits=tuple(_at_most_half(resource) for resource in Resource), unknown_s_max=30.0)
    window = ReadingWindow(began_mono_s=0.0)
    for resource in (Resource.MEMORY, Resource.CPU):
        for at_mono_s in (1.0, 2.0):
            full = Sample(value=99.0)
            window.add(resource, ResourceReading(at_mono_s=at_mono_s, percent=full, free=full))
    found = judge(limits, window, 2.0, only=frozenset({Resource.MEMORY}))
    assert {violation.limit.resource for violation in found} == {Resource.MEMORY}
    assert {violation.limit.resource for violation in judge(limits, window, 2.0)} == {Resource.MEMORY, Resource.CPU}


def _at_most_half(resource: Resource) -> Limit:
    return Limit(
        resource=resource, percent_max=50.0, free_min=0, hold_s=1.0, clear_margin_percent=5.0, clear_hold_s=1.0
    )
