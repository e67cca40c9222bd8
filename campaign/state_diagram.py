"""Draws docs/state-machine.md from the transition table, so that the page and the machine cannot differ.

``python -m campaign.state_diagram > docs/state-machine.md`` writes it; a test keeps the file equal. A person runs it
after a change of the table; no campaign does.
"""

import sys
from collections.abc import Iterator

from campaign import night as numbers
from campaign.machine import TABLE, Rule
from campaign.night import LIVE, TERMINAL, State

INVARIANTS = {
    1: "No load before a passed stop drill. No worker gets GO before the guardian has answered that it watches that worker.",
    2: "Load runs on a lease: whoever should renew it and does not ends the load, and what has to end the load does so in "
    "the same step.",
    3: "One key stops, two keys start again: after a stop, load returns only if the guardian's own readings are clear "
    "and the supervisor asks. While a person has paused, no load starts or goes on. An emergency stop latches.",
    4: "Unknown is a value of its own: it never raises a score, never escalates, never passes.",
    5: "Every state has a deadline. Every wait can be interrupted. Stop is reachable from every state.",
    6: "Every phase gets exactly one record, and every search that was begun. An event that the table does not know is a RUNNER_FAULT, never ignored.",
    7: "Facts are written once; any verdict can be computed again from the record.",
    8: "Whatever ends the campaign, there is a report, and nothing of ours is left running.",
    9: "Nothing happens without its cause: not before its time, not on a lower rung, not for a load that is gone; and "
    "nothing is waited for that was not asked for.",
}
"""What must always hold, by the numbers that ``campaign.invariants`` reports. The machine cannot show 7; the record does."""

_STOPS = frozenset({State.STOPPING, State.CONCLUDING})

_DEADLINES = {
    State.PREPARING: (f"{numbers.PREPARING_S_MAX:g} s", "the night ends: RUNNER_FAULT"),
    State.DRILLING: (f"{numbers.DRILLING_S_MAX:g} s", "the night ends: the drill was missed"),
    State.BASELINING: (
        f"the idle baseline + {numbers.COOLING_BLOCKED_S_MAX:g} s; while a person has paused, the window's end",
        "the night ends: the host stayed outside the guardian's limits, or a person had paused it",
    ),
    State.ANCHOR: (
        (
            f"{numbers.ARMING_S_MAX:g} s until the workers are ready, then the anchor load's length + drain + "
            f"{numbers.LOAD_SLACK_S:g} s, drain + {numbers.LOAD_SLACK_S:g} s, {numbers.SCORING_S_MAX:g} s for its score; "
            f"{numbers.ENDING_S_MAX:g} s when it is taken away"
        ),
        "the load is taken away; if it already was, the night ends: RUNNER_FAULT",
    ),
    State.ARMING: (f"{numbers.ARMING_S_MAX:g} s", "the load is taken away"),
    State.RAMPING: (f"the load's planned end + drain + {numbers.LOAD_SLACK_S:g} s", "the load is taken away"),
    State.HOLDING: ("as RAMPING", "the load is taken away"),
    State.EASED: ("as RAMPING", "the load is taken away"),
    State.PAUSED: ("as RAMPING", "the load is taken away"),
    State.RELEASING: (
        (
            f"drain + {numbers.LOAD_SLACK_S:g} s, then {numbers.SCORING_S_MAX:g} s for its score; "
            f"{numbers.ENDING_S_MAX:g} s when it is taken away"
        ),
        "the load is taken away; if it already was, the night ends: RUNNER_FAULT",
    ),
    State.HELD: (
        f"{numbers.HELD_S_MAX / 3600:g} h, and the window's end",
        "the load is taken away, the phase is OPERATOR_STOP; no load comes back before the person says so",
    ),
    State.SEARCHING: ("as ANCHOR, without a score", "the load is taken away, the search's record is incomplete"),
    State.COOLING: (
        f"the rest + {numbers.COOLING_BLOCKED_S_MAX:g} s; while a person has paused, the window's end",
        "the night ends: the host stayed outside the guardian's limits, or a person had paused it",
    ),
    State.STOPPING: (
        f"{numbers.STOPPING_S_MAX:g} s; an orderly stop ends what has not drained after {numbers.ORDERLY_RELEASE_S:g} s",
        "one more kill, and the report says that the load could not be proven zero",
    ),
    State.CONCLUDING: (f"{numbers.CONCLUDING_S_MAX:g} s", "the process ends without the report"),
    State.DONE: ("none", "the process has ended"),
    State.STOPPED: ("none", "the process has ended"),
}

_HEAD = """# The state machine

Generated from the table in `campaign/machine.py` by `python -m campaign.state_diagram`; do not edit by hand.

A night is decided by `advance(night, event)`: the rows for the state and the event are asked in order, and the first whose
guard holds is taken. An event without a row is a RUNNER_FAULT: the load is taken away and the night ends.
"""


def document() -> str:
    """The whole page, Markdown."""
    parts = (
        _HEAD,
        "## The way through a night\n",
        "Steps that stay in their state, and the rows that stop from anywhere, are left out.\n",
        "\n".join(("```mermaid", *_diagram(), "```")) + "\n",
        "## Stops\n",
        "These rows hold in every state from PREPARING to COOLING. With load they lead to STOPPING, without to CONCLUDING.\n",
        "\n".join(_stop_table()) + "\n",
        "## States and deadlines\n",
        "\n".join(_state_table()) + "\n",
        "## What must always hold\n",
        "The simulator checks these on every step of every virtual night; a report of a broken one gives its number.\n",
        "\n".join(f"{number}. {text}" for number, text in INVARIANTS.items()),
    )
    return "\n".join(parts) + "\n"


def main() -> None:
    """Print the page."""
    sys.stdout.write(document())


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.PREPARING.value}"
    order = list(State)
    arrows: dict[tuple[int, int, str], list[str]] = {}
    for state, event, rule in _rows():
        if _stops_from_anywhere(event, rule):
            continue
        for target in rule.to - {state}:
            names = arrows.setdefault((order.index(state), order.index(target), event.__name__), [])
            if rule.name not in names:
                names.append(rule.name)
    for (origin, following, event_name), names in sorted(arrows.items()):
        yield f"    {order[origin].value} --> {order[following].value} : {event_name} ({', '.join(names)})"
    for state in order:
        if state in TERMINAL:
            yield f"    {state.value} --> [*]"


def _stop_table() -> Iterator[str]:
    yield "| event | row |"
    yield "|---|---|"
    found = sorted({(event.__name__, rule.name) for _, event, rule in _rows() if _stops_from_anywhere(event, rule)})
    for event_name, name in found:
        yield f"| {event_name} | {name} |"


def _state_table() -> Iterator[str]:
    yield "| state | deadline | what follows when it passes |"
    yield "|---|---|---|"
    for state in State:
        deadline, then = _DEADLINES[state]
        yield f"| {state.value} | {deadline} | {then} |"


def _rows() -> Iterator[tuple[State, type, Rule]]:
    for (state, event), rules in TABLE.items():
        for rule in rules:
            yield state, event, rule


def _stops_from_anywhere(event: type, rule: Rule) -> bool:
    """Whether every live state has this row, and it leads out of the night."""
    return rule.to == _STOPS and all(
        any(other.name == rule.name and other.to == _STOPS for other in TABLE.get((state, event), ())) for state in LIVE
    )


if __name__ == "__main__":
    main()
