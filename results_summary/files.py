"""Writes a report's files so that each is whole or not there: temporary name, fsync, rename, fsync of the folder.

A reader, a mail job or a power cut at the wrong moment never sees half a file. Process: reporter.
"""

import contextlib
import os
from pathlib import Path

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
"""A link of the temporary name is not followed, and a pipe of that name not waited for."""


class ReportWriteError(Exception):
    """A file of the report could not be written."""


def write_whole(path: Path, content: str) -> None:
    """Replace the file by this content in UTF-8. Raises ReportWriteError."""
    beside = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(beside, _FLAGS, 0o644)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content.encode("utf-8"))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise ReportWriteError(
            f"{path} could not be written: {error.strerror}; make room, then run `report` for this run again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the renames in this folder survive a power cut. Raises ReportWriteError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ReportWriteError(f"{folder} could not be synced: {error.strerror}") from error
