"""The guardian's slower senses on this very host, with real load: what is past its limit takes the load away, and holds it back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from safety_monitoring.limits import Limit, Limits, Resource, Rung
from safety_monitoring.messages import AskReturn, EnterPhase, GuardianBeat, LadderMoved, ReadingsClear
from tests.support.guardian_rig import Places, Rig

pytestmark = pytest.mark.process


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A guardian without limits, led by the test."""
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(tmp_path / "state"))
    places = Places(base=tmp_path, run_id=f"run-{tmp_path.name}"[:90]).make()
    with Rig(places, places.order()) as rig:
        yield rig


def limits(resource: Resource, *, percent_max: float = 100.0, level_max: float = 1e9) -> Limits:
    """One limit that needs a second to be violated and a second to be clear."""
    limit = Limit(
        resource=resource,
        percent_max=percent_max,
        free_min=0,
        hold_s=1.0,
        clear_margin_percent=0.0,
        clear_hold_s=1.0,
        level_max=level_max,
        optional=True,
    )
    return Limits(limits=(limit,), unknown_s_max=30.0)


@pytest.mark.parametrize(
    ("past", "words"),
    [
        (limits(Resource.OPEN_FILES, percent_max=1e-6), "open_files at "),
        (limits(Resource.LOAD, level_max=1e-9), "load at "),
        (limits(Resource.INODES, percent_max=1e-9), "inodes at "),
    ],
    ids=["open files", "load", "inodes"],
)
def test_a_real_reading_past_its_limit_takes_load_away(rig: Rig, past: Limits, words: str) -> None:
    """With whose use it is. Open files and load have a breaker that opens at once; a disk's inodes are eased first."""
    worker = rig.worker()
    rig.send(EnterPhase(phase="past", limits=past))
    moved = rig.expect(LadderMoved)
    assert moved.why.startswith(words)
    assert "; CPU " in moved.why
    assert moved.why.endswith(" in use")
    assert moved.rung is (Rung.EASE if words == "inodes at " else Rung.PAUSE)
    assert worker.page.share == (0.5 if words == "inodes at " else 0.0)


def test_an_open_breaker_holds_the_load_back_although_the_readings_are_clear_and_it_is_asked(rig: Rig) -> None:
    """Half a minute; here some seconds of it, in which nothing is offered and nothing is given back."""
    worker = rig.worker()
    rig.send(EnterPhase(phase="past", limits=limits(Resource.OPEN_FILES, percent_max=1e-6)))
    assert "the breaker of open_files holds all load back for 30 s" in rig.expect(LadderMoved).why
    rig.send(EnterPhase(phase="roomy", limits=limits(Resource.OPEN_FILES)))
    for _ in range(5):
        rig.send(AskReturn())
        rig.expect(GuardianBeat)
        assert worker.page.share == 0.0
    assert rig.conclude() == 0
    names = [line["name"] for line in rig.journal()]
    assert names.count("LadderMoved") == 1
    assert ReadingsClear.__name__ not in names


def test_a_sense_that_this_host_lacks_takes_nothing_away(rig: Rig) -> None:
    """The limit is there, the sensor is not: the load goes on, and the matrix says so."""
    matrix = {row.name: row for row in rig.ready.protections}
    lacking = [
        (resource, name)
        for resource, name in (
            (Resource.TEMPERATURE, "sense: temperature"),
            (Resource.BATTERY, "sense: battery"),
            (Resource.SWAP, "sense: swap"),
        )
        if not matrix[name].works
    ]
    worker = rig.worker()
    for resource, name in lacking:
        assert matrix[name].detail.startswith("not available: ")
        rig.send(EnterPhase(phase="x", limits=limits(resource, percent_max=1e-9, level_max=1e-9)))
        for _ in range(3):
            rig.expect(GuardianBeat)
        assert worker.page.share == 1.0
