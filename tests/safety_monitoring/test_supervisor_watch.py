"""The guardian's patience with its supervisor, at every boundary."""

import pytest

from safety_monitoring.supervisor_watch import KILL_SUPERVISOR_S, ORPHANED_S, Silence, SupervisorWatch


@pytest.mark.parametrize(
    ("silence_s", "expected"), [(4.999, Silence.HEARD), (5.0, Silence.HEARD), (5.001, Silence.SILENT)]
)
def test_silence_is_longer_than_its_limit(silence_s: float, expected: Silence) -> None:
    """Up to the limit the supervisor counts as heard."""
    watch = SupervisorWatch(heartbeat_s_max=5.0, now_mono_s=100.0)
    assert watch.silence(100.0 + silence_s) is expected
    assert watch.is_overdue(100.0 + silence_s) is (expected is Silence.SILENT)


def test_silence_is_said_once_and_then_ended() -> None:
    """The load is ended once; ten seconds later the supervisor is."""
    watch = SupervisorWatch(heartbeat_s_max=5.0, now_mono_s=100.0)
    assert watch.silence(106.0) is Silence.SILENT
    assert watch.silence(106.0 + KILL_SUPERVISOR_S) is Silence.STILL_SILENT
    assert watch.silence(106.001 + KILL_SUPERVISOR_S) is Silence.TO_BE_ENDED


def test_a_supervisor_that_comes_back_is_heard() -> None:
    """A heartbeat ends the silence, and the next silence is said anew."""
    watch = SupervisorWatch(heartbeat_s_max=5.0, now_mono_s=100.0)
    assert watch.silence(106.0) is Silence.SILENT
    watch.hear(107.0)
    assert watch.silence(112.0) is Silence.HEARD
    assert watch.silence(112.001) is Silence.SILENT


@pytest.mark.parametrize(("passed_s", "given_up"), [(ORPHANED_S - 0.001, False), (ORPHANED_S, True)])
def test_a_supervisor_without_pipes_is_waited_for(passed_s: float, *, given_up: bool) -> None:
    """From the first lost pipe on there is half a minute."""
    watch = SupervisorWatch(heartbeat_s_max=5.0, now_mono_s=100.0)
    assert not watch.is_orphaned
    assert not watch.is_given_up(10_000.0)
    watch.orphan(200.0)
    watch.orphan(210.0)
    assert watch.is_orphaned
    assert watch.is_given_up(200.0 + passed_s) is given_up
