"""What the guardian's loop waits for between two looks, turned by hand."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from baseline_metrics.clock import FakeClock
from baseline_metrics.host_files import HostFiles, start_ticks
from safety_monitoring import guardian_loop
from safety_monitoring.guardian_loop import BELLED_TICK_S, TICK_S, Guardian
from safety_monitoring.guardian_pipes import GuardianJournal, OrderPipe, ReportPipe
from safety_monitoring.messages import ORDERS, Conclude, Heartbeat
from safety_monitoring.stop_bell import DEAF_S, StopBell
from safety_monitoring.stopping import ProcessHandle, open_handle
from tests.support.guardian_rig import Places

NEVER_S = 3600.0
"""A look that is due after the test's own time limit: only something else can end the wait."""


@dataclass(frozen=True)
class Turned:
    """A guardian whose loop the test turns, and the ends of its pipes."""

    guardian: Guardian
    clock: FakeClock
    places: Places
    orders_in: int
    orders_out: int


@pytest.fixture
def turned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Turned]:
    """A guardian that this process leads and is."""
    places = Places(base=tmp_path, run_id="turned").make()
    monkeypatch.setenv("DAYBREAK_STATE_DIR", str(places.state_dir))
    order = places.order()
    own_ticks = start_ticks(os.getpid())
    assert isinstance(own_ticks, int)
    supervisor = open_handle(os.getpid(), own_ticks)
    assert isinstance(supervisor, ProcessHandle)
    orders_in, orders_out = os.pipe()
    reports_in, reports_out = os.pipe()
    journal = GuardianJournal(order.journal_path)  # before the bell: it lies in the run's directory, and would ring
    bell = StopBell(stop_paths=order.stop_paths, permit_path=order.permit_path)
    clock = FakeClock()
    with HostFiles() as host, supervisor:
        guardian = Guardian(
            order,
            orders=OrderPipe(orders_in),
            reports=ReportPipe(reports_out),
            journal=journal,
            supervisor=supervisor,
            bell=bell,
            clock=clock,
            host=host,
        )
        yield Turned(guardian=guardian, clock=clock, places=places, orders_in=orders_in, orders_out=orders_out)
    journal.close()
    bell.close()
    for descriptor in (orders_in, orders_out, reports_in, reports_out):
        os.close(descriptor)


def test_a_stop_ends_the_wait_for_the_next_look(turned: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    """A STOP file that appears wakes the loop, however far away the next look is."""
    monkeypatch.setattr(guardian_loop, "BELLED_TICK_S", NEVER_S)
    assert turned.guardian.turn()
    (turned.places.run_dir / "STOP").touch()
    turned.guardian.wait(turned.orders_in)


def test_a_bell_that_rang_is_not_waited_for_again_at_once(turned: Turned) -> None:
    """After a ring a file that is no stop does not turn the loop again at once."""
    assert turned.guardian.turn()
    (turned.places.run_dir / "one").touch()
    turned.guardian.wait(turned.orders_in)
    (turned.places.run_dir / "two").touch()
    began_mono_s = time.monotonic()
    turned.guardian.wait(turned.orders_in)
    assert time.monotonic() - began_mono_s >= DEAF_S * 0.9


def test_a_stop_right_after_another_ring_ends_the_wait_as_well(turned: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    """What rings while the bell is not heard is not put off to the next look."""
    monkeypatch.setattr(guardian_loop, "BELLED_TICK_S", NEVER_S)
    assert turned.guardian.turn()
    (turned.places.run_dir / "one").touch()
    turned.guardian.wait(turned.orders_in)
    assert turned.guardian.turn()
    (turned.places.run_dir / "STOP").touch()
    turned.guardian.wait(turned.orders_in)


def test_what_is_written_beside_permit_wakes_nobody(turned: Turned) -> None:
    """The status document is replaced there twice a second."""
    assert turned.guardian.turn()
    status = turned.places.permit.with_name("status.json")
    status.with_suffix(".new").touch()
    status.with_suffix(".new").rename(status)
    began_mono_s = time.monotonic()
    turned.guardian.wait(turned.orders_in)
    assert time.monotonic() - began_mono_s >= BELLED_TICK_S * 0.9


def test_an_early_turn_does_not_put_the_next_look_off(turned: Turned) -> None:
    """Orders come at any time; between two looks at the stop channels lies one period at most all the same."""
    assert turned.guardian.turn()
    turned.clock.advance(0.001)
    os.write(turned.orders_out, ORDERS.encode(Heartbeat(sequence=1)))
    turned.guardian.wait(turned.orders_in)
    looked_mono_s = turned.clock.mono_s()
    assert turned.guardian.turn()
    assert turned.guardian._look_due_mono_s <= looked_mono_s + BELLED_TICK_S + 1e-9


def test_without_a_bell_the_looks_come_closer(turned: Turned) -> None:
    """A runs directory that is moved away takes its bell along: from then on the channels are looked at every 20 ms."""
    assert turned.guardian.turn()
    assert turned.guardian._look_due_mono_s == pytest.approx(turned.clock.mono_s() + BELLED_TICK_S)
    turned.clock.advance(BELLED_TICK_S)
    turned.places.runs_dir.rename(turned.places.base / "elsewhere")
    turned.places.run_dir.mkdir(parents=True)
    turned.guardian.wait(turned.orders_in)
    assert turned.guardian.turn()
    assert turned.guardian._look_due_mono_s == pytest.approx(turned.clock.mono_s() + TICK_S)


def test_an_order_is_heard_by_the_turn_that_it_woke(turned: Turned) -> None:
    """A loop that waits hears at once, and one that was not woken does not read the pipe."""
    assert turned.guardian.turn()
    os.write(turned.orders_out, ORDERS.encode(Conclude()))
    turned.guardian.wait(turned.orders_in)
    assert not turned.guardian.turn()
