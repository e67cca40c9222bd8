"""What a plan may say, and how everything else is refused."""

from pathlib import Path

import pytest

from campaign.plan import WindowHours, WindowUntil
from campaign.plan_file import load_plan, plan_for_target
from campaign.plan_problems import PlanError
from stress_scenarios.load_plan import NoBody, Paced, TextBody
from tests.support.plans import TARGET, from_file, loaded, plan

PHASE = "phases:\n  - {name: one, duration: 10min, connections: 3, operations: 5, level: low"


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


def test_a_target_is_all_that_a_plan_needs() -> None:
    """Everything else has its default: eight phases of 14 h, the five levels, the host's 8 h."""
    read = plan()

    assert [phase.name for phase in read.phases] == [
        "warmup",
        "light_load",
        "moderate_load_1",
        "moderate_load_2",
        "high_load_1",
        "high_load_2",
        "stress_test",
        "endurance_test",
    ]
    assert sum(phase.duration_s for phase in read.phases) == 14 * 3600
    assert read.window.length == WindowHours(hours=8)
    assert read.failures.consecutive_max == 3
    assert (read.break_s, read.cooldown_s, read.health.minimum) == (300.0, 1800.0, 70.0)
    assert [(operation.method, operation.path) for operation in read.scenario] == [("GET", "/")]


def test_the_anchor_is_the_first_phases_load_unless_the_plan_says_otherwise() -> None:
    """Connections, operations and pace come from the first phase and its level, key by key."""
    text = TARGET + PHASE + "}\n"

    assert (plan(text).anchor.connections, plan(text).anchor.operations_per_s) == (3, 1.0)
    changed = plan(text + "anchor: {connections: 9}\n").anchor
    assert (changed.connections, changed.operations_per_session, changed.operations_per_s) == (9, 5, 1.0)


def test_a_level_may_be_changed_in_one_value() -> None:
    """The rest of a catalogue level stays as it is."""
    level = plan(TARGET + "levels: {low: {pace: 7}}\n").levels["low"]

    assert (level.model, level.success_percent_min, level.response_s_mean_max) == (
        Paced(operations_per_s=7.0),
        95.0,
        2.0,
    )


def test_a_new_level_needs_all_three_values() -> None:
    """Nothing is guessed for a level that the catalogue does not know."""
    lines = problems(TARGET + "levels:\n  fast: {pace: 7}\n")

    assert lines == [
        "plan.yaml:3:3 levels.fast.success: is missing; write success: 90",
        'plan.yaml:3:3 levels.fast.response: is missing; write response: "3s"',
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("phasis: []", 'plan.yaml:2:1 phasis: is not a key of a plan; did you mean "phases"?'),
        ("seed: one", 'plan.yaml:2:1 seed: "one" is not a whole number; write 1'),
        ("seed: yes", 'plan.yaml:2:1 seed: "yes" is not a whole number; write 1'),
        ("seed: true", "plan.yaml:2:1 seed: True is not a whole number; write 1"),
        ("seed: -1", "plan.yaml:2:1 seed: -1 is less than 0; write 1"),
        ("name: 22:30", 'plan.yaml:2:1 name: "22:30" is not a name: write small letters'),
        ("name: ../x", 'plan.yaml:2:1 name: "../x" is not a name: write small letters'),
        ("break: 22:30", 'plan.yaml:2:1 break: "22:30" is not a duration'),
        ("break: 5", "plan.yaml:2:1 break: 5 is not a duration: write it with its unit"),
        ("break: 0s", 'plan.yaml:2:1 break: "0s" is not a duration longer than zero'),
        ("break: -5min", 'plan.yaml:2:1 break: "-5min" is not a duration'),
        ("window: {hours: 0}", "plan.yaml:2:10 window.hours: 0 is not above 0; write 8"),
        ("window: {hours: .nan}", "plan.yaml:2:10 window.hours: nan is not a finite number; write 8"),
        ("window: {hours: 72.5}", "plan.yaml:2:10 window.hours: 72.5 is more than 72; write 8"),
        ("window: {until: 25:00}", 'plan.yaml:2:10 window.until: "25:00" is not a time of day'),
        ("window: {until: 420}", "plan.yaml:2:10 window.until: 420 is not a text"),
        ("window: {timezone: Mars/Base}", 'plan.yaml:2:10 window.timezone: "Mars/Base" is not a zone'),
        ("window: {hours: 8, until: 07:00}", "plan.yaml:2:20 window.until: stands beside hours: write one of the two"),
        ("window: 8h", 'plan.yaml:2:1 window: "8h" is not a mapping'),
        ("phases: []", "plan.yaml:2:1 phases: [] has fewer than 1 entries"),
        ("phases: {a: 1}", 'plan.yaml:2:1 phases: {"a": 1} is not a list'),
        ("workers: 0", "plan.yaml:2:1 workers: 0 is neither auto nor a number of processes from 1 to 64"),
        ("safety: {memory: 96}", "plan.yaml:2:10 safety.memory: 96 is more than 95; write 80"),
        ("safety: {own: 81}", "plan.yaml:2:10 safety.own: 81 is more than 80; write 80"),
        ("safety: {disk_reserve: 5}", "plan.yaml:2:10 safety.disk_reserve: 5 is not a size"),
        ("health: {errors_slo: 20}", "plan.yaml:2:1 health.errors_limit: is not above errors_slo"),
        (
            "recording: {host_sample_period: 50ms}",
            'plan.yaml:2:13 recording.host_sample_period: "50ms" is less than 0.1 s',
        ),
        ("scenario: [{name: a, path: b}]", 'plan.yaml:2:22 scenario.0.path: "b" does not begin with a slash'),
        ("scenario: [{name: a, path: /a b}]", 'scenario.0.path: "/a b" holds spaces'),
        (
            "scenario: [{name: a, path: /, method: get}]",
            "plan.yaml:2:31 scenario.0.method: \"get\" is not one of 'GET'",
        ),
        ("scenario: [{name: a, path: /, weight: 0}]", "scenario.0.weight: 0 is not above 0; write 3"),
        ("scenario: [{name: a, path: /, body: x, json: 1}]", "scenario.0.json: stands beside body"),
        ("scenario: [{name: a, path: /, content_type: x}]", "scenario.0.content_type: stands without a body"),
        ("scenario: [{name: a, path: /, expect_status: [99]}]", "scenario.0.expect_status.0: 99 is not a status"),
        ("scenario: [{name: a, path: /, headers: {Host: x}}]", 'scenario.0.headers.Host: "Host" is set by the engine'),
        ('scenario: [{name: a, path: /, headers: {X: "${PW}"}}]', "holds ${PW}, and nothing gives that a value"),
        ('scenario: [{name: a, path: /, headers: {X: "a\\r\\nB: c"}}]', "holds control or non-ASCII characters"),
        ('scenario: [{name: a, path: /, headers: {X: "a "}}]', "begins or ends with a blank"),
        ("scenario: [{name: a, path: /}, {name: a, path: /}]", '"a" is the name of scenario.0 already'),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_what_to_write(line: str, expected: str) -> None:
    """One line: file, line, column, path, fault, remedy."""
    assert expected in only_problem(TARGET + line + "\n")


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (", duration_min: 11min}", "phases.0.duration_min: is longer than duration"),
        (", priority: 0}", "phases.0.priority: 0 is less than 1; write 50"),
        (
            ", treshold_multiplier: 1}",
            'phases.0.treshold_multiplier: is not a key of a plan; did you mean "threshold_multiplier"?',
        ),
    ],
)
def test_phases_are_checked_between_their_values(rest: str, expected: str) -> None:
    """A minimum above the duration, a priority out of range, a mistyped key."""
    assert expected in only_problem(TARGET + PHASE + rest + "\n")


def test_an_unknown_level_is_named_with_the_nearest_one() -> None:
    """The plan's own levels count as known."""
    text = TARGET + PHASE.replace("level: low", "level: lwo") + "}\n"

    assert 'plan.yaml:3:65 phases.0.level: no stress level is named "lwo"; did you mean "low"?' in only_problem(text)


def test_all_faults_are_reported_at_once_in_the_order_of_the_file() -> None:
    """A person repairs a plan in one go, not fault by fault; follow-up faults are left out."""
    lines = problems(
        "name: Bad Name\n"
        "target: {url: ftp://x, nme: y}\n"
        "phases:\n"
        "  - name: a\n"
        "    duration: 22:30\n"
        "    level: lowest\n"
        "  - {name: a, duration: 5min, connections: 0, operations: 1, level: low}\n"
    )

    places = [line.split(": ")[0] for line in lines]
    assert places == [
        "plan.yaml:1:1 name",
        "plan.yaml:2:10 target.url",
        "plan.yaml:2:24 target.nme",
        "plan.yaml:4:5 phases.0.connections",
        "plan.yaml:4:5 phases.0.operations",
        "plan.yaml:5:5 phases.0.duration",
        "plan.yaml:6:5 phases.0.level",
        "plan.yaml:7:6 phases.1.name",
        "plan.yaml:7:31 phases.1.connections",
    ]


def test_a_plan_without_a_target_says_how_to_write_one() -> None:
    """And nothing else, although a scenario could not be derived either."""
    assert only_problem("name: x\n") == "plan.yaml target: is missing; write target: {url: http://127.0.0.1:8080}"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ftp://host", "is not an HTTP address"),
        ("127.0.0.1:8080", "is not an HTTP address"),
        ("http://", "names no host"),
        ("http://host:0", "names no host"),
        ("http://host:99999", "is not a URL"),
        ("http://user:secret@host", "holds a user name"),
        ("http://[::1", "is not a URL"),
    ],
)
def test_a_target_is_an_http_address(url: str, expected: str) -> None:
    """Whatever is not one is refused, without repeating a password."""
    line = only_problem(f'target: {{url: "{url}"}}\n')

    assert expected in line
    assert "secret" not in line


@pytest.mark.parametrize(
    "name",
    [
        *("Authorization", "proxy-authorization", "Cookie", "X-API-Key", "ApiKey", "x-csrf-token"),
        *("X-Secret-Thing", "Password"),
    ],
)
def test_a_credential_written_out_is_refused(name: str) -> None:
    """At its place, with what to write instead, and without repeating it: the plan is stored in the run."""
    for text, path in (
        (
            f"target: {{url: http://127.0.0.1, headers: {{{name}: hunter2}}}}\n",
            f"plan.yaml:1:43 target.headers.{name}: ",
        ),
        (TARGET + f"scenario: [{{name: a, path: /, headers: {{{name}: hunter2}}}}]\n", f"scenario.0.headers.{name}: "),
    ):
        line = only_problem(text)
        assert path in line
        assert "${env:TOKEN}" in line
        assert "hunter2" not in line
    assert '"Bearer ${env:TOKEN}"' in only_problem(TARGET[:-2] + ", headers: {Authorization: Bearer x}}\n")


@pytest.mark.parametrize(
    "header", ['Authorization: "Bearer ${env:TOKEN}"', 'X-Api-Key: "${env:K}"', "Accept: x", 'Cookie: ""']
)
def test_a_credential_by_reference_is_accepted(header: str) -> None:
    """So is every header that carries none."""
    assert plan(f"target: {{url: http://127.0.0.1, headers: {{{header}}}}}\n").target.headers


def test_without_a_scenario_the_targets_path_is_the_operation() -> None:
    """``--target http://host/path?query`` loads that path."""
    read = plan_for_target("http://127.0.0.1:8080/shop/item?id=1")

    assert read.target.url == "http://127.0.0.1:8080"
    assert [(operation.name, operation.path) for operation in read.scenario] == [("get", "/shop/item?id=1")]


def test_with_a_scenario_a_path_in_the_url_is_refused() -> None:
    """It would take no effect."""
    line = only_problem("target: {url: http://127.0.0.1/x}\nscenario: [{name: a, path: /}]\n")

    assert "holds a path: write it as the path of an operation under scenario" in line


@pytest.mark.parametrize("until", ["22:30", '"22:30"', "7:00"])
def test_a_time_of_day_works_with_and_without_quotes(until: str) -> None:
    """YAML 1.2 has no base sixty."""
    clock = until.strip('"').rjust(5, "0")

    assert plan(TARGET + f"window: {{until: {until}}}\n").window.length == WindowUntil(clock=clock)


def test_no_break_and_no_cooldown_are_written_none() -> None:
    """A zero duration would be taken for a slip."""
    read = plan(TARGET + "break: none\ncooldown: none\n")

    assert (read.break_s, read.cooldown_s) == (0.0, 0.0)


def test_bodies_are_text_or_json() -> None:
    """JSON null and false are bodies, too; no key means no body."""
    operations = plan(
        TARGET
        + "scenario:\n"
        "  - {name: none, path: /}\n"
        "  - {name: text, path: /, method: POST, body: hello}\n"
        "  - {name: json, path: /, method: POST, json: {a: [1, null]}}\n"
        "  - {name: null, path: /, method: POST, json: null, content_type: application/vnd.x+json}\n".replace(
            "name: null", "name: nothing"
        )
    ).scenario

    assert [operation.payload for operation in operations] == [
        NoBody(),
        TextBody(content="hello", content_type="text/plain; charset=utf-8"),
        TextBody(content='{"a":[1,null]}', content_type="application/json"),
        TextBody(content="null", content_type="application/vnd.x+json"),
    ]


def test_expected_statuses_are_resolved_to_an_explicit_list() -> None:
    """Any 2xx or 3xx unless the plan names its own."""
    text = TARGET + "scenario: [{name: a, path: /}, {name: b, path: /, expect_status: [404, 5xx]}]\n"
    default, own = plan(text).scenario

    assert default.statuses == tuple(range(200, 400))
    assert own.statuses == (404, *range(500, 600))


def test_bodies_that_do_not_fit_into_one_message_are_refused() -> None:
    """The order with all bodies travels in one line."""
    line = only_problem(TARGET + f"scenario: [{{name: a, path: /, body: {'x' * (256 * 1024 + 1)}}}]\n")

    assert "has bodies of 262145 bytes together; write at most 262144" in line


@pytest.mark.parametrize(("count", "accepted"), [(64, True), (65, False)])
def test_a_plan_has_up_to_64_phases(count: int, accepted: bool) -> None:  # noqa: FBT001 - a table's column
    """The sixty-fifth is refused."""
    phases = "".join(
        f"  - {{name: p{index}, duration: 10min, connections: 1, operations: 1, level: low}}\n"
        for index in range(count)
    )
    text = TARGET + "phases:\n" + phases
    if accepted:
        assert len(plan(text).phases) == count
    else:
        assert "has more than 64 entries" in only_problem(text)


def test_the_hash_changes_with_the_plan_only() -> None:
    """The same plan has the same hash, whatever its layout."""
    one = plan(TARGET + "seed: 5\n")
    same = plan("seed: 5   # a comment\n" + TARGET)

    assert one.sha256 == same.sha256
    assert one.sha256 != plan(TARGET + "seed: 6\n").sha256


def test_files_that_are_no_plans_are_refused_with_their_name(tmp_path: Path) -> None:
    """Missing, a directory, binary, too large."""
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff\xfe")
    large = tmp_path / "large.yaml"
    large.write_text("# " + "x" * (1 << 20) + "\n")
    for path, expected in (
        (tmp_path / "missing.yaml", "there is no such file; `init` writes a commented plan"),
        (tmp_path, "is a directory"),
        (binary, "is not UTF-8 text (byte 6)"),
        (large, "is larger than 1 MiB"),
    ):
        with pytest.raises(PlanError) as caught:
            load_plan(path)
        assert str(caught.value).startswith(str(path))
        assert expected in str(caught.value)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "plan.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + TARGET.encode())

    assert from_file(path).target.url == "http://127.0.0.1:8080"
