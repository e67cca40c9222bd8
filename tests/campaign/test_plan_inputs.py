"""What lies beside a plan is read while somebody is awake: feeders' files, replays, Python code."""

from pathlib import Path

import pytest

from campaign.plan_file import LoadedPlan, PlanSources, resolve_plan
from campaign.plan_problems import PlanError
from campaign.plan_specs import code_spec, feeder_specs, is_scripted, operation_specs, target_spec, variable_specs
from campaign.plan_text import resolved_yaml
from stress_scenarios.load_plan import (
    NO_CODE,
    FeederFormat,
    FeederOrder,
    FeederSpec,
    PythonScenario,
    Stage,
    Variable,
)
from tests.campaign.test_plan_specs import PINNED
from tests.support.plans import MIDDLE_HOST, TARGET

ROWS = "name,city\nada,London\ngrace,New York\n"
FED = TARGET + "feeders: {users: {file: users.csv, order: unique}}\nscenario: [{name: a, path: '/${users.name}'}]\n"
CODED = TARGET + "code: {file: flow.py:browse, operations: [look, buy], timeout: 3s}\n"
REPLAYED = (
    TARGET + "phases: [{name: a, duration: 1h, connections: 3, operations: 5, level: low, arrivals: {replay: t.csv}}]\n"
)


def read(directory: Path, text: str, **files: str) -> LoadedPlan:
    """A plan from a file in a directory, beside other files; names end where an underscore is a dot."""
    for name, content in files.items():
        (directory / name.replace("_", ".")).write_text(content)
    path = directory / "plan.yaml"
    path.write_text(text)
    return resolve_plan(PlanSources(file=path), host=MIDDLE_HOST, zone="UTC")


def only_problem(directory: Path, text: str, **files: str) -> str:
    """The one line that a person would read."""
    with pytest.raises(PlanError) as caught:
        read(directory, text, **files)
    lines = [str(problem) for problem in caught.value.problems]
    assert len(lines) == 1, lines
    return lines[0].replace(str(directory), "DIR")


def test_a_feeders_file_is_read_beside_the_plan_and_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is typed; a load process refuses another file."""
    monkeypatch.chdir("/")
    found = read(tmp_path, FED, users_csv=ROWS)
    (spec,) = feeder_specs(found.plan, found.inputs)

    assert spec == FeederSpec(
        name="users",
        path=str(tmp_path / "users.csv"),
        sha256=found.inputs.feeders["users"].sha256,
        format=FeederFormat.CSV,
        order=FeederOrder.UNIQUE,
    )
    assert len(spec.sha256) == 64
    assert found.inputs.feeders["users"].rows == 2
    assert is_scripted(found.plan)


def test_json_lines_are_a_format_of_feeders(tmp_path: Path) -> None:
    """By the name of the file."""
    text = FED.replace("users.csv", "users.jsonl").replace(", order: unique", "")
    found = read(tmp_path, text, users_jsonl='{"name": "ada"}\n{"name": "grace"}\n{"name": "joan"}\n')
    (spec,) = feeder_specs(found.plan, found.inputs)

    assert (spec.format, spec.order) == (FeederFormat.JSON_LINES, FeederOrder.SEQUENTIAL)
    assert found.inputs.feeders["users"].rows == 3


@pytest.mark.parametrize(
    ("text", "rows", "expected"),
    [
        (FED, "", "plan.yaml:2:19 feeders.users.file: feeder users: DIR/users.csv:1: a header line"),
        (FED, "name,city\n", "plan.yaml:2:19 feeders.users.file: feeder users: DIR/users.csv has no rows"),
        (FED, "name,city\nada\n", "feeder users: DIR/users.csv:2: 1 values for 2 columns"),
        (
            FED.replace("users.name", "users.nam"),
            ROWS,
            'feeders.users: has no column nam, which ${users.nam} asks for; did you mean "name"?',
        ),
        (
            FED.replace("${users.name}", "${user.name}"),
            ROWS,
            "scenario.0.path: holds ${user.name}, but no feeder is named",
        ),
        (FED.replace("/${users.name}", "/x"), ROWS, "feeders.users: is used by no operation: write"),
        (FED.replace("users.csv", "users.xlsx"), ROWS, "feeders.users.file: "),
        (FED.replace("file: users.csv", "file: others.csv"), ROWS, "DIR/others.csv cannot be read: No such file"),
        (FED.replace("{users:", "{uuid:"), ROWS, 'feeders.uuid: "uuid" has a meaning of its own in templates'),
        (FED.replace("unique", "once"), ROWS, "feeders.users.order: \"once\" is not one of 'sequential'"),
    ],
)
def test_a_feeder_that_would_fail_at_night_is_refused(tmp_path: Path, text: str, rows: str, expected: str) -> None:
    """The file, its rows, its columns, its name."""
    with pytest.raises(PlanError) as caught:
        read(tmp_path, text, users_csv=rows)

    assert expected in str(caught.value).replace(str(tmp_path), "DIR")


def test_a_replays_times_are_read_and_hashed(tmp_path: Path) -> None:
    """The planner counts with them; its anchor is the lightest, since nobody knew the file when it was derived."""
    found = read(tmp_path, REPLAYED, t_csv="0.5\n1\n2.25\n")
    (phase,) = found.plan.phases
    replay = found.inputs.replay_of(phase)

    assert list(replay.times_s) == [0.5, 1.0, 2.25]
    assert phase.arrivals is not None
    assert phase.arrivals.replay == str(tmp_path / "t.csv")
    assert (found.plan.anchor.connections, found.plan.anchor.operations_per_s) == (1, 1.0)


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ("1\n0.5\n", "DIR/t.csv:2: 0.5 comes before the line above, 1; sort the file"),
        ("1\nx\n", 'DIR/t.csv:2: "x" is no number of seconds'),
    ],
)
def test_a_replay_that_cannot_be_is_refused(tmp_path: Path, times: str, expected: str) -> None:
    """At its key, with its line."""
    line = only_problem(tmp_path, REPLAYED, t_csv=times)

    assert line.startswith("plan.yaml:2:88 phases.0.arrivals.replay: ")
    assert expected in line


# Python code ----------------------------------------------------------------------------------------------------------


def test_python_code_is_looked_at_and_never_run(tmp_path: Path) -> None:
    """Its operations are names to count under; the file is hashed; running it here would raise."""
    found = read(tmp_path, CODED, flow_py="async def browse(session):\n    pass\nraise SystemExit\n")
    code = code_spec(found.plan, found.inputs)

    assert isinstance(code, PythonScenario)
    assert code.code == f"{tmp_path / 'flow.py'}:browse"
    assert len(code.sha256) == 64
    specs = operation_specs(found.plan)
    assert [(spec.name, spec.stage, spec.timeout_s) for spec in specs] == [
        ("look", Stage.CODE, 3.0),
        ("buy", Stage.CODE, 3.0),
    ]
    assert found.plan.operation_names == ("look", "buy")
    assert is_scripted(found.plan)


@pytest.mark.parametrize(
    "source",
    [
        "if True:\n    async def browse(session): ...\n",
        "try:\n    pass\nexcept OSError:\n    async def browse(session): ...\n",
        "from elsewhere import browse\n",
        "from elsewhere import other as browse\n",
        "browse = make()\n",
    ],
)
def test_a_function_that_only_running_could_show_is_accepted(tmp_path: Path, source: str) -> None:
    """Imported, assigned, or under a condition."""
    assert read(tmp_path, CODED, flow_py=source).plan.code is not None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "def browse(session): ...\n",
            "DIR/flow.py:1: browse is not a coroutine function: write `async def browse(session)`",
        ),
        ("async def brows(session): ...\n", 'DIR/flow.py has no function browse; did you mean "brows"?'),
        ("x = 1\n", "DIR/flow.py has no function browse; write `async def browse(session)`"),
        ("async def browse(:\n", "DIR/flow.py:1 is not Python: "),
        ("x = '\0'\n", "DIR/flow.py"),
    ],
)
def test_code_that_could_not_start_is_refused(tmp_path: Path, source: str, expected: str) -> None:
    """At the key that names it."""
    line = only_problem(tmp_path, CODED, flow_py=source)

    assert line.startswith("plan.yaml:2:8 code.file: ")
    assert expected in line


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("{file: gone.py:browse, operations: [a]}", "code.file: DIR/gone.py cannot be read: No such file"),
        ("{file: flow.py, operations: [a]}", "code.file: "),
        ("{operations: [a]}", "code.file: is missing; write one of file, entry_point"),
        ("{file: f.py:g, entry_point: x, operations: [a]}", "code.entry_point: stands beside file"),
        (
            "{entry_point: no-such-flow, operations: [a]}",
            '"no-such-flow" is no entry point of the group daybreak.scenarios',
        ),
        ("{entry_point: x, operations: []}", "code.operations: [] has fewer than 1 entries"),
        ("{entry_point: x, operations: [a, a]}", "code.operations: name one twice"),
        ("{entry_point: x}", "code.operations: is missing"),
    ],
)
def test_a_code_part_that_cannot_be_is_refused(tmp_path: Path, code: str, expected: str) -> None:
    """One place, and the names that it counts under."""
    assert expected in only_problem(tmp_path, TARGET + f"code: {code}\n")


def test_code_and_scenario_exclude_each_other(tmp_path: Path) -> None:
    """In one source; a plan's code takes the place of a user file's scenario."""
    (tmp_path / "flow.py").write_text("async def browse(session): ...\n")
    plan_file, user_file = tmp_path / "plan.yaml", tmp_path / "config.yaml"
    user_file.write_text("scenario: [{name: a, path: /}]\n")
    plan_file.write_text(CODED)
    sources = PlanSources(file=plan_file, user_file=user_file)

    assert resolve_plan(sources, host=MIDDLE_HOST, zone="UTC").plan.operation_names == ("look", "buy")
    line = only_problem(tmp_path, CODED + "scenario: [{name: a, path: /}]\n")
    assert line == "plan.yaml:2:1 code: stands beside scenario: write one of the two"


def test_a_resolved_plan_with_code_and_feeders_can_be_read_elsewhere(tmp_path: Path) -> None:
    """Paths are absolute in it."""
    text = CODED + "variables: {a: b}\nfeeders: {users: {file: users.csv}}\ntarget: {url: http://127.0.0.1}\n"
    text = text.replace(TARGET, "", 1)
    found = read(tmp_path, text, flow_py="async def browse(session): ...\n", users_csv=ROWS)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    again = read(elsewhere, resolved_yaml(found.plan, found.origins))

    assert again.plan == found.plan
    assert again.inputs == found.inputs
    assert variable_specs(again.plan) == (Variable(name="a", value="b"),)


def test_a_plan_without_any_of_it_has_nothing_beside_it(tmp_path: Path) -> None:
    """No feeder, no code, no script; the certificate's path becomes absolute, too."""
    found = read(tmp_path, "target: {url: http://127.0.0.1:8080, ca_file: own.pem}\n")

    assert feeder_specs(found.plan, found.inputs) == ()
    assert code_spec(found.plan, found.inputs) == NO_CODE
    assert not is_scripted(found.plan)
    assert target_spec(found.plan, PINNED).ca_file == str(tmp_path / "own.pem")
