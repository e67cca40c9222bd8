"""A guardian turned by hand on a made-up /sys that gets hot: real loop, real pages, real load process, and no time passes."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.host_files import HostFiles, start_ticks
from baseline_metrics.load_page import LoadPage
from safety_monitoring.guardian_loop import Guardian
from safety_monitoring.guardian_pipes import GuardianJournal, OrderPipe, ReportPipe
from safety_monitoring.limits import Limits, Resource, Rung, default_limits
from safety_monitoring.messages import (
    ORDERS,
    REPORTS,
    AskReturn,
    EnterPhase,
    Heartbeat,
    LadderMoved,
    LoadEnded,
    Order,
    ReadingsClear,
    WatchWorker,
)
from safety_monitoring.stop_bell import StopBell
from safety_monitoring.stopping import ProcessHandle, open_handle
from tests.support.guardian_rig import Places

pytestmark = pytest.mark.process

STEP_S = 1.0


def _only(*resources: Resource) -> Limits:
    limits = default_limits(memory_reserve_bytes=1 << 20, disk_reserve_bytes=0)
    return Limits(limits=tuple(one for one in limits.limits if one.resource in resources), unknown_s_max=30.0)


@dataclass
class Turned:
    """The guardian, its clock, the page of its one load process, and what it has said."""

    guardian: Guardian
    clock: FakeClock
    sys: Path
    page: LoadPage
    orders: int
    reports: int
    said: list[object]
    rest: bytes = b""

    def heat(self, celsius: float) -> None:
        """What the processor's sensor says from now on."""
        (self.sys / "temp1_input").write_text(f"{celsius * 1000:.0f}\n")

    def send(self, order: Order) -> None:
        """An order, heard at the next turn."""
        os.write(self.orders, ORDERS.encode(order))

    def turn(self, seconds: float, *, ask: bool = False) -> None:
        """Let so much time pass, a turn each second; the supervisor is there, and asks for its load when it may."""
        for _ in range(round(seconds / STEP_S)):
            self.clock.advance(STEP_S)
            self.send(Heartbeat(sequence=0))
            if ask:
                self.send(AskReturn())
            assert self.guardian.turn()
            self._hear()

    def _hear(self) -> None:
        try:
            self.rest += os.read(self.reports, 1 << 16)
        except BlockingIOError:
            return
        *lines, self.rest = self.rest.split(b"\n")
        self.said.extend(REPORTS.decode(line + b"\n") for line in lines)

    def moves(self) -> list[tuple[Rung, float]]:
        """The ladder's moves so far."""
        return [(one.rung, one.share) for one in self.said if isinstance(one, LadderMoved)]


@pytest.fixture
def turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turned]:
    """A guardian that this process leads and is, over a process that has load to make."""
    places = Places(base=tmp_path, run_id="hot").make()
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(places.state_dir))
    chip = tmp_path / "root" / "sys" / "class" / "hwmon" / "hwmon0"
    chip.mkdir(parents=True)
    (chip / "temp1_input").write_text("50000\n")
    proc = tmp_path / "root" / "proc"
    (proc / "pressure").mkdir(parents=True)
    (proc / "pressure" / "memory").write_text("some total=0\nfull total=0\n")
    (proc / "meminfo").write_text(f"MemTotal: {100 << 20} kB\nMemAvailable: {25 << 20} kB\n")
    order = places.order(limits=_only(Resource.TEMPERATURE))
    own_ticks = start_ticks(os.getpid())
    assert isinstance(own_ticks, int)
    supervisor = open_handle(os.getpid(), own_ticks)
    assert isinstance(supervisor, ProcessHandle)
    orders_in, orders_out = os.pipe()
    reports_in, reports_out = os.pipe()
    os.set_blocking(reports_in, False)
    bell = StopBell(stop_paths=order.stop_paths, permit_path=order.permit_path)
    journal = GuardianJournal(order.journal_path)
    page = LoadPage(str(tmp_path / "page"), create=True)
    page.want_load(wanted=True)
    clock = FakeClock()
    load = subprocess.Popen(["/bin/sleep", "600"], env=places.environ("worker"), start_new_session=True)
    try:
        with HostFiles(root=str(tmp_path / "root")) as host, supervisor:
            guardian = Guardian(
                order,
                orders=OrderPipe(orders_in),
                reports=ReportPipe(reports_out),
                journal=journal,
                supervisor=supervisor,
                bell=bell,
                clock=clock,
                host=host,
                root=str(tmp_path / "root"),
            )
            turned = Turned(
                guardian=guardian, clock=clock, sys=chip, page=page, orders=orders_out, reports=reports_in, said=[]
            )
            ticks = start_ticks(load.pid)
            assert isinstance(ticks, int)
            turned.send(WatchWorker(worker=0, pid=load.pid, start_ticks=ticks, page_path=page.path, drill=False))
            yield turned
    finally:
        load.kill()
        load.wait()
    journal.close()
    bell.close()
    page.close()
    for descriptor in (orders_in, orders_out, reports_in, reports_out):
        os.close(descriptor)


def test_pressure_eases_what_would_be_inside_without_it(turned: Turned, tmp_path: Path) -> None:
    """A fifth of all time is lost to memory: 75 % in use are above the 70 that are left of 80, and that is said."""
    pressure = tmp_path / "root" / "proc" / "pressure" / "memory"
    turned.send(EnterPhase(phase="full", limits=_only(Resource.MEMORY)))
    turned.turn(15)
    assert turned.moves() == []
    for second in range(1, 13):
        pressure.write_text(f"some total=0\nfull total={second * 200_000}\n")
        turned.turn(1)
    assert turned.moves()[0] == (Rung.EASE, 0.5)
    why = next(one.why for one in turned.said if isinstance(one, LadderMoved))
    assert why.startswith("memory at 75.0 %, limit 70 % (10 less than the plan's, for pressure on memory), for ")


def test_heat_holds_all_load_back_for_a_minute_and_lets_it_return_in_steps(turned: Turned) -> None:
    """Six seconds above 95 degrees: nothing at once, for 60 s however cool it gets; then a quarter; then all of it."""
    turned.turn(20)
    assert turned.page.share == 1.0
    turned.heat(96.0)
    turned.turn(10)
    assert turned.moves() == [(Rung.PAUSE, 0.0)]
    (move,) = [one for one in turned.said if isinstance(one, LadderMoved)]
    assert move.why.startswith("temperature at 96.0 degrees Celsius, limit 95.0 degrees Celsius, for ")
    assert "the breaker of temperature holds all load back for 60 s" in move.why
    turned.heat(60.0)
    opened_s = turned.clock.mono_s() - move.at_mono_s
    turned.turn(59 - opened_s, ask=True)
    assert turned.page.share == 0.0
    assert not any(isinstance(one, ReadingsClear) for one in turned.said)
    turned.turn(4, ask=True)
    assert turned.page.share == 0.25
    turned.turn(35)
    assert turned.page.share == 1.0
    assert turned.moves() == [(Rung.PAUSE, 0.0), (Rung.EASE, 0.25), (Rung.CLEAR, 1.0)]


def test_heat_that_returns_with_the_probe_opens_the_breaker_for_twice_as_long(turned: Turned) -> None:
    """Two minutes; and the load that never returns is not made."""
    turned.heat(96.0)
    turned.turn(12)
    turned.heat(60.0)
    turned.turn(62, ask=True)
    assert turned.page.share == 0.25
    turned.heat(97.0)
    turned.turn(9)
    assert turned.page.share == 0.0
    assert "for 120 s" in [one for one in turned.said if isinstance(one, LadderMoved)][-1].why
    turned.heat(60.0)
    turned.turn(100, ask=True)
    assert turned.page.share == 0.0


def test_heat_that_stays_stops_the_phase_after_a_minute_and_then_the_campaign(turned: Turned) -> None:
    """A pause gets a minute to cool, the stop of the phase another one."""
    turned.heat(96.0)
    turned.turn(65)
    assert [rung for rung, _ in turned.moves()] == [Rung.PAUSE]
    turned.turn(10)
    assert [rung for rung, _ in turned.moves()] == [Rung.PAUSE, Rung.STOP_PHASE]
    assert any(isinstance(one, LoadEnded) for one in turned.said)
    turned.turn(65)
    assert [rung for rung, _ in turned.moves()] == [Rung.PAUSE, Rung.STOP_PHASE, Rung.STOP_CAMPAIGN]


def test_a_sensor_that_falls_silent_takes_nothing_and_gives_nothing_back(turned: Turned) -> None:
    """While it was fine the load goes on; while it was hot it does not return."""
    turned.turn(5)
    (turned.sys / "temp1_input").write_text("")
    turned.turn(60)
    assert turned.page.share == 1.0
    turned.heat(96.0)
    turned.turn(10)
    assert turned.page.share == 0.0
    (turned.sys / "temp1_input").write_text("")
    turned.turn(75, ask=True)
    assert turned.page.share == 0.0
