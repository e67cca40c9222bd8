"""The exit codes that scripts rely on. docs/exit-codes.md explains them; nothing else is ever returned on purpose.

The viewer's and every command's process uses them.
"""

from enum import IntEnum


class Exit(IntEnum):
    """What the end of a command tells its caller."""

    DONE = 0  # fit (also fit with limits, unless --strict); for other commands: done
    NOT_FIT = 1
    USAGE = 2  # usage or plan error
    INCONCLUSIVE = 3
    STOPPED_BY_PERSON = 4
    STOPPED_BY_GUARDIAN = 5
    REFUSED = 6  # refused before start
    FAULT = 70  # our own fault
    HUNG_UP = 129  # the terminal went away from the viewer; the campaign goes on (128 + SIGHUP, as shells report it)
