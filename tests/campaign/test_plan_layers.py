"""Precedence of the sources, and where each value says it came from."""

from pathlib import Path

import pytest

from campaign.plan import WindowHours, WindowUntil
from campaign.plan_file import PlanSources, resolve_plan, resolve_plan_text
from campaign.plan_problems import PlanError
from campaign.plan_text import resolved_yaml
from campaign.starter_plan import DEMO_PLAN
from tests.support.plans import MIDDLE_HOST, TARGET, loaded


def test_flag_over_environment_over_plan_over_user_file_over_default(tmp_path: Path) -> None:
    """One source after the other is taken away, and the next one wins."""
    user_file = tmp_path / "config.yaml"
    user_file.write_text("seed: 4\n")
    plan_file = tmp_path / "plan.yaml"
    plan_file.write_text(TARGET + "seed: 3\n")
    bare_file = tmp_path / "bare.yaml"
    bare_file.write_text(TARGET)

    def seed(sources: PlanSources) -> tuple[int, str]:
        found = resolve_plan(sources, host=MIDDLE_HOST, zone="UTC")
        return found.plan.seed, found.origins.origin_of(("seed",))

    environ = {"DAYBREAK_SEED": "2"}
    everything = PlanSources(file=plan_file, flags={"seed": "1"}, environ=environ, user_file=user_file)
    assert seed(everything) == (1, "--seed")
    assert seed(PlanSources(file=plan_file, environ=environ, user_file=user_file)) == (2, "DAYBREAK_SEED")
    assert seed(PlanSources(file=plan_file, user_file=user_file)) == (3, "plan.yaml:2")
    assert seed(PlanSources(file=bare_file, user_file=user_file)) == (4, "config.yaml:1")
    assert seed(PlanSources(file=bare_file)) == (1, "default")


def test_hours_and_until_replace_each_other_across_sources() -> None:
    """The plan's until gives way to the flag's hours, and the other way round."""
    until = TARGET + "window: {until: 07:00}\n"

    assert loaded(until).plan.window.length == WindowUntil(clock="07:00")
    assert loaded(until, flags={"hours": "6"}).plan.window.length == WindowHours(hours=6)
    assert loaded(until, environ={"DAYBREAK_HOURS": "6.5"}).plan.window.length == WindowHours(hours=6.5)
    hours = TARGET + "window: {hours: 5}\n"
    assert loaded(hours, flags={"until": "6:30"}).plan.window.length == WindowUntil(clock="06:30")


def test_hours_and_until_in_one_source_are_refused() -> None:
    """Nobody can tell which was meant."""
    with pytest.raises(PlanError, match=r"--until window\.until: stands beside hours"):
        loaded(flags={"hours": "6", "until": "07:00"})


def test_hosts_to_allow_are_added_up() -> None:
    """A flag allows one more host, it does not take the plan's away."""
    text = "target: {url: http://127.0.0.1, allow: [a.example]}\n"
    found = loaded(text, environ={"DAYBREAK_ALLOW_TARGET": "b.example, a.example"})

    assert found.plan.target.allow == ("a.example", "b.example")


def test_a_mistake_in_a_flag_or_a_variable_is_named_by_it() -> None:
    """Not by a line of a file that nobody wrote it into."""
    with pytest.raises(PlanError, match=r'--hours window\.hours: "abc" is not a number'):
        loaded(flags={"hours": "abc"})
    with pytest.raises(PlanError, match=r'DAYBREAK_UNTIL window\.until: "late" is not a time of day'):
        loaded(environ={"DAYBREAK_UNTIL": "late"})


def test_an_empty_variable_counts_as_not_set() -> None:
    """``DAYBREAK_SEED= command`` is how a shell takes a variable away."""
    assert loaded(environ={"DAYBREAK_SEED": ""}).plan.seed == 1


def test_lists_are_replaced_as_a_whole() -> None:
    """A plan's phases are its own: no default phase is left among them, and their defaults say so."""
    found = loaded(TARGET + "phases:\n  - {name: a, duration: 10min, connections: 3, operations: 5, level: low}\n")

    assert [phase.name for phase in found.plan.phases] == ["a"]
    assert found.origins.origin_of(("phases", 0, "connections")) == "plan.yaml:3"
    assert found.origins.origin_of(("phases", 0, "priority")) == "default"


def test_values_that_depend_on_the_host_say_so() -> None:
    """Else a person wonders why the same plan makes another night elsewhere."""
    origins = loaded().origins

    assert origins.origin_of(("window", "hours")) == "default, a host of 4 cores, 12.0 GiB"
    assert origins.origin_of(("window", "timezone")) == "default, this host's zone"


@pytest.mark.parametrize("text", [TARGET, DEMO_PLAN, TARGET + "break: none\nsuccess: {response_p99: 1s}\n"])
def test_the_resolved_plan_is_a_plan_that_means_the_same(text: str) -> None:
    """What is stored with a run can be run again."""
    found = loaded(text, flags={"until": "07:00"})
    written = resolved_yaml(found.plan, found.origins)

    again = resolve_plan_text(written, name="again.yaml", sources=PlanSources(), host=MIDDLE_HOST, zone="UTC")
    assert again.plan == found.plan
    assert '  until: "07:00"                              # --until' in written.splitlines()


def test_secrets_stay_references_in_the_resolved_plan() -> None:
    """The environment is not even asked."""
    text = 'target: {url: http://127.0.0.1, headers: {Authorization: "Bearer ${env:TOKEN}"}}\n'
    found = loaded(text, environ={"TOKEN": "sesame"})
    written = resolved_yaml(found.plan, found.origins)

    assert "${env:TOKEN}" in written
    assert "sesame" not in written
