"""The defaults of a campaign, the plans that come with the program, and the reference made from the models."""

from pathlib import Path

import pytest

from campaign.defaults import GIB, HostSize, campaign_defaults, duration_min_s, split_url
from campaign.plan_file import local_zone, this_host
from campaign.plan_reference import plan_reference
from campaign.starter_plan import DEMO_PLAN, STARTER_PLAN
from stress_scenarios.load_plan import Paced, Thinking
from tests.support.plans import plan

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("cores", "memory_gib", "hours", "failures"),
    [
        (8, 16, 12, 5),
        (64, 512, 12, 5),
        (8, 15.5, 12, 5),  # what a machine sold with 16 GiB reports
        (7, 16, 8, 3),
        (8, 15, 8, 3),
        (4, 8, 8, 3),
        (4, 7.7, 8, 3),
        (4, 7.5, 6, 2),
        (3, 64, 6, 2),
        (1, 1, 6, 2),
    ],
)
def test_the_size_of_the_host_chooses_hours_and_failures(
    cores: int, memory_gib: float, hours: int, failures: int
) -> None:
    """Small hosts rest earlier, large ones go on longer."""
    found = campaign_defaults(HostSize(cpu_count=cores, memory_bytes=int(memory_gib * GIB)))

    assert (found.window_hours, found.consecutive_failures) == (hours, failures)
    assert f"{cores} cores" in found.reason


@pytest.mark.parametrize(
    ("duration_s", "minimum_s"),
    [(10.0, 10.0), (60.0, 60.0), (61.0, 60.0), (360.0, 60.0), (366.0, 61.0), (5400.0, 900.0)],
)
def test_the_default_minimum_is_a_sixth_and_at_least_a_minute(duration_s: float, minimum_s: float) -> None:
    """Or all of a phase that is shorter than a minute."""
    assert duration_min_s(duration_s) == minimum_s


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("http://host", ("http://host", "/")),
        ("http://host/", ("http://host", "/")),
        ("http://host:1/a/b?c=d", ("http://host:1", "/a/b?c=d")),
        ("http://host?c=/d", ("http://host", "/?c=/d")),
        ("host", ("host", "/")),
    ],
)
def test_a_url_is_origin_and_path(url: str, parts: tuple[str, str]) -> None:
    """The path is never empty."""
    assert split_url(url) == parts


def test_this_host_has_a_size_and_a_zone() -> None:
    """Whatever they are here."""
    assert this_host().cpu_count >= 1
    assert this_host().memory_bytes > 1 << 20
    assert plan(zone=local_zone()).window.timezone == local_zone()


def test_the_zone_of_the_environment_wins_if_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """TZ may also hold a POSIX rule, which has no name."""
    monkeypatch.setenv("TZ", "Australia/Lord_Howe")
    assert local_zone() == "Australia/Lord_Howe"
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert local_zone() != "CET-1CEST,M3.5.0,M10.5.0/3"


@pytest.mark.parametrize(("name", "text"), [("overnight-http", STARTER_PLAN), ("demo", DEMO_PLAN)])
def test_examples_are_the_plans_that_come_with_the_program(name: str, text: str) -> None:
    """One text, in two places."""
    assert (ROOT / "examples" / f"{name}.yaml").read_text() == text
    assert plan(text).name == name


def test_the_starter_plans_comments_hold_when_uncommented() -> None:
    """What a person uncomments has to work."""
    text = STARTER_PLAN
    for line in (
        "  # timezone: Europe/Berlin",
        "  # headers:",
        '  #   Authorization: "Bearer ${env:SHOP_TOKEN}"',
        "  # allow: [shop.example.org]",
        "# levels:",
        "#   moderate: {pace: 3}",
        "    # think: {min: 1s, max: 3s}",
        "    # search: true",
        "    # arrivals: {rate: 50}",
        "#   readers: {think: 2s, success: 95, response: 1s}",
        "#   checkout: {pace: 0.5, success: 99, response: 1s}",
    ):
        assert line in text
        text = text.replace(line, line.replace("# ", "", 1))
    read = plan(text)

    assert read.target.headers == {"Authorization": "Bearer ${env:SHOP_TOKEN}"}
    assert read.levels["moderate"].model == Paced(operations_per_s=3)
    assert read.levels["readers"].model == Thinking(seconds_min=2, seconds_max=2)
    assert read.scenario[-1].think is not None
    assert read.phases[-1].search is not None
    assert read.phases[-1].arrivals is not None
    assert read.levels["checkout"].success_percent_min == 99


def test_the_plan_reference_is_what_the_models_say() -> None:
    """Renew it with: python -m campaign.plan_reference > docs/plan.md."""
    assert (ROOT / "docs" / "plan.md").read_text() == plan_reference()


def test_the_reference_names_every_key_with_its_meaning() -> None:
    """A key without a description helps nobody."""
    for line in plan_reference().splitlines():
        cells = line.split(" | ")
        if line.startswith("| `") and len(cells) == 5:
            assert cells[1].strip(), line
