"""How a person's pause reaches the supervisor: a file beside PERMIT that is there while no load is wanted.

A file, and no signal: its presence is the wish itself, so that two commands in a row cannot be lost or overtake each
other, a supervisor that is just starting finds it, and one of an earlier version is not killed by it. The supervisor
looks at it each turn of its loop; ``pause`` makes it, ``resume-load`` takes it away.
"""

import os
from enum import Enum
from pathlib import Path

from safety_monitoring import registry

PAUSE_NAME = "PAUSE"


class Wish(Enum):
    """What a look at the file showed, compared with the look before."""

    PAUSE = "pause"
    RESUME = "resume"
    AS_BEFORE = "as_before"


class PauseWatch:
    """One campaign's file, looked at again and again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._there = False

    def look(self) -> Wish:
        """Whether the wish has changed. What cannot be looked at is as before: the file is in our own private directory."""
        try:
            os.lstat(self._path)
            there = True
        except FileNotFoundError:
            there = False
        except OSError:
            return Wish.AS_BEFORE
        if there is self._there:
            return Wish.AS_BEFORE
        self._there = there
        return Wish.PAUSE if there else Wish.RESUME


def pause_path(state_dir: str, run_id: str) -> Path:
    """Where a campaign's file lies."""
    return Path(registry.campaign_directory(state_dir, run_id)) / PAUSE_NAME
