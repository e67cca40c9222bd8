"""The page docs/state-machine.md is what the table says, and nothing else."""

import re
from pathlib import Path

import pytest

from campaign import state_diagram
from campaign.machine import TABLE
from campaign.night import State

PAGE = Path(__file__).resolve().parents[2] / "docs" / "state-machine.md"


def test_the_page_equals_what_the_table_generates() -> None:
    """Whoever changes the table writes the page again: python -m campaign.state_diagram > docs/state-machine.md."""
    assert PAGE.read_text(encoding="utf-8") == state_diagram.document()


def test_the_command_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """What the module prints is the page."""
    state_diagram.main()
    assert capsys.readouterr().out == state_diagram.document()


def test_every_state_has_a_row_with_its_deadline() -> None:
    """No state is missing in the table of deadlines."""
    for state in State:
        assert re.search(rf"^\| {state.value} \| \S.* \| \S.* \|$", state_diagram.document(), flags=re.MULTILINE)


def test_the_invariants_are_numbered_as_the_watcher_numbers_them() -> None:
    """Nine sentences, without a gap."""
    assert list(state_diagram.INVARIANTS) == list(range(1, 10))


def test_every_way_from_one_state_to_another_is_drawn_or_listed_as_a_stop() -> None:
    """Arrows and the table of stops together hold every rule that leads out of its state."""
    page = state_diagram.document()
    for (state, event), rules in TABLE.items():
        for rule in rules:
            for target in rule.to - {state}:
                arrow = rf"{state.value} --> {target.value} : {event.__name__} \(.*{re.escape(rule.name)}.*\)"
                listed = f"| {event.__name__} | {rule.name} |" in page
                assert listed or re.search(arrow, page), (state, event, rule.name, target)


def test_an_arrow_says_nothing_that_the_drawing_tool_reads_as_its_own() -> None:
    """A label of a mermaid arrow must hold neither colons nor semicolons."""
    arrows = [line for line in state_diagram.document().splitlines() if " --> " in line]
    assert len(arrows) > 30
    assert not [line for line in arrows if line.count(":") > 1 or ";" in line]
