"""The slower senses: what is read into the window, what the host lacks, and what the judge makes of both."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from baseline_metrics.samples import Gap, GapReason, Sample
from baseline_metrics.strain_files import OpenFiles
from safety_monitoring.judge import ReadingWindow, ResourceReading, Violation, ViolationKind, clear, judge
from safety_monitoring.ladder import LadderMove, LadderState, NoMove, climb, give_back
from safety_monitoring.limits import Limit, Limits, Resource, Rung, default_limits
from safety_monitoring.messages import Protection
from safety_monitoring.slow_senses import SlowSenses, fullest_process

UNKNOWN = Gap(reason=GapReason.FAILED, detail="no answer")
LIMITS = {limit.resource: limit for limit in default_limits(memory_reserve_bytes=0, disk_reserve_bytes=0).limits}


def put(root: Path, name: str, content: str) -> None:
    """A file of a made-up host."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def rows(senses: SlowSenses) -> dict[str, Protection]:
    """The inventory by name."""
    return {row.name: row for row in senses.inventory()}


def only(resource: Resource, **changes: float) -> Limits:
    """The default limit of one resource, but for what is given."""
    return Limits(limits=(replace(LIMITS[resource], **changes),), unknown_s_max=30.0)  # type: ignore[arg-type]  # a test's own keywords


def test_what_a_host_lacks_is_listed_as_not_available(tmp_path: Path) -> None:
    """Every sense has its row; on a host with nothing all say so, and nothing is violated by it."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = SlowSenses(window=window, file_pids=(7,), cores=2.0, root=str(tmp_path))
    for at_s in range(60):
        senses.read(float(at_s))
    found = rows(senses)
    assert set(found) == {
        *(f"sense: {name}" for name in ("temperature", "load", "swap", "battery", "open files", "inodes")),
        *(f"sense: {name} pressure" for name in ("cpu", "memory", "io")),
    }
    assert {row.works for row in found.values()} == {False}
    assert all(row.detail.startswith("not available: ") for row in found.values()), found
    optional = tuple(limit for limit in LIMITS.values() if limit.optional)
    limits = Limits(limits=optional, unknown_s_max=30.0)
    assert judge(limits, window, 59.0) == ()
    assert clear(limits, window, 59.0)


def test_what_a_host_has_is_read(tmp_path: Path) -> None:
    """Degrees, tasks a core, swap, battery, descriptors, pressure: each in its unit."""
    put(tmp_path, "sys/class/hwmon/hwmon0/name", "k10temp\n")
    put(tmp_path, "sys/class/hwmon/hwmon0/temp1_input", "61000\n")
    put(tmp_path, "proc/loadavg", "3.00 1 1 1/1 1\n")
    put(tmp_path, "proc/meminfo", "SwapTotal: 1000 kB\nSwapFree: 250 kB\n")
    for part, content in (("type", "Battery"), ("status", "Discharging"), ("capacity", "40")):
        put(tmp_path, f"sys/class/power_supply/BAT0/{part}", content + "\n")
    put(tmp_path, "proc/7/fd/0", "")
    put(tmp_path, "proc/7/limits", "Max open files  100  100  files\n")
    for kind in ("cpu", "memory", "io"):
        put(tmp_path, f"proc/pressure/{kind}", "some total=0\nfull total=0\n")
    window = ReadingWindow(began_mono_s=0.0)
    senses = SlowSenses(window=window, file_pids=(7,), cores=2.0, root=str(tmp_path))
    senses.read(1.0)
    senses.read(2.0)
    latest = {resource: window.latest(resource) for resource in Resource}
    for resource, part, value in (
        (Resource.TEMPERATURE, "level", 61.0),
        (Resource.LOAD, "level", 1.5),
        (Resource.SWAP, "percent", 75.0),
        (Resource.SWAP, "level", 0.0),
        (Resource.BATTERY, "percent", 60.0),
        (Resource.OPEN_FILES, "percent", 1.0),
        (Resource.OPEN_FILES, "free", 99.0),
    ):
        assert getattr(latest[resource], part) == Sample(value=value), (resource, part)
    assert senses.pressures.io_full == Sample(value=0.0)
    assert [row.name for row in senses.inventory() if not row.works] == ["sense: inodes"]
    assert "k10temp" in rows(senses)["sense: temperature"].detail
    senses.close()


def test_the_pressure_of_our_own_container_counts_as_well(tmp_path: Path) -> None:
    """Whichever is higher: a container at its own limit waits while its host is at ease, and the other way round."""
    put(tmp_path, "proc/self/cgroup", "0::/job\n")
    put(tmp_path, "proc/self/mountinfo", "31 23 0:28 / /cgroup rw shared:9 - cgroup2 cgroup2 rw\n")
    line = "some total=0\nfull total={total}\n"

    def pressure(host: int, group: int) -> None:
        put(tmp_path, "proc/pressure/memory", line.format(total=host))
        put(tmp_path, "cgroup/job/memory.pressure", line.format(total=group))

    pressure(0, 0)
    senses = SlowSenses(window=ReadingWindow(began_mono_s=0.0), file_pids=(), cores=1.0, root=str(tmp_path))
    senses.read(0.0)
    pressure(100_000, 500_000)
    senses.read(1.0)
    assert senses.pressures.memory_full == Sample(value=50.0)
    pressure(1_500_000, 500_000)
    senses.read(2.0)
    assert senses.pressures.memory_full == Sample(value=75.0)
    (tmp_path / "proc/pressure/memory").write_text("")
    senses.read(3.0)
    assert isinstance(senses.pressures.memory_full, Sample), "the group still answers"
    senses.close()


def test_heat_is_read_every_other_second_and_again_before_acting(tmp_path: Path) -> None:
    """What is acted on is looked at in that moment."""
    window = ReadingWindow(began_mono_s=0.0)
    put(tmp_path, "sys/class/hwmon/hwmon0/temp1_input", "61000\n")
    senses = SlowSenses(window=window, file_pids=(), cores=1.0, root=str(tmp_path))
    for at_s in (1.0, 2.0, 3.0):
        senses.read(at_s)
    assert len(list(window.newest_first(Resource.TEMPERATURE))) == 2
    senses.read_heat_again()
    senses.read(3.1)
    assert len(list(window.newest_first(Resource.TEMPERATURE))) == 3


def test_this_hosts_senses_are_read_with_real_files() -> None:
    """Load, open files and inodes are on every Linux; what else there is says what it is."""
    window = ReadingWindow(began_mono_s=0.0)
    senses = SlowSenses(window=window, file_pids=(os.getpid(),), cores=1.0)
    senses.read(1.0)
    found = rows(senses)
    assert found["sense: load"].works
    assert found["sense: open files"].works
    for name, there in (
        ("cpu pressure", Path("/proc/pressure/cpu").exists()),
        ("memory pressure", Path("/proc/pressure/memory").exists()),
        ("io pressure", Path("/proc/pressure/io").exists()),
    ):
        assert found[f"sense: {name}"].works is there
    assert all(row.detail for row in found.values())
    senses.close()


def test_the_process_with_the_fewest_descriptors_left_counts() -> None:
    """And the largest share, wherever it is; one that cannot be read does not hide the other."""

    def found(percent: float, left: float) -> OpenFiles:
        return OpenFiles(used_percent=Sample(value=percent), left=Sample(value=left))

    assert fullest_process([found(10.0, 90.0), found(50.0, 500.0)]) == found(50.0, 90.0)
    gone = OpenFiles(used_percent=UNKNOWN, left=UNKNOWN)
    assert fullest_process([gone, found(10.0, 90.0)]) == found(10.0, 90.0)
    assert fullest_process([gone]) == gone
    assert isinstance(fullest_process([]).left, Gap)


# The judge on them -----------------------------------------------------------------------------------------------------


def seen(resource: Resource, *readings: ResourceReading) -> ReadingWindow:
    """A window of these."""
    window = ReadingWindow(began_mono_s=0.0)
    for reading in readings:
        window.add(resource, reading)
    return window


def at(
    seconds: float, *, percent: float | None = None, free: float | None = None, level: float | None = None
) -> ResourceReading:
    """One reading; what is not given is unknown."""
    parts = {"percent": percent, "free": free, "level": level}
    known = {name: UNKNOWN if value is None else Sample(value=value) for name, value in parts.items()}
    return ResourceReading(at_mono_s=seconds, **known)


@pytest.mark.parametrize(("celsius", "violated"), [(94.9, False), (95.0, False), (95.1, True)])
def test_a_level_is_over_strictly_past_its_limit(celsius: float, *, violated: bool) -> None:
    """95 degrees are inside; the text names degrees."""
    window = seen(Resource.TEMPERATURE, *(at(float(second), level=celsius) for second in range(0, 8, 2)))
    found = judge(only(Resource.TEMPERATURE), window, 6.0)
    assert bool(found) is violated
    if violated:
        (violation,) = found
        assert violation.kind is ViolationKind.LEVEL
        assert violation.text == "temperature at 95.1 degrees Celsius, limit 95.0 degrees Celsius, for 6.0 s"


@pytest.mark.parametrize(("last", "violated"), [(5.9, False), (6.0, True)])
def test_a_peak_of_heat_is_not_heat(last: float, *, violated: bool) -> None:
    """A processor jumps by ten degrees within a second; six seconds decide."""
    window = seen(Resource.TEMPERATURE, at(0.0, level=99.0), at(last, level=99.0))
    assert bool(judge(only(Resource.TEMPERATURE), window, last)) is violated


@pytest.mark.parametrize(("share", "violated"), [(95.0, False), (95.1, True)])
def test_heat_near_a_sensors_own_critical_counts_whatever_the_degrees(share: float, *, violated: bool) -> None:
    """A disk that calls 70 degrees critical is too hot at 67."""
    window = seen(Resource.TEMPERATURE, at(0.0, percent=share, level=67.0), at(6.0, percent=share, level=67.0))
    assert bool(judge(only(Resource.TEMPERATURE), window, 6.0)) is violated


@pytest.mark.parametrize(
    ("resource", "inside", "over", "words"),
    [
        (Resource.INODES, at(0.0, percent=90.0, free=1000.0), at(0.0, percent=90.1, free=5000.0), "inodes at 90.1 %"),
        (Resource.INODES, at(0.0, percent=1.0, free=1000.0), at(0.0, percent=1.0, free=999.0), "999 free, reserve 1000"),
        (Resource.OPEN_FILES, at(0.0, percent=80.0, free=32.0), at(0.0, percent=80.1, free=99.0), "open_files at 80.1 %"),
        (Resource.OPEN_FILES, at(0.0, percent=1.0, free=32.0), at(0.0, percent=1.0, free=31.0), "31 free, reserve 32"),
        (Resource.LOAD, at(0.0, level=16.0), at(0.0, level=16.1), "16.1 tasks a core"),
        (Resource.SWAP, at(0.0, percent=99.0, level=256.0 * (1 << 20)), at(0.0, percent=99.0, level=257.0 * (1 << 20)), "257 MiB more within"),
        (Resource.BATTERY, at(0.0, percent=80.0), at(0.0, percent=80.1), "battery at 80.1 %, limit 80 %"),
    ],
)  # fmt: skip
def test_every_sense_has_its_limit(
    resource: Resource, inside: ResourceReading, over: ResourceReading, words: str
) -> None:
    """At the limit is inside; past it, for its hold time, is a violation that says so in its unit."""
    hold_s = LIMITS[resource].hold_s
    for reading, violated in ((inside, False), (over, True)):
        window = seen(resource, reading, replace(reading, at_mono_s=hold_s))
        found = judge(only(resource), window, hold_s)
        assert bool(found) is violated
        assert not violated or words in found[0].text
        early = seen(resource, reading, replace(reading, at_mono_s=hold_s - 0.1))
        assert judge(only(resource), early, hold_s - 0.1) == ()


def test_a_sense_that_falls_silent_neither_violates_nor_clears_what_it_last_saw() -> None:
    """Unknown is a value of its own: the last that was read stands."""
    hot = seen(
        Resource.TEMPERATURE, at(0.0, level=99.0), *(at(float(second), level=None) for second in range(2, 60, 2))
    )
    assert judge(only(Resource.TEMPERATURE), hot, 58.0) == ()
    assert not clear(only(Resource.TEMPERATURE), hot, 58.0)
    cool = seen(
        Resource.TEMPERATURE, at(0.0, level=50.0), *(at(float(second), level=None) for second in range(2, 60, 2))
    )
    assert clear(only(Resource.TEMPERATURE), cool, 58.0)


@pytest.mark.parametrize(("celsius", "is_clear"), [(90.2, True), (90.25, True), (90.3, False)])
def test_heat_clears_five_percent_below_its_limit(celsius: float, *, is_clear: bool) -> None:
    """So that load does not return into the same limit."""
    window = seen(Resource.TEMPERATURE, *(at(float(second), level=celsius) for second in range(0, 12, 2)))
    assert clear(only(Resource.TEMPERATURE), window, 10.0) is is_clear


# Breakers and rungs ----------------------------------------------------------------------------------------------------


def violation(resource: Resource, *, evidence: float) -> Violation:
    """A violation of the default limit."""
    limit: Limit = LIMITS[resource]
    return Violation(limit=limit, kind=ViolationKind.LEVEL, since_mono_s=0.0, evidence_mono_s=evidence, text="over")


@pytest.mark.parametrize(
    ("resource", "open_s"),
    [(Resource.TEMPERATURE, 60.0), (Resource.LOAD, 30.0), (Resource.SWAP, 30.0), (Resource.OPEN_FILES, 30.0)],
)
def test_the_first_violation_opens_the_breaker_and_holds_all_load_back(resource: Resource, open_s: float) -> None:
    """Temperature for 60 s, the system for 30 s: share 0 at once, and no key turns before the time is over."""
    start = LadderState(rung=Rung.CLEAR, moved_mono_s=0.0, return_offered=False)
    state, move = climb(start, [violation(resource, evidence=100.0)], is_clear=False, has_load=True, now_mono_s=100.0)
    assert isinstance(move, LadderMove)
    assert (move.rung, move.share) == (Rung.PAUSE, 0.0)
    assert f"the breaker of {resource.value} holds all load back for {open_s:g} s" in move.why
    for now in (101.0, 100.0 + open_s - 0.1):
        state, answer = climb(state, [], is_clear=True, has_load=True, now_mono_s=now)
        assert isinstance(answer, NoMove)
        state, answer = give_back(state, is_clear=True, now_mono_s=now)
        assert isinstance(answer, NoMove)
        assert state.share == 0.0
    state, answer = give_back(state, is_clear=True, now_mono_s=100.0 + open_s)
    assert isinstance(answer, LadderMove)
    assert state.share == 0.25, "a quarter probes first"


@pytest.mark.parametrize(("evidence", "rung"), [(159.9, Rung.PAUSE), (160.0, Rung.STOP_PHASE)])
def test_a_pause_gets_a_minute_to_cool_before_the_phase_is_stopped(evidence: float, rung: Rung) -> None:
    """What six seconds show, six seconds do not cure."""
    start = LadderState(rung=Rung.CLEAR, moved_mono_s=0.0, return_offered=False)
    hot = violation(Resource.TEMPERATURE, evidence=100.0)
    state, _ = climb(start, [hot], is_clear=False, has_load=True, now_mono_s=100.0)
    later = violation(Resource.TEMPERATURE, evidence=evidence)
    state, _ = climb(state, [later], is_clear=False, has_load=True, now_mono_s=evidence)
    assert state.rung is rung
