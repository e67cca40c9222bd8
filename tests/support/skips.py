"""Which skipped tests are acceptable: those that this machine cannot run, and that say so.

A skip is a test that says nothing; unnoticed, a suite of skips passes. Only what no installation could change (the
hardware, the kernel) may be skipped, and its reason starts with that word.
"""

ALLOWED_PREFIXES = ("hardware:", "kernel:")


def skip_allowed(reason: str) -> bool:
    """Whether a skip with this reason (as pytest reports it) leaves the run green."""
    return reason.removeprefix("Skipped: ").startswith(ALLOWED_PREFIXES)


def reason_of(longrepr: object) -> str:
    """Take the reason out of a skipped report: pytest keeps (file, line, reason)."""
    if isinstance(longrepr, tuple) and len(longrepr) == 3:
        return str(longrepr[2])
    return str(longrepr)


def refusal(reason: str) -> str:
    """What the failed test shows instead."""
    return (
        f"{reason}\nA skipped test fails the run. Install what is missing (make dev), or let the reason start with "
        f"{' or '.join(ALLOWED_PREFIXES)} if nothing could change it."
    )
