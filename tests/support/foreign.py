"""Places that belong to somebody else. Only root can give something away; whoever runs the tests as another user skips."""

import os
from pathlib import Path

import pytest

STRANGER = 54_321
"""A user id that nobody on a test machine has."""


def give_away(path: Path) -> None:
    """Let a file, directory or link belong to a stranger; what it leads to stays ours."""
    if os.geteuid() != 0:
        pytest.skip("kernel: only root may give a file to another user")
    os.lchown(path, STRANGER, -1)
