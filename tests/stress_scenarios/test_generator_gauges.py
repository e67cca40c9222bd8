"""What a load process knows of itself."""

import dataclasses
import gc
import os
from pathlib import Path

import pytest

from stress_scenarios.generator_gauges import LIST_S, GeneratorGauges, other_ends_here
from tests.stress_scenarios.orders import an_order


def a_proc(directory: Path, *, sockstat: str = "", sockstat6: str = "", ports: str = "") -> Path:
    """A made-up /proc; files without content are missing."""
    (directory / "self" / "fd").mkdir(parents=True)
    (directory / "net").mkdir()
    (directory / "sys" / "net" / "ipv4").mkdir(parents=True)
    for path, content in (
        (directory / "net" / "sockstat", sockstat),
        (directory / "net" / "sockstat6", sockstat6),
        (directory / "sys" / "net" / "ipv4" / "ip_local_port_range", ports),
    ):
        if content:
            path.write_text(content)
    return directory


SOCKSTAT = "sockets: used 20\nTCP: inuse 5 orphan 0 tw 30 alloc 7 mem 1\nUDP: inuse 9 mem 0\n"
SOCKSTAT6 = "TCP6: inuse 2\nUDP6: inuse 4\n"


def test_ports_are_those_in_use_and_those_that_wait(tmp_path: Path) -> None:
    """Of both protocol families, against the range that connecting takes them from."""
    with GeneratorGauges(a_proc(tmp_path, sockstat=SOCKSTAT, sockstat6=SOCKSTAT6, ports="32768\t60999\n")) as gauges:
        reading = gauges.read(0.0)
    assert (reading.ports_used, reading.ports_max) == (37, 28_232)


@pytest.mark.parametrize(
    ("sockstat", "ports", "expected"),
    [
        (SOCKSTAT, "", (35, 0)),
        (SOCKSTAT, "nonsense\n", (35, 0)),
        (SOCKSTAT, "60999 32768\n", (35, 0)),
        ("", "32768 60999\n", (0, 0)),
        ("nonsense\n", "10 19\n", (0, 10)),
    ],
)
def test_what_cannot_be_read_is_not_known(tmp_path: Path, sockstat: str, ports: str, expected: tuple[int, int]) -> None:
    """A limit of 0 says so: nobody may take it for plenty."""
    with GeneratorGauges(a_proc(tmp_path, sockstat=sockstat, ports=ports)) as gauges:
        reading = gauges.read(0.0)
    assert (reading.ports_used, reading.ports_max) == expected


def test_waiting_for_a_cpu_is_counted_from_the_last_look_on(tmp_path: Path) -> None:
    """The kernel counts nanoseconds over the thread's life; a kernel that does not tell gives 0."""
    proc = a_proc(tmp_path / "tells")
    schedstat = proc / "self" / "schedstat"
    schedstat.write_text("7000000000 1500000000 99\n")
    with GeneratorGauges(proc) as gauges:
        schedstat.write_text("7000000000 1750000000 99\n")
        waited = [gauges.read(0.0).cpu_wait_s, gauges.read(1.0).cpu_wait_s]
    assert waited == [pytest.approx(0.25), 0.0]
    with GeneratorGauges(a_proc(tmp_path / "silent")) as gauges:
        assert gauges.read(0.0).cpu_wait_s == 0.0


def test_the_real_process_knows_its_descriptors() -> None:
    """Opening ten raises the number by ten; the limit is the process's own."""
    with GeneratorGauges() as gauges:
        before = gauges.read(0.0)
        opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(10)]
        after = gauges.read(LIST_S)
        for descriptor in opened:
            os.close(descriptor)
    assert after.descriptors_open - before.descriptors_open == 10
    assert after.descriptors_max >= after.descriptors_open > 10
    assert after.ports_max > after.ports_used >= 0


def test_descriptors_are_listed_seldom_where_the_kernel_does_not_tell_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listing is slow: what was listed stands for ten seconds."""
    proc = a_proc(tmp_path)
    directory = proc / "self" / "fd"
    real_stat = os.stat
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((*real_stat(path)[:6], 0, *real_stat(path)[7:])))
    seen = []
    with GeneratorGauges(proc) as gauges:
        for at_s in (0.0, LIST_S - 0.1, LIST_S):
            (directory / str(at_s)).touch()
            seen.append(gauges.read(at_s).descriptors_open)
    assert seen == [1, 1, 3]


def test_descriptors_that_cannot_be_counted_are_not_known(tmp_path: Path) -> None:
    """Without the directory there is neither a number nor a limit."""
    proc = a_proc(tmp_path)
    (proc / "self" / "fd").rmdir()
    with GeneratorGauges(proc) as gauges:
        reading = gauges.read(0.0)
    assert (reading.descriptors_open, reading.descriptors_max) == (0, 0)


def test_pauses_of_the_collector_are_summed_and_told_once() -> None:
    """Each collection counts; the greatest stands apart; the next reading begins anew."""
    with GeneratorGauges() as gauges:
        for _ in range(3):
            gc.collect()
        reading = gauges.read(0.0)
        quiet = gauges.read(1.0)
    assert 0.0 < reading.gc_pause_s_max <= reading.gc_pause_s_sum
    assert quiet.gc_pause_s_sum < reading.gc_pause_s_sum


def test_closed_gauges_leave_nothing_behind() -> None:
    """No callback and no descriptor, also when closed twice."""
    callbacks, descriptors = len(gc.callbacks), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        gauges = GeneratorGauges()
        gauges.close()
        gauges.close()
    assert (len(gc.callbacks), len(list(Path("/proc/self/fd").iterdir()))) == (callbacks, descriptors)


@pytest.mark.parametrize(("address", "expected"), [("127.0.0.1", 30), ("::1", 30), ("10.0.0.7", 37)])
def test_the_other_ends_of_our_own_connections_use_no_ports(tmp_path: Path, address: str, expected: int) -> None:
    """A target on this machine has as many sockets as we; one elsewhere has none here."""
    target = dataclasses.replace(an_order().target, address=address)
    proc = a_proc(tmp_path, sockstat=SOCKSTAT, sockstat6=SOCKSTAT6, ports="32768\t60999\n")
    with GeneratorGauges(proc) as gauges:
        reading = gauges.read(0.0, other_ends=other_ends_here(target, 7))
    assert reading.ports_used == expected
