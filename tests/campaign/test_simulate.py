"""Virtual nights: thousands without a broken invariant, each repeatable from its seed, and mutants that do not survive."""

import dataclasses

import pytest

from campaign import machine_guards as guards
from campaign.events import Command, Event, WriteRecord
from campaign.machine import TABLE, Rule, Table
from campaign.machine_blocks import Step
from campaign.night import LOADED, LoadStep, Night, State
from campaign.simulate import SimulationSummary, simulate_nights
from monitoring_logs.records import EndCause, Outcome

NIGHTS = 3_000
SEED = 1

MUTANT_NIGHTS_MAX = 6_000
"""The rarest mutants need about 3,000 nights of a millisecond: a worker has to be lost while a search is being ended."""

EQUIVALENT = {
    (
        State.ARMING,
        "load not allowed",
    ): "ARMING always has its load at PREPARING, so the question is always answered yes",
    (State.ARMING, "load refused"): "as above",
    (State.ARMING, "refused while ending"): "as above: the row before it is always taken",
    (State.ARMING, "worker lost"): "as above",
}
"""Guards whose removal changes nothing, by state and row, with the reason."""


def name_of(key: tuple[State, type], rule: Rule) -> str:
    """A row as a person would name it."""
    return f"{key[0].value} {key[1].__name__}: {rule.name}"


def replaced(key: tuple[State, type], number: int, rule: Rule) -> Table:
    """The table with another row in one place."""
    rows = list(TABLE[key])
    rows[number] = rule
    return {**TABLE, key: tuple(rows)}


def is_caught(table: Table, *, nights: int = MUTANT_NIGHTS_MAX) -> bool:
    """Whether the invariants, or the machine's own assertions, notice a table in one of these nights."""
    for seed in range(nights):
        try:
            if simulate_nights(nights=1, seed=seed, table=table).broken_count:
                return True
        except AssertionError:
            return True
    return False


def guarded_rows() -> list[tuple[tuple[State, type], int, Rule]]:
    """Every row of the table that asks a question, in an order that does not change."""
    keys = sorted(TABLE, key=lambda key: (key[0].value, key[1].__name__))
    rows = [(key, number, rule) for key in keys for number, rule in enumerate(TABLE[key])]
    return [row for row in rows if row[2].guard is not guards.always]


@pytest.fixture(scope="module")
def summary() -> SimulationSummary:
    """Three thousand nights, run once."""
    return simulate_nights(nights=NIGHTS, seed=SEED)


def test_no_night_breaks_an_invariant(summary: SimulationSummary) -> None:
    """Every step of every night keeps what must always hold; a broken one would be listed with its seed."""
    assert summary.broken_count == 0, summary.text()


def test_the_nights_meet_everything_that_a_night_can_meet(summary: SimulationSummary) -> None:
    """All states, all outcomes, and all causes of an end occur."""
    assert set(summary.states) == {state.value for state in State}
    assert {name for name, _ in summary.outcomes} == {outcome.value for outcome in Outcome}
    by_hindsight = {EndCause.SUPERVISOR_LOST}
    causes = {cause.value for cause in EndCause if cause not in by_hindsight}
    assert {name for name, _ in summary.causes} == causes


def test_every_night_ends_and_is_counted_once(summary: SimulationSummary) -> None:
    """The causes sum up to the nights."""
    assert sum(count for _, count in summary.causes) == NIGHTS
    assert summary.nights == NIGHTS


def test_every_row_of_the_table_is_used() -> None:
    """Whatever the table names is met in some state of some night."""
    used: set[str] = set()

    def spied(key: tuple[State, type], rule: Rule) -> Rule:
        def act(night: Night, event: Event) -> Step:
            used.add(f"{key[1].__name__}: {rule.name}")
            return rule.act(night, event)

        return dataclasses.replace(rule, act=act)

    table = {key: tuple(spied(key, rule) for rule in rules) for key, rules in TABLE.items()}
    simulate_nights(nights=NIGHTS, seed=SEED, table=table)
    rows = {f"{key[1].__name__}: {rule.name}" for key, rules in TABLE.items() for rule in rules}
    assert rows == used


def test_the_same_seed_gives_the_same_nights() -> None:
    """A night is a function of its seed, in any run and in any order."""
    assert simulate_nights(nights=50, seed=7) == simulate_nights(nights=50, seed=7)
    assert simulate_nights(nights=50, seed=7) != simulate_nights(nights=50, seed=57)
    single = [simulate_nights(nights=1, seed=seed).steps for seed in range(7, 17)]
    assert sum(single) == simulate_nights(nights=10, seed=7).steps


def test_the_text_says_that_it_is_simulated_and_how_to_repeat_it() -> None:
    """Nights, seeds, causes, outcomes, states and what broke, in a few lines."""
    text = simulate_nights(nights=20, seed=100).text()
    assert "20 virtual nights (simulated), seeds 100..119" in text
    assert "broken invariants in 0 nights" in text
    assert "of 17" in text


def test_a_broken_night_is_reported_with_its_seed_and_invariant() -> None:
    """What breaks can be repeated: the text names seed, number, time and what happened."""
    key = (State.ANCHOR, "LoadReady")
    table_key = next(item for item in TABLE if (item[0], item[1].__name__) == key)
    mutant = replaced(table_key, 0, dataclasses.replace(TABLE[table_key][0], guard=guards.always))
    broken = simulate_nights(nights=60, seed=0, table=mutant)
    assert broken.broken_count > 0
    first = broken.broken[0]
    assert f"seed {first.seed}: invariant {first.broken[0].number} at" in broken.text()
    again = simulate_nights(nights=1, seed=first.seed, table=mutant)
    assert again.broken == (first,)


def test_arming_always_has_its_load_at_preparing() -> None:
    """This is why four guards of ARMING cannot be missed: no night is ever in ARMING with its load anywhere else."""
    steps: set[LoadStep] = set()

    def noted(rule: Rule) -> Rule:
        def act(night: Night, event: Event) -> Step:
            after, commands = rule.act(night, event)
            if after.state is State.ARMING:
                steps.add(after.load)
            return after, commands

        return dataclasses.replace(rule, act=act)

    simulate_nights(nights=300, seed=SEED, table={key: tuple(map(noted, rules)) for key, rules in TABLE.items()})
    assert steps == {LoadStep.PREPARING}


def test_no_guard_can_be_taken_out_unnoticed() -> None:
    """One guard at a time is replaced by "always": the invariants catch every mutant but the named equivalent ones."""
    rows = guarded_rows()
    assert len(rows) >= 60
    survivors = [
        name_of(key, rule)
        for key, number, rule in rows
        if (key[0], rule.name) not in EQUIVALENT
        and not is_caught(replaced(key, number, dataclasses.replace(rule, guard=guards.always)))
    ]
    caught = len(rows) - len(EQUIVALENT) - len(survivors)
    print(f"{caught} of {len(rows)} mutants caught, {len(EQUIVALENT)} equivalent")
    assert survivors == []


@pytest.mark.parametrize(
    ("state", "event_name"),
    [
        (State.BASELINING, "Tick"),
        (State.COOLING, "Tick"),
        (State.ANCHOR, "LoadReady"),
        (State.ARMING, "LoadReady"),
        (State.SEARCHING, "LoadReady"),
    ],
)
def test_no_guard_can_overlook_a_pause(state: State, event_name: str) -> None:
    """A row that begins load, and is blind to a person's pause, breaks an invariant in some night."""
    key = next(item for item in TABLE if (item[0], item[1].__name__) == (state, event_name))
    rule = TABLE[key][0]

    def blind(night: Night, event: Event) -> bool:
        return rule.guard(dataclasses.replace(night, held=False), event)

    assert is_caught(replaced(key, 0, dataclasses.replace(rule, guard=blind)))


def without(rule: Rule, command_name: str) -> Rule:
    """The row, forgetting one of its commands."""

    def act(night: Night, event: Event) -> Step:
        after, commands = rule.act(night, event)
        return after, tuple(command for command in commands if type(command).__name__ != command_name)

    return dataclasses.replace(rule, act=act)


def everywhere(rule_name: str, command_name: str) -> Table:
    """The table in which every row of that name forgets a command."""
    table = {
        key: tuple(without(rule, command_name) if rule.name == rule_name else rule for rule in rules)
        for key, rules in TABLE.items()
    }
    assert table != TABLE
    return table


@pytest.mark.parametrize(
    ("rule_name", "command_name"),
    [
        ("emergency stop", "EndLoad"),
        ("emergency stop", "Latch"),
        ("emergency stop", "Conclude"),
        ("guardian lost", "EndLoad"),
        ("guardian ends the night", "EndLoad"),
        ("guardian ends what drains", "EndLoad"),
        ("guardian stops the phase", "EndLoad"),
        ("guardian stops the load", "EndLoad"),
        ("our own fault", "EndLoad"),
        ("orderly stop", "ReleaseLoad"),
        ("drained too slowly", "EndLoad"),
        ("stop too late", "EndLoad"),
        ("not zero in time", "EndLoad"),
        ("worker lost", "EndLoad"),
        ("load refused", "EndLoad"),
        ("load not allowed", "EndLoad"),
        ("load too late", "EndLoad"),
        ("a person pauses", "HoldLoad"),
        ("load goes on", "ContinueLoad"),
        ("paused for too long", "EndLoad"),
        ("search has its answer", "ReleaseLoad"),
        ("search drained", "WriteSearch"),
        ("search cut off", "WriteSearch"),
        ("our key of the two", "AskReturn"),
        ("rehearse the stops", "Drill"),
        ("phase scored", "WriteRecord"),
        ("phase cut off", "WriteRecord"),
        ("anchor scored", "WriteAnchor"),
        ("anchor cut off", "WriteAnchor"),
        ("load is zero", "Conclude"),
        ("report stands", "Leave"),
    ],
)
def test_no_command_can_be_forgotten_unnoticed(rule_name: str, command_name: str) -> None:
    """A row that forgets what it has to ask for breaks an invariant in some night."""
    assert is_caught(everywhere(rule_name, command_name))


def redirected(rule: Rule, target: State) -> Rule:
    """The row, leading somewhere else without saying so."""

    def act(night: Night, event: Event) -> Step:
        after, commands = rule.act(night, event)
        return dataclasses.replace(after, state=target), commands

    return dataclasses.replace(rule, act=act)


@pytest.mark.parametrize(
    ("rule_name", "target"),
    [
        ("guardian stops the phase", State.HOLDING),
        ("ramp over", State.RELEASING),
        ("phase cut off", State.ANCHOR),
        ("drill passed", State.ANCHOR),
        ("load is zero", State.DONE),
    ],
)
def test_a_row_cannot_lead_where_it_did_not_say(rule_name: str, target: State) -> None:
    """The machine itself refuses a state that the row does not list."""
    table = {
        key: tuple(redirected(rule, target) if rule.name == rule_name else rule for rule in rules)
        for key, rules in TABLE.items()
    }
    with pytest.raises(AssertionError, match=f"{rule_name} led from"):
        simulate_nights(nights=300, seed=0, table=table)


def with_outcome(rule: Rule, outcome: Outcome) -> Rule:
    """The row, writing another outcome."""

    def changed(command: Command) -> Command:
        return dataclasses.replace(command, outcome=outcome) if isinstance(command, WriteRecord) else command

    def act(night: Night, event: Event) -> Step:
        after, commands = rule.act(night, event)
        return after, tuple(map(changed, commands))

    return dataclasses.replace(rule, act=act)


@pytest.mark.parametrize(
    "rule_name", ["phase scored", "phase cut off", "anchor cut off", "load is zero", "guardian ends the night"]
)
def test_no_phase_can_be_called_completed_that_was_not(rule_name: str) -> None:
    """COMPLETED for a phase that failed, was eased, was cut off or never ran breaks an invariant."""
    table = {
        key: tuple(with_outcome(rule, Outcome.COMPLETED) if rule.name == rule_name else rule for rule in rules)
        for key, rules in TABLE.items()
    }
    assert is_caught(table)


def test_a_table_without_a_row_is_our_fault_in_the_night_and_not_ignored() -> None:
    """Taking a row away leads to RUNNER_FAULT where it was needed; load is taken away all the same."""
    table = {key: rules for key, rules in TABLE.items() if key[1].__name__ != "GuardianClear" or key[0] not in LOADED}
    summary = simulate_nights(nights=300, seed=0, table=table)
    assert dict(summary.causes)["runner_fault"] > dict(simulate_nights(nights=300, seed=0).causes)["runner_fault"]
