"""When a lease is over, and when load is permitted."""

import time
from pathlib import Path

import pytest

from baseline_metrics.load_page import LoadPage
from stress_scenarios.lease_watch import FIRST_GRANT_S_MAX, lease_is_over, load_is_permitted

FIRST_GRANT_NS_MAX = int(FIRST_GRANT_S_MAX * 1e9)


@pytest.mark.parametrize(("now_ns", "over"), [(999, False), (1000, False), (1001, True)])
def test_a_lease_is_over_after_its_last_instant(now_ns: int, *, over: bool) -> None:
    """It still holds at the instant that it names."""
    assert (
        lease_is_over(lease_until_mono_ns=1000, now_mono_ns=now_ns, granted_before=True, waiting_since_mono_ns=0)
        is over
    )


def test_a_revoked_lease_is_over_at_once() -> None:
    """A lease of 0 after a grant means revoked."""
    assert lease_is_over(lease_until_mono_ns=0, now_mono_ns=1, granted_before=True, waiting_since_mono_ns=0)


@pytest.mark.parametrize(
    ("waited_ns", "over"),
    [(FIRST_GRANT_NS_MAX - 1, False), (FIRST_GRANT_NS_MAX, False), (FIRST_GRANT_NS_MAX + 1, True)],
)
def test_a_first_lease_is_waited_for_but_not_for_ever(waited_ns: int, *, over: bool) -> None:
    """Before the first grant a lease of 0 means not yet."""
    assert (
        lease_is_over(lease_until_mono_ns=0, now_mono_ns=waited_ns, granted_before=False, waiting_since_mono_ns=0)
        is over
    )


def test_load_needs_a_share_and_a_lease(tmp_path: Path) -> None:
    """Neither a share without lease nor a lease without share permits load; a fresh page permits nothing."""
    page = LoadPage(str(tmp_path / "page"), create=True)
    now_ns = time.monotonic_ns()
    permitted = [load_is_permitted(page)]
    for lease_ns, share in ((now_ns + 60 * 10**9, 0.0), (now_ns - 1, 1.0), (now_ns + 60 * 10**9, 0.01)):
        page.grant(lease_until_mono_ns=lease_ns, share=share)
        permitted.append(load_is_permitted(page))
    page.revoke()
    permitted.append(load_is_permitted(page))
    page.close()
    assert permitted == [False, False, False, True, False]
