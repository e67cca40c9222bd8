"""One segment's memory load, and its orders one after another, on a clock that is moved by hand."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.hold_time import HOLD_S_MAX
from stress_scenarios.loads.memory_order import MemoryOrder
from stress_scenarios.loads.memory_service import ORDERS_WAITING_MAX, MemoryOrderError, MemoryService
from stress_scenarios.messages import (
    Adjust,
    Continue,
    Go,
    Held,
    Hold,
    Leave,
    MemoryDrained,
    MemoryWindow,
    Order,
    Prepared,
    PrepareMemory,
    Release,
    Report,
)
from tests.stress_scenarios.memory_fakes import MIB, FakeClock, FakeMemory

START_S = 101.0


class Rig:
    """A service with everything around it made of numbers."""

    def __init__(self, page: LoadPage) -> None:
        self.page = page
        self.clock = FakeClock(100.0)
        self.memory = FakeMemory(self.clock)
        self.reports: list[Report] = []
        self.service = MemoryService(
            worker=7,
            page=page,
            memory=self.memory,
            resident_bytes=self.memory.resident_bytes,
            send=self.reports.append,
            now_s=self.clock,
            sleep=self.clock.sleep,
        )

    def order(self, order: Order) -> None:
        """Give an order, which is carried out in the next turn."""
        self.service.accept(order)
        self.service.turn()

    def begin(self, *, size: int = 100, per_s: float = 50.0, lasts_s: float = 10.0, segment: int = 3) -> None:
        """Prepare a load and let it go at START_S, or in a second."""
        asked = MemoryOrder(segment=segment, size_bytes=size * MIB, rise_bytes_per_s=per_s * MIB, lasts_s=lasts_s)
        self.order(PrepareMemory(order=asked))
        self.order(Go(segment=segment, start_mono_s=self.clock.now_s + 1.0))

    def run(self, seconds: float) -> None:
        """Turn every 5 ms for so long."""
        until_s = self.clock.now_s + seconds
        while self.clock.now_s < until_s - 1e-6:
            self.clock.sleep(0.005)
            self.service.turn()

    @property
    def held(self) -> float:
        """MiB held."""
        return self.memory.held_bytes / MIB

    def windows(self) -> list[MemoryWindow]:
        """The seconds that were told."""
        return [report for report in self.reports if isinstance(report, MemoryWindow)]

    def drained(self) -> MemoryDrained:
        """The last words about the load."""
        (report,) = [report for report in self.reports if isinstance(report, MemoryDrained)]
        return report


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Everything is permitted."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    page.grant(lease_until_mono_ns=time.monotonic_ns() + 10**15, share=1.0)
    yield Rig(page)
    page.close()


@pytest.fixture(autouse=True)
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Keep the kernel's alarm away from the test process; what would have been armed, 0 for disarmed."""
    seconds: list[float] = []
    monkeypatch.setattr("stress_scenarios.loads.memory_service.arm_backstop", seconds.append)
    monkeypatch.setattr("stress_scenarios.loads.memory_service.disarm_backstop", lambda: seconds.append(0.0))
    return seconds


def permit(rig: Rig, share: float) -> None:
    """The guardian permits so much."""
    rig.page.grant(lease_until_mono_ns=time.monotonic_ns() + 10**15, share=share)


def test_a_load_rises_holds_and_is_given_back_at_its_end(rig: Rig, armed: list[float]) -> None:
    """Nothing before its start, the size after the rise, nothing after its time; told each second, accounted in full."""
    rig.begin()
    rig.run(0.99)
    assert rig.held == 0.0
    rig.run(1.01)
    assert rig.held == pytest.approx(50.0, abs=0.5)
    rig.run(8.0)
    assert rig.held == 100.0
    rig.run(1.1)
    assert rig.held == 0.0

    windows, drained = rig.windows(), rig.drained()
    assert len(windows) == 10
    assert [window.sequence for window in windows] == list(range(1, 11))
    assert [round(window.start_mono_s) for window in windows] == list(range(101, 111))
    assert [window.due_bytes for window in windows[1:-1]] == [100 * MIB] * 8
    assert all(window.achieved_bytes == window.held_bytes for window in windows)
    assert windows[4].resident_bytes == 115 * MIB
    assert drained.peak_bytes == 100 * MIB
    assert drained.asked_byte_s == pytest.approx(900 * MIB, rel=0.01)
    assert drained.achieved_byte_s == pytest.approx(drained.asked_byte_s, rel=0.02)
    assert (drained.resident_bytes_left, drained.refused) == (0, "")
    assert armed == [pytest.approx(1.0 + 10.0 + 60.0), 0.0]


def test_the_page_keeps_the_account_at_every_turn(rig: Rig) -> None:
    """Whoever looks after a kill finds what was held and what was asked."""
    rig.begin()
    rig.run(5.0)
    counts = rig.page.memory
    assert (counts.held_bytes, counts.due_bytes, counts.peak_bytes) == (100 * MIB, 100 * MIB, 100 * MIB)
    assert counts.asked_byte_s == pytest.approx(300 * MIB, rel=0.01)
    assert rig.page.heartbeat_mono_ns == pytest.approx(rig.clock.now_s * 1e9, abs=1e6)


def test_half_the_share_holds_half_and_none_holds_nothing_in_the_next_turn(rig: Rig) -> None:
    """The guardian's word is carried out by the first turn that sees it, in one release; back up it goes at the rate."""
    rig.begin()
    rig.run(4.0)
    permit(rig, 0.5)
    rig.run(0.005)
    assert rig.held == 50.0
    permit(rig, 0.0)
    rig.run(0.005)
    assert rig.held == 0.0
    assert len(rig.memory.shrinks) == 2
    rig.run(1.0)
    permit(rig, 1.0)
    rig.run(1.0)
    assert rig.held == pytest.approx(50.0, abs=1.0)
    rig.run(5.0)
    drained = rig.drained()
    assert drained.achieved_byte_s < 0.85 * drained.asked_byte_s


def test_a_lease_that_ran_out_holds_nothing(rig: Rig) -> None:
    """Should the thread that watches the lease be late, the loop itself gives everything back."""
    rig.begin()
    rig.run(4.0)
    rig.page.grant(lease_until_mono_ns=1, share=1.0)
    rig.run(0.005)
    assert rig.held == 0.0


def test_a_person_who_pauses_gets_the_memory_back_and_the_time_stands_still(rig: Rig, armed: list[float]) -> None:
    """Held, nothing is asked for and nothing is missing; afterwards memory rises anew and the load lasts its whole time."""
    rig.begin(lasts_s=6.0)
    rig.run(4.0)
    rig.order(Hold(segment=3))
    assert rig.held == 0.0
    assert isinstance(rig.reports[-1], Held), "the answer comes when nothing is held any more"
    rig.run(20.0)
    assert rig.held == 0.0
    assert rig.page.memory.due_bytes == 0
    rig.order(Continue(segment=3))
    rig.run(1.0)
    assert rig.held == pytest.approx(50.0, abs=1.0)
    rig.run(1.9)
    assert rig.held == 100.0
    rig.run(0.2)
    assert rig.held == 0.0
    drained = rig.drained()
    assert drained.asked_byte_s == pytest.approx((200 + 200) * MIB, rel=0.02)
    assert drained.achieved_byte_s == pytest.approx(drained.asked_byte_s, rel=0.03)
    assert armed == pytest.approx([71.0 - 4.0, 63.0 + HOLD_S_MAX, 63.0, 0.0], abs=0.1)


def test_memory_that_was_swapped_out_is_not_achieved(rig: Rig) -> None:
    """It is held, and the kernel says that it is not there."""
    rig.begin()
    rig.run(5.0)
    rig.memory.swapped_bytes = 60 * MIB
    rig.run(6.1)
    last = rig.windows()[-2]
    assert (last.held_bytes, last.achieved_bytes) == (100 * MIB, 40 * MIB)
    assert rig.drained().achieved_byte_s < 0.7 * rig.drained().asked_byte_s


def test_memory_that_the_kernel_refuses_is_asked_for_once_a_second_and_named(rig: Rig) -> None:
    """No storm of calls, no fault: the load holds what it got, and its last words say why it is less."""
    rig.memory.given_bytes = 60 * MIB
    rig.begin()
    rig.run(11.1)
    assert rig.drained().peak_bytes == pytest.approx(60 * MIB, abs=MIB)
    assert rig.drained().refused == "no more"
    assert 5 <= rig.memory.refusals <= 10


def test_a_host_that_gives_pages_slowly_does_not_keep_the_loop_from_turning(rig: Rig) -> None:
    """A turn takes about 10 ms, however much is asked for."""
    rig.memory.touch_s = 0.004
    rig.begin(size=10_000, per_s=10_000.0)
    rig.run(1.0)
    before_s = rig.clock.now_s
    rig.service.turn()
    assert rig.clock.now_s - before_s <= 0.015


def test_a_share_that_falls_while_memory_is_touched_stops_the_touching(rig: Rig) -> None:
    """The permission is looked at between strides, not only between turns."""
    rig.begin(size=10_000, per_s=10_000.0)
    rig.run(0.999)
    touched = []

    def revoke_after_three() -> None:
        touched.append(rig.held)
        if len(touched) == 3:
            permit(rig, 0.0)

    rig.memory.after_touch = revoke_after_three
    rig.clock.now_s += 0.01
    rig.service.turn()
    assert len(touched) == 3


def test_released_early_it_tells_what_it_did(rig: Rig) -> None:
    """Release ends a running load at once, and one that never began; again it has no effect."""
    rig.begin()
    rig.run(3.5)
    rig.order(Release(segment=3))
    assert rig.held == 0.0
    assert rig.drained().peak_bytes == 100 * MIB
    rig.order(Release(segment=3))
    rig.order(Hold(segment=3))
    assert len(rig.windows()) == 3

    rig.reports.clear()
    asked = MemoryOrder(segment=4, size_bytes=10 * MIB, rise_bytes_per_s=MIB, lasts_s=20.0)
    rig.order(PrepareMemory(order=asked))
    rig.order(Release(segment=4))
    assert rig.reports[0] == Prepared(worker=7, segment=4)
    assert rig.drained().asked_byte_s == 0.0


def test_a_second_load_on_one_worker_has_an_account_of_its_own(rig: Rig) -> None:
    """Nothing of the first one is left in the page."""
    rig.begin(lasts_s=4.0)
    rig.run(5.1)
    rig.reports.clear()
    rig.begin(size=10, segment=4, lasts_s=4.0)
    rig.run(5.1)
    assert rig.drained().peak_bytes == rig.page.memory.peak_bytes == 10 * MIB


def test_a_forgotten_pause_ends(rig: Rig) -> None:
    """After four hours the segment is over."""
    rig.begin()
    rig.run(2.0)
    rig.order(Hold(segment=3))
    rig.clock.now_s += HOLD_S_MAX + 1.0
    rig.service.turn()
    assert rig.drained().segment == 3


def asked(**changes: float) -> PrepareMemory:
    """An order with something wrong."""
    values = {"size_bytes": 10 * MIB, "rise_bytes_per_s": 1.0, "lasts_s": 1.0, **changes}
    return PrepareMemory(
        order=MemoryOrder(
            segment=1,
            size_bytes=int(values["size_bytes"]),
            rise_bytes_per_s=values["rise_bytes_per_s"],
            lasts_s=values["lasts_s"],
        )
    )


@pytest.mark.parametrize(
    "orders",
    [
        (asked(size_bytes=MIB - 1),),
        (asked(rise_bytes_per_s=0.0),),
        (asked(lasts_s=0.0),),
        (Go(segment=1, start_mono_s=0.0),),
        (Adjust(segment=1, operations_per_s=1.0, connections=1),),
        (asked(), Go(segment=2, start_mono_s=0.0)),
        (asked(), Go(segment=1, start_mono_s=1000.0), asked()),
        (asked(), Hold(segment=1)),
        (Release(segment=9),),
    ],
)
def test_an_order_that_does_not_fit_is_our_fault(rig: Rig, orders: tuple[Order, ...]) -> None:
    """Guessing would falsify the record: the worker ends."""
    *fitting, last = orders
    for order in fitting:
        rig.order(order)
    with pytest.raises(MemoryOrderError):
        rig.order(last)


def test_leave_and_too_many_orders_end_the_service(rig: Rig) -> None:
    """Both leave the loop; the process ends with it."""
    rig.service.accept(Leave())
    rig.service.serve()
    other = Rig(rig.page)
    for _ in range(ORDERS_WAITING_MAX + 1):
        other.service.accept(Release(segment=-1))
    other.service.serve()
    assert other.clock.now_s == 100.0
