"""Whole nights of scenarios: the examples' sessions, declared and in Python, against a service that judges each token.

What the sessions do is taken from the files that users copy, word for word; only the times are of seconds.
"""

import csv
import functools
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from monitoring_logs.records import ErrorGroup, Outcome, PhaseRecord
from stress_scenarios.load_plan import ErrorClass
from tests.campaign.test_examples import example
from tests.campaign.test_examples_run import loaded_once, order_of
from tests.support.account_service import Kind, Mood, Request
from tests.support.night_plans import phase
from tests.support.nights import Campaign, foreground, new_home, with_patience
from tests.support.servers import HttpServer, _running

pytestmark = [pytest.mark.process, pytest.mark.campaign, pytest.mark.timeout(120)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ASK_S_MAX = 10.0

USERS = tuple(csv.DictReader((EXAMPLES / "users.csv").read_text(encoding="utf-8").splitlines()))
NAMES = (Kind.LOG_IN, Kind.ACCOUNT, Kind.UPLOAD, Kind.LOG_OUT)
"""In the order in which both plans name their operations."""

PHASES = (
    phase("honest", seconds=2, connections=3, operations=6),
    phase("wrong", seconds=2, connections=3, operations=6),
)
HONEST, WRONG = range(2)

TIMES = "\n".join(
    [
        "levels: {brisk: {pace: 20, success: 95, response: 2s}}",
        "phases:",
        *(f"  - {one}" for one in PHASES),
        "anchor: {duration: 1s}",
        "baseline: {idle: 1s}",
        "break: none",
        "cooldown: none",
        "ramp: {percent: 2}",
        "workers: 1",
        "safety: {cpu: 95}",
        "health: {minimum: 0}",
        "failures: {consecutive: 9}",
        "success: {drift: 1000}",
        "recording: {host_sample_period: 200ms}",
        "",
    ]
)
"""As in tests/support/night_plans.py: a busy machine is no question of these tests."""


# The service ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountService(HttpServer):
    """A running service with accounts; see tests/support/account_service.py."""

    def be(self, mood: Mood) -> None:
        """Treat tokens so from now on."""
        self._get(f"/mood/{mood.value}")

    def connections(self) -> tuple[tuple[Request, ...], ...]:
        """What a load has sent so far: the requests of each connection, in their order."""
        return tuple(tuple(Request(**request) for request in each) for each in self._get("/seen"))

    def _get(self, path: str) -> Any:
        with urlopen(self.url + path, timeout=ASK_S_MAX) as answer:
            return json.loads(answer.read())


@contextmanager
def account_service(directory: Path) -> Iterator[AccountService]:
    """Run one in a process of its own."""
    directory.mkdir(parents=True, exist_ok=True)

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "tests.support.account_service", str(port)]

    with _running(command, directory / "accounts.log") as (process, port):
        yield AccountService(port=port, pid=process.pid)


# The nights -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A way to write the sessions, and how the service goes wrong in the second phase."""

    example: str
    mood: Mood
    error: ErrorClass
    failing: frozenset[Kind]
    session_length: int


DECLARED = Variant(
    example="login-flow.yaml",
    mood=Mood.FORGETFUL,
    error=ErrorClass.STATUS,
    failing=frozenset({Kind.ACCOUNT, Kind.UPLOAD}),
    session_length=8,
)
IN_PYTHON = Variant(
    example="python-flow.yaml",
    mood=Mood.MISTAKEN,
    error=ErrorClass.CHECK,
    failing=frozenset({Kind.ACCOUNT}),
    session_length=6,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioNight:
    """What is left of the night, and what the service saw: until it went wrong, and in all."""

    variant: Variant
    campaign: Campaign
    exit_code: int
    records: tuple[PhaseRecord, ...]
    counted: Mapping[Kind, int]
    errors: tuple[tuple[ErrorGroup, ...], ...]
    honest: tuple[tuple[Request, ...], ...]
    seen: tuple[tuple[Request, ...], ...]


@pytest.fixture(scope="module", params=[DECLARED, IN_PYTHON], ids=["declared", "python"])
def night(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> ScenarioNight:
    """Two phases; in the second, the service begins to treat its tokens wrongly."""
    return with_patience(functools.partial(_night, variant=request.param), tmp_path_factory.mktemp("scenario_night"))


def _night(directory: Path, *, variant: Variant) -> ScenarioNight:
    home = new_home(directory)
    for name in ("users.csv", "login_flow.py"):
        shutil.copy(EXAMPLES / name, home.path)
    sessions, levels, _ = (EXAMPLES / variant.example).read_text(encoding="utf-8").partition("\nlevels:")
    assert levels, "the example has changed its order"
    with account_service(directory / "service") as service:
        with foreground(home, f"{sessions}\n{TIMES}", "--target", service.url) as running:
            campaign = running.campaign
            campaign.require_phases(len(PHASES))
            campaign.wait_for_state("HOLDING", phase_index=WRONG)
            honest = service.connections()
            service.be(variant.mood)
            code = running.wait()
        seen = service.connections()
    records = campaign.phase_records()
    with campaign.record() as reader:
        segments = [*(anchor.segment for anchor in reader.anchor_records()), *(record.segment for record in records)]
        minutes = list(chain.from_iterable(reader.load_minutes(segment) for segment in segments))
        errors = tuple(reader.error_groups(record.segment) for record in records)
    counted = {
        kind: sum(minute.succeeded + minute.failed for minute in minutes if minute.operation == index)
        for index, kind in enumerate(NAMES)
    }
    return ScenarioNight(
        variant=variant,
        campaign=campaign,
        exit_code=code,
        records=records,
        counted=counted,
        errors=errors,
        honest=honest,
        seen=seen,
    )


def test_both_sides_have_counted_the_same(night: ScenarioNight) -> None:
    """Each kind of request, over all phases and anchors, also those of the wrong part; nothing else ever came."""
    received = Counter(request.kind for request in chain.from_iterable(night.seen))
    assert received == {kind.value: count for kind, count in night.counted.items()}
    loads = night.campaign.loads()
    assert sum(load.operations_started for load in loads) == received.total() > 0
    assert sum(load.connections_opened for load in loads) == len(night.seen)


def test_every_session_logs_in_first_and_uses_its_own_token(night: ScenarioNight) -> None:
    """One login a connection, before anything else; the service knows each token, and who sends it is whom it was given to."""
    assert len(night.honest) > 2 * len(USERS)
    for log_in, *others in night.honest:
        assert (log_in.kind, log_in.channel, log_in.status) == (Kind.LOG_IN.value, "web", 200)
        assert Kind.LOG_IN.value not in {request.kind for request in others}
        assert {request.status for request in others} <= {200}
        used = {request.token for request in others if request.kind != Kind.LOG_OUT.value}
        assert used <= {log_in.token}
        assert {request.user for request in others} <= {log_in.user}
    tokens = [log_in.token for log_in, *_ in night.honest]
    assert len(set(tokens)) == len(tokens)


def test_a_session_ends_with_its_logout_unless_the_load_ends_first(night: ScenarioNight) -> None:
    """Whole sessions have all their operations; cut off is at most one session of each connection of a load."""
    whole = [requests for requests in night.honest if requests[-1].kind == Kind.LOG_OUT.value]
    assert {len(requests) for requests in whole} == {night.variant.session_length}
    # The loads so far: an anchor before each phase, and the phases.
    assert len(night.honest) - len(whole) <= 4 * 3
    assert len(whole) >= len(USERS)


def test_the_rows_of_the_file_arrive_whole(night: ScenarioNight) -> None:
    """Name and pin of one row in a login, name and city of the same row in the upload; a sequence leaves no row out."""
    log_ins = Counter((requests[0].user, requests[0].detail) for requests in night.honest)
    rows = {(row["name"], row["pin"]) for row in USERS}
    assert set(log_ins) <= rows
    assert len(log_ins) > 1
    if night.variant is DECLARED:
        assert set(log_ins) == rows
    cities = {row["name"]: row["city"] for row in USERS}
    uploads = [request for request in chain.from_iterable(night.honest) if request.kind == Kind.UPLOAD.value]
    assert len(uploads) > 1
    for upload in uploads:
        assert upload.detail == f"{upload.user},{cities[upload.user]}"


def test_all_is_well_while_the_service_is(night: ScenarioNight) -> None:
    """The first phase is complete, without a failure, and achieves what was requested."""
    record = night.records[HONEST]
    assert record.outcome is Outcome.COMPLETED, record.reason
    assert night.errors[HONEST] == ()
    assert record.load.operations_succeeded == record.load.operations_started
    assert record.load.operations_started >= 0.9 * record.load.operations_requested


def test_a_wrong_token_fails_the_phase(night: ScenarioNight) -> None:
    """An unknown token is a status, somebody else's account a failed check; the report names both, and the night is not fit."""
    assert night.records[WRONG].outcome is Outcome.FAILED
    groups = {(NAMES[group.operation], group.error) for group in night.errors[WRONG]}
    assert groups == {(kind, night.variant.error) for kind in night.variant.failing}
    refused = [request for request in chain.from_iterable(night.seen) if request.status == 401]
    if night.variant.error is ErrorClass.STATUS:
        assert sum(load.operations_failed for load in night.campaign.loads()) == len(refused) > 0
    else:
        assert refused == []
    assert night.exit_code == 1
    night.campaign.assert_over()
    report = night.campaign.report()
    assert report["verdict"]["status"] == "not_fit"
    rows = {(row["operation"], row["kind"]) for row in report["errors"]}
    assert rows == {(kind.value, night.variant.error.value) for kind in night.variant.failing}


# Tags -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "kinds"),
    [
        ({"tags": "upload"}, {Kind.LOG_IN, Kind.UPLOAD, Kind.LOG_OUT}),
        ({"exclude_tags": "upload"}, {Kind.LOG_IN, Kind.ACCOUNT, Kind.LOG_OUT}),
    ],
    ids=["include", "exclude"],
)
def test_tags_choose_what_a_session_does(tmp_path: Path, flags: dict[str, str], kinds: set[Kind]) -> None:
    """Included: what has the tag, and the session's begin and end; excluded: all else."""
    with account_service(tmp_path / "service") as service:
        drained, _, errors = loaded_once(tmp_path, order_of(example("login-flow.yaml", target=service.url, **flags)))
        seen = service.connections()

    assert errors == []
    assert drained.operations_succeeded == sum(len(requests) for requests in seen) > 0
    assert {request.kind for request in chain.from_iterable(seen)} == {kind.value for kind in kinds}
