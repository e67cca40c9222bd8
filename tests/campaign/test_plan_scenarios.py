"""What a plan says of sessions: stages, extractions, checks, pauses, WebSockets, tags, templates; and what it may not say."""

import pytest

from campaign.plan_file import PlanSources, resolve_plan_text
from campaign.plan_problems import PlanError
from campaign.plan_specs import operation_specs
from campaign.plan_text import resolved_yaml
from stress_scenarios.load_plan import (
    Extraction,
    JsonCheck,
    JsonPresent,
    LatencyCheck,
    OperationSpec,
    RegexCheck,
    SizeCheck,
    Source,
    Stage,
    TextBody,
    ThinkTime,
    WebSocketRequest,
)
from tests.support.plans import MIDDLE_HOST, TARGET, loaded, plan

FLOW = """\
target: {url: http://127.0.0.1:8080}
variables: {region: north, page: 5}
scenario:
  - name: log_in
    stage: setup
    method: POST
    path: /login?region=${region}
    json: {page: "${page}"}
    extract:
      - {as: token, json: $.token}
      - {as: csrf, regex: 'csrf="([^"]+)"'}
      - {as: place, header: Location}
    tags: [account]
  - name: look
    weight: 3
    path: /items/${random:1-9}
    headers: {Authorization: "Bearer ${token}", X: "${env:KEY} ${csrf}"}
    checks:
      - {json: $.state, equals: ready}
      - {json: $.count, equals: 1}
      - {json: $.gone, equals: null}
      - {json: $.owner, equals: "${region}"}
      - {json: "$.list[0]"}
      - {regex: "total: [0-9]+"}
      - {within: 500ms}
      - {bytes: {min: 1 B, max: 64KiB}}
      - {bytes: {max: 1KiB}}
    think: {min: 1s, max: 3s}
    redirects: 3
    tags: [smoke, items]
  - name: quote
    path: /quotes
    websocket: {message: '{"id": "${request_id}"}', reply_id: $.id, subprotocols: [v2]}
    think: 1s
    tags: smoke
  - name: plain
    path: /plain
    websocket: {message: 'ping $${x}'}
    tags: "slow, items"
  - name: leave
    stage: teardown
    path: ${place}
    expect_status: [200]
"""
FLOW = FLOW.replace("path: ${place}", "path: /leave/${place}")


def problems(text: str) -> list[str]:
    """The lines that a person would read."""
    with pytest.raises(PlanError) as caught:
        loaded(text)
    return [str(problem) for problem in caught.value.problems]


def only_problem(text: str) -> str:
    """The one line that a person would read."""
    lines = problems(text)
    assert len(lines) == 1, lines
    return lines[0]


def specs(text: str = FLOW, **flags: str) -> dict[str, OperationSpec]:
    """What the load processes get, by name."""
    return {spec.name: spec for spec in operation_specs(loaded(text, flags=flags).plan)}


def test_a_whole_session_becomes_specs() -> None:
    """Everything that a plan can say of an operation arrives at the load processes."""
    found = specs()

    assert [spec.stage for spec in found.values()] == [Stage.SETUP, Stage.MIX, Stage.MIX, Stage.MIX, Stage.TEARDOWN]
    assert found["log_in"].body == TextBody(content='{"page":"${page}"}', content_type="application/json")
    assert found["log_in"].extractions == (
        Extraction(variable="token", source=Source.JSON, expression="$.token"),
        Extraction(variable="csrf", source=Source.REGEX, expression='csrf="([^"]+)"'),
        Extraction(variable="place", source=Source.HEADER, expression="Location"),
    )
    assert found["look"].checks == (
        JsonCheck(path="$.state", expected='"ready"'),
        JsonCheck(path="$.count", expected="1"),
        JsonCheck(path="$.gone", expected="null"),
        JsonCheck(path="$.owner", expected='"${region}"'),
        JsonPresent(path="$.list[0]"),
        RegexCheck(pattern="total: [0-9]+"),
        LatencyCheck(service_s_max=0.5),
        SizeCheck(bytes_min=1, bytes_max=65_536),
        SizeCheck(bytes_min=0, bytes_max=1024),
    )
    assert (found["look"].think, found["look"].redirects_max) == (ThinkTime(seconds_min=1.0, seconds_max=3.0), 3)
    assert found["quote"].kind == WebSocketRequest(
        message='{"id": "${request_id}"}', reply_id="$.id", subprotocols=("v2",)
    )
    assert found["quote"].think == ThinkTime(seconds_min=1.0, seconds_max=1.0)
    assert found["plain"].kind == WebSocketRequest(message="ping $${x}", reply_id="", subprotocols=())
    assert found["leave"].expected_status == (200,)


def test_numbers_are_variables_as_they_are_written() -> None:
    """A variable is a text in the end."""
    assert plan(FLOW).variables == {"region": "north", "page": "5"}


def test_a_resolved_plan_keeps_the_whole_scenario() -> None:
    """What is stored with a run can be run again, the null that a check expects included."""
    found = loaded(FLOW, flags={"exclude_tags": "slow"})
    written = resolved_yaml(found.plan, found.origins)
    again = resolve_plan_text(written, name="again.yaml", sources=PlanSources(), host=MIDDLE_HOST, zone="UTC")

    assert again.plan == found.plan
    assert operation_specs(again.plan) == operation_specs(found.plan)
    assert any("slow" in line and line.endswith("# --exclude-tags") for line in written.splitlines())


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("stage: begin", "scenario.0.stage: \"begin\" is not one of 'setup', 'mix' or 'teardown'"),
        ("stage: setup, weight: 2", "scenario.0.weight: has no effect in setup, where each operation runs once"),
        ("extract: [{as: x}]", "scenario.0.extract.0.json: is missing; write one of json, regex, header"),
        ("extract: [{as: x, json: $.a, regex: b}]", "scenario.0.extract.0.regex: stands beside json"),
        ("extract: [{as: 1x, json: $.a}]", 'scenario.0.extract.0.as: "1x" is not a name of a variable'),
        ("extract: [{as: uuid, json: $.a}]", 'extract.0.as: "uuid" has a meaning of its own in templates'),
        ("extract: [{as: x, json: a.b}]", 'extract.0.json: is not a JSON path: "a.b": a path begins with $'),
        ('extract: [{as: x, regex: "("}]', 'extract.0.regex: "(" is not a regular expression'),
        ("extract: [{as: x, header: 'a b'}]", 'extract.0.header: "a b" is not a header name'),
        ("checks: [{}]", "scenario.0.checks.0.json: is missing; write one of json, regex, within, bytes"),
        ("checks: [{within: 1s, bytes: {max: 1 B}}]", "scenario.0.checks.0.bytes: stands beside within"),
        ("checks: [{equals: 1, regex: a}]", "scenario.0.checks.0.equals: stands without json"),
        ("checks: [{bytes: {}}]", "scenario.0.checks.0.bytes.max: is missing; write min, max or both"),
        ("checks: [{bytes: {min: 2 B, max: 1 B}}]", "scenario.0.checks.0.bytes.max: is less than min"),
        (
            "checks: [{bytes: {max: 9MiB}}]",
            'scenario.0.checks.0.bytes.max: "9MiB" is more than 8388608 bytes; write "64KiB"',
        ),
        ("redirects: 21", "scenario.0.redirects: 21 is more than 20; write 3"),
        ("think: 2h", 'scenario.0.think: "2h" is more than 3600 s; write "1s"'),
        ("tags: [A]", 'scenario.0.tags: "A" is not a name: write small letters'),
        ("tags: {a: b}", "scenario.0.tags: {"),
        ("websocket: {message: a}, method: POST", "scenario.0.method: stands beside websocket"),
        ("websocket: {message: a}, body: b", "scenario.0.body: stands beside websocket"),
        ("websocket: {message: a}, expect_status: [200]", "scenario.0.expect_status: stands beside websocket"),
        ("websocket: {message: a}, redirects: 1", "scenario.0.redirects: stands beside websocket"),
        ("websocket: {message: a, reply_id: $.id}", 'scenario.0.websocket.message: holds no "${request_id}"'),
        (
            "websocket: {message: a, subprotocols: ['a b']}",
            'scenario.0.websocket.subprotocols.0: "a b" has not the form that is needed',
        ),
        ("websocket: {}", "scenario.0.websocket.message: is missing"),
        ("body: '${a'", 'scenario.0.body: "${a": a closing brace is missing'),
        ("body: '${a b}'", 'scenario.0.body: "${a b}" is no variable'),
        ("body: '${random:9-1}'", 'scenario.0.body: "${random:9-1}": 9 is more than 1'),
        ("body: '${env:KEY}'", 'scenario.0.body: "${env:KEY}": the environment can be used in headers only'),
        ("body: '${rows.a}'", 'scenario.0.body: holds ${rows.a}, but no feeder is named "rows"; the plan has none.'),
        ("json: {a: ['${b}']}", "scenario.0.json: holds ${b}, and nothing gives that a value; It may be a variable"),
        ("headers: {X: '${b}'}", "scenario.0.headers.X: holds ${b}, and nothing gives that a value"),
        ("checks: [{json: $.a, equals: '${b}'}]", "scenario.0.checks.0.equals: holds ${b}, and nothing gives"),
        (
            "extract: [{as: token, json: $.a}], body: '${tokn}'",
            '${tokn}, and nothing gives that a value; did you mean "token"?',
        ),
    ],
)
def test_an_operation_that_cannot_be_is_refused(keys: str, expected: str) -> None:
    """At the key that is wrong, in words that say what to write."""
    assert expected in only_problem(TARGET + f"scenario: [{{name: a, path: /, {keys}}}]\n")


def test_setup_knows_only_what_came_before() -> None:
    """Its operations run in their order; the others may come in any."""
    text = (
        "scenario:\n"
        "  - {name: one, stage: setup, path: '/${token}'}\n"
        "  - {name: two, stage: setup, path: /, extract: [{as: token, json: $.t}]}\n"
        "  - {name: three, path: '/${token}'}\n"
    )

    assert "scenario.0.path: holds ${token}, which is extracted only later" in only_problem(TARGET + text)
    assert plan(TARGET + text.replace("/${token}'}\n  - {name: two", "/'}\n  - {name: two")).operation_names


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ("{a: 1}", "variables.a: is used by no operation: write"),
        ("{a: '${env:X}'}", "variables.a: holds a reference, and variables are plain texts"),
        ("{number: 1}", 'variables.number: "number" has a meaning of its own in templates'),
        ("{a-b: 1}", 'variables.a-b: "a-b" is not a name of a variable'),
        ("{password: x}", "variables.password: is named like a credential, and a plan is stored"),
        ("{a: true}", "variables.a: True is not a text"),
    ],
)
def test_a_variable_that_cannot_be_is_refused(variables: str, expected: str) -> None:
    """One that nobody uses is a slip."""
    line = only_problem(TARGET + f"variables: {variables}\n")

    assert expected in line
    assert line.startswith("plan.yaml:2:")


def test_a_header_may_carry_what_a_session_gets_for_itself_and_a_target_may_not() -> None:
    """A token that was extracted is no secret of the plan; the target's headers know no session."""
    line = only_problem('target: {url: http://127.0.0.1, headers: {Authorization: "Bearer ${token}"}}\n')

    assert 'target.headers.Authorization: "Bearer ${token}" holds a reference that is not known here' in line
    assert plan(FLOW).scenario[1].headers["Authorization"] == "Bearer ${token}"


# Tags -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({}, ["log_in", "look", "quote", "plain", "leave"]),
        ({"tags": "smoke"}, ["log_in", "look", "quote", "leave"]),
        ({"tags": "slow"}, ["log_in", "plain", "leave"]),
        ({"tags": "smoke, slow"}, ["log_in", "look", "quote", "plain", "leave"]),
        ({"tags": "smoke slow"}, ["log_in", "look", "quote", "plain", "leave"]),
        ({"exclude_tags": "items"}, ["log_in", "quote", "leave"]),
        ({"tags": "smoke", "exclude_tags": "items"}, ["log_in", "quote", "leave"]),
    ],
)
def test_tags_choose_operations_and_setup_stays(flags: dict[str, str], names: list[str]) -> None:
    """With commas or blanks between them, from the command line as from the plan."""
    assert list(specs(**flags)) == names
    assert list(loaded(FLOW, flags=flags).plan.operation_names) == names


def test_tags_of_the_environment_give_way_to_those_of_a_flag() -> None:
    """Like every other value; what the flag does not say stays."""
    found = loaded(FLOW, flags={"tags": "items"}, environ={"DAYBREAK_TAGS": "smoke", "DAYBREAK_EXCLUDE_TAGS": "slow"})

    assert (found.plan.tags.include, found.plan.tags.exclude) == (("items",), ("slow",))
    assert found.plan.operation_names == ("log_in", "look", "leave")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"tags": "smok"}, '--tags tags.include: no operation has the tag "smok"; did you mean "smoke"?'),
        (
            {"exclude_tags": "x"},
            '--exclude-tags tags.exclude: no operation has the tag "x"; known here: account, smoke',
        ),
        (
            {"exclude_tags": "smoke, slow"},
            "--exclude-tags tags.exclude: leaves no operation of the mix; there are log_in (account), look (smoke items)",
        ),
        ({"tags": "Smoke"}, '--tags tags.include: "Smoke" is not a name'),
    ],
)
def test_tags_that_choose_nothing_are_refused_with_those_that_there_are(flags: dict[str, str], expected: str) -> None:
    """Nobody wants a night without load, or a slip that runs everything."""
    with pytest.raises(PlanError) as caught:
        loaded(FLOW, flags=flags)

    assert str(caught.value).startswith(expected)


def test_what_tags_leave_out_is_missed_where_it_is_needed() -> None:
    """A token whose login was excluded cannot be filled in."""
    with pytest.raises(PlanError) as caught:
        loaded(FLOW, flags={"exclude_tags": "account"})

    assert "holds ${token}, which is extracted by an operation that the tags leave out" in str(caught.value)


def test_tags_without_any_tagged_operation_say_so() -> None:
    """The first step is to write some."""
    assert "none has any: write `tags: [...]` under operations first" in only_problem(
        TARGET + "tags: {include: smoke}\n"
    )


def test_a_scenario_without_a_mix_is_refused() -> None:
    """Sessions of setup alone would make no load to speak of."""
    line = only_problem(TARGET + "scenario: [{name: a, path: /, stage: setup}]\n")

    assert line == "plan.yaml:2:1 scenario: has no operation of the mix: leave `stage` out at one at least"


# Engine and timeouts --------------------------------------------------------------------------------------------------


def test_timeouts_of_the_target_belong_to_the_wire_engine() -> None:
    """The other engine would not keep them, so it refuses them."""
    text = "target: {url: http://127.0.0.1, connect_timeout: 2s, first_byte_timeout: 5s}\n"

    assert (plan(text).target.connect_s_max, plan(text).target.first_byte_s_max) == (2.0, 5.0)
    lines = problems(text + "engine: httpx\n")
    assert [line.partition(" is not")[0] for line in lines] == [
        "plan.yaml:1:33 target.connect_timeout:",
        "plan.yaml:1:54 target.first_byte_timeout:",
    ]
    assert lines[0].endswith("write engine: wire, or an operation's timeout instead")


def test_a_header_that_is_a_credential_takes_no_stored_variable() -> None:
    """A variable is part of the plan, and a plan is stored; what was extracted from an answer is not."""
    head = TARGET + "variables: {tok: abc}\nscenario:\n"
    bad = head + '  - {name: a, path: /, headers: {Authorization: "Bearer ${tok}"}}\n'
    assert "scenario.0.headers.Authorization: is a credential and holds ${tok}" in only_problem(bad)

    log_in = "  - {name: in, path: /in, stage: setup, extract: [{as: token, json: $.t}]}\n"
    use = '  - {name: a, path: "/${tok}", headers: {Authorization: "Bearer ${token}", X-Shop: "${tok}"}}\n'
    assert plan(head + log_in + use).variables == {"tok": "abc"}
