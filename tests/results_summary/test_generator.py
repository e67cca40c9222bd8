"""When what a load generator measured may be believed."""

import random

import pytest

from results_summary.generator import (
    GeneratorLimit,
    Invalid,
    Unknown,
    Valid,
    generator_seconds,
    generator_validity,
    seconds_excused,
    whole_seconds_due,
)
from tests.results_summary.load_seconds import histogram_of, load_second


@pytest.mark.parametrize(
    ("field", "within", "beyond", "limit"),
    [
        ("generator_cpu_s_max", (0.0, 0.899), (0.9, 1.0), GeneratorLimit.CPU),
        ("generator_busy_s_max", (0.0, 0.899), (0.9, 1.4), GeneratorLimit.BUSY),
        ("loop_stall_s_max", (0.199, 0.2), (0.201, 0.9), GeneratorLimit.LOOP_STALLS),
        ("loop_lag_s_max", (0.249, 0.25), (0.251,), GeneratorLimit.LOOP_LAG),
        ("gc_pause_s_max", (0.099, 0.1), (0.101,), GeneratorLimit.GARBAGE_COLLECTION),
        ("descriptors_share_max", (0.89, 0.9), (0.91,), GeneratorLimit.DESCRIPTORS),
        ("ports_share_max", (0.89, 0.9), (0.91, 1.2), GeneratorLimit.PORTS),
    ],
)
def test_each_limit_is_exact(
    field: str, within: tuple[float, ...], beyond: tuple[float, ...], limit: GeneratorLimit
) -> None:
    """A second just below and at a limit is clear (at 0.9 CPU seconds it is not), just above it is saturated, and by what."""
    for value in within:
        (second,) = generator_seconds([load_second(0, **{field: value})])
        assert second.is_clear
    for value in beyond:
        (second,) = generator_seconds([load_second(0, **{field: value})])
        assert second.is_saturated
        assert [(excess.limit, excess.value) for excess in second.excesses] == [(limit, value)]


@pytest.mark.parametrize(("lag_s", "clear"), [(0.049, True), (0.05, True), (0.051, False)])
def test_lateness_counts_by_its_p99(*, lag_s: float, clear: bool) -> None:
    """One start of a hundred that is late says nothing; two of a hundred are the p99, and 50 ms are its limit."""
    one, two = (histogram_of(*[0.001] * (100 - late), *[lag_s] * late) for late in (1, 2))
    assert generator_seconds([load_second(0, schedule_lag=one)])[0].is_clear
    assert generator_seconds([load_second(0, schedule_lag=two)])[0].is_clear is clear


def test_the_sum_of_all_workers_counts_only_where_their_number_is_not_recorded() -> None:
    """Two workers at half a core each are no limit; an older record cannot tell them from one at a whole core."""
    (several,) = generator_seconds([load_second(0, generator_cpu_s=1.0, generator_cpu_s_max=0.5)])
    assert several.is_clear
    (older,) = generator_seconds([load_second(0, workers=0, generator_cpu_s=1.0, generator_cpu_s_max=0.0)])
    assert older.is_saturated


@pytest.mark.parametrize(
    ("due", "excused"), [(1, 0), (4, 0), (5, 1), (9, 1), (10, 1), (19, 1), (20, 2), (100, 10), (109, 10)]
)
def test_a_tenth_of_the_seconds_is_excused(due: int, excused: int) -> None:
    """Saturated or missing: as many as that leave a load valid, one more does not, and which it is, is told apart."""
    assert seconds_excused(due) == excused
    bad = [load_second(second, loop_lag_s_max=0.5) for second in range(excused)]
    good = [load_second(second) for second in range(excused, due)]
    assert isinstance(generator_validity([*bad, *good], due), Valid)
    assert isinstance(generator_validity(good, due), Valid)
    if good:
        worse = [load_second(excused, loop_lag_s_max=0.5), *good[1:]]
        assert isinstance(generator_validity([*bad, *worse], due), Invalid)
        assert isinstance(generator_validity(good[1:], due), Unknown)


def test_the_reason_names_the_limit_that_was_hit_most_with_its_worst_figure() -> None:
    """Six late seconds outweigh three of a full CPU."""
    late = [load_second(second, schedule_lag=histogram_of(0.1 + 0.01 * second)) for second in range(6)]
    full = [load_second(second, generator_cpu_s_max=0.97) for second in range(6, 9)]
    rest = [load_second(second) for second in range(9, 20)]
    found = generator_validity([*late, *full, *rest], 20)
    assert found == Invalid(
        reason="the generator was at its own limit in 9 of 20 s; most often p99 of our own lateness with starts: "
        "up to 150 ms, the limit is 50 ms"
    )


def test_a_second_without_one_of_the_workers_is_not_known() -> None:
    """The one that is missing may be the one that hangs."""
    whole = [load_second(second) for second in range(17)]
    torn = [load_second(second, workers=1) for second in range(17, 20)]
    found = generator_validity([*whole, *torn], 20)
    assert found == Unknown(reason="whether the generator kept up is not known in 3 of 20 s")


def test_lateness_that_cannot_be_read_is_not_known() -> None:
    """A broken histogram is neither late nor in time."""
    (second,) = generator_seconds([load_second(0, schedule_lag="not a histogram")])
    assert not second.is_clear
    assert not second.is_saturated


def test_seconds_beyond_the_load_do_not_count() -> None:
    """What a worker does while draining neither spoils nor saves a load."""
    load = [load_second(second) for second in range(10)]
    drain = [load_second(second, loop_lag_s_max=2.0) for second in range(10, 30)]
    assert isinstance(generator_validity([*load, *drain], 10), Valid)
    assert isinstance(generator_validity([*load[:5], *(load_second(second) for second in range(10, 30))], 10), Unknown)


def test_a_load_without_a_whole_second_is_not_known() -> None:
    """Nothing due, nothing seen."""
    assert isinstance(generator_validity([], 0), Unknown)
    assert isinstance(generator_validity([load_second(0)], 0), Unknown)


@pytest.mark.parametrize(
    ("planned_s", "ran_s", "due"), [(20.0, 20.0, 20), (20.4, 20.6, 20), (20.0, 12.7, 11), (20.0, 0.5, 0), (0.0, 0.0, 0)]
)
def test_a_load_that_was_cut_short_owes_its_last_second_not(planned_s: float, ran_s: float, due: int) -> None:
    """All whole seconds of a load that ran to its end; of one that did not, those before the one that may be torn."""
    assert whole_seconds_due(planned_s=planned_s, ran_s=ran_s) == due


def test_fewer_seconds_never_make_a_generator_valid() -> None:
    """Taking seconds away leaves Unknown unknown and an invalid generator not valid."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(200):
        due = chance.randrange(1, 40)
        bad = chance.choice([0.0, 0.1, 0.3])
        seconds = [
            load_second(number, loop_lag_s_max=0.5 if chance.random() < bad else 0.0)
            for number in range(due)
            if chance.random() < 0.95
        ]
        before = generator_validity(seconds, due)
        after = generator_validity([second for second in seconds if chance.random() < 0.9], due)
        assert isinstance(before, Valid) or not isinstance(after, Valid)
