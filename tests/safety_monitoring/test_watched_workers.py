"""Who is watched, and whose lease is renewed."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from baseline_metrics.load_page import LEASE_S
from safety_monitoring.watched_workers import Refused, WatchedWorkers
from tests.support.guardian_rig import Places, StandInWorker

pytestmark = pytest.mark.process


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[list[StandInWorker]]:
    """Two stand-in workers, the second one for drills."""
    places = Places(base=tmp_path, run_id=f"watched-{os.getpid()}").make()
    both = [StandInWorker(places, 0), StandInWorker(places, 1, role="drill")]
    yield both
    for worker in both:
        worker.close()


def test_leases_are_renewed_until_they_are_ended(workers: list[StandInWorker]) -> None:
    """A renewal reaches all pages, drills at full share, except those whose lease was ended."""
    watched = WatchedWorkers()
    for worker in workers:
        watched.watch(worker.order(drill=worker.number == 1))
    now_mono_ns = time.monotonic_ns()
    watched.renew(now_mono_ns=now_mono_ns, share=0.5)
    assert [worker.page.share for worker in workers] == [0.5, 1.0]
    assert {worker.page.lease_until_mono_ns for worker in workers} == {now_mono_ns + round(LEASE_S * 1e9)}
    watched.end_lease((0,))
    watched.renew(now_mono_ns=now_mono_ns + 10, share=0.5)
    assert workers[0].page.lease_until_mono_ns == now_mono_ns + round(LEASE_S * 1e9)
    assert workers[1].page.lease_until_mono_ns == now_mono_ns + 10 + round(LEASE_S * 1e9)
    for worker in workers:
        watched.forget(worker.number)


def test_forgetting_lets_go(workers: list[StandInWorker]) -> None:
    """A forgotten worker has no lease, its number is free again, and forgetting twice is harmless."""
    watched = WatchedWorkers()
    watched.watch(workers[0].order())
    watched.renew(now_mono_ns=time.monotonic_ns(), share=1.0)
    assert watched.pids() == (workers[0].process.pid,)
    watched.forget(0)
    watched.forget(0)
    assert workers[0].page.lease_until_mono_ns == 0
    assert watched.all() == ()
    assert isinstance(watched.get(0), Refused)
    assert not isinstance(watched.watch(workers[0].order()), Refused)
    watched.forget(0)
