"""Append-only files of JSON lines, each with its checksum.

A line is whole or it is not: after a crash, a full disk or a bad sector a reader can tell which lines were written
completely, and goes on behind the others. The checksum covers the bytes as written, so nothing is serialised again to
verify it. The journal and the spill file are made of such lines; supervisor and reporter use this module.

    {"crc32":"1c291ca3","sequence":7,...}        crc32 of {"sequence":7,...}
"""

import contextlib
import errno
import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from baseline_metrics.codec import MESSAGE_BYTES_MAX, Json

LINE_BYTES_MAX = MESSAGE_BYTES_MAX
"""The same bound as on our pipes: whatever came in as a message fits into a line; it bounds a reader's memory."""

_PREFIX = b'{"crc32":"'
_BODY_AT = len(_PREFIX) + 8 + len(b'",')


class LineError(ValueError):
    """These bytes are not a line that was written completely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line that was written completely."""

    body: dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    """A line that cannot be trusted. number: counted from 1. torn: the last line of the file, without its end."""

    number: int
    torn: bool
    why: str


def encode_line(body: dict[str, Json]) -> bytes:
    """One line, newline included. Raises LineError when it is empty, too long, or holds NaN or an infinity."""
    if not body:
        raise LineError("an empty line says nothing")
    try:
        inner = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
    except ValueError as error:
        raise LineError(f"not JSON: {error}") from error
    line = _PREFIX + f"{zlib.crc32(inner):08x}".encode() + b'",' + inner[1:] + b"\n"
    if len(line) > LINE_BYTES_MAX:
        raise LineError(f"a line of {len(line)} bytes, the limit is {LINE_BYTES_MAX}")
    return line


def decode_line(line: bytes) -> dict[str, Json]:
    """The body of one line, with or without its newline. Raises LineError."""
    line = line.rstrip(b"\n")
    if not line.startswith(_PREFIX) or line[_BODY_AT - 2 : _BODY_AT] != b'",':
        raise LineError("no checksum")
    inner = b"{" + line[_BODY_AT:]
    if line[len(_PREFIX) : _BODY_AT - 2] != f"{zlib.crc32(inner):08x}".encode():
        raise LineError("the checksum does not match")
    try:
        body = json.loads(inner)
    except (ValueError, RecursionError) as error:
        raise LineError(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise LineError("not an object")
    return body


def scan_lines(path: str) -> Iterator[Line | BadLine]:
    """Every line of a file in order, good and bad, one in memory at a time. Raises OSError when it cannot be read."""
    with Path(path).open("rb") as file:
        number = 0
        while line := file.readline(LINE_BYTES_MAX + 1):
            number += 1
            whole = line.endswith(b"\n")
            if not whole and len(line) > LINE_BYTES_MAX:
                _skip_to_line_end(file)
                yield BadLine(number=number, torn=False, why=f"longer than {LINE_BYTES_MAX} bytes")
                continue
            try:
                yield Line(body=decode_line(line))
            except LineError as error:
                yield BadLine(number=number, torn=not whole, why=str(error))


def _skip_to_line_end(file: BinaryIO) -> None:
    while (rest := file.readline(LINE_BYTES_MAX)) and not rest.endswith(b"\n"):
        pass


class AppendFile:
    """A file that only grows, written line by line without a buffer of our own.

    Opening repairs a torn last line by ending it, so that the next line stands on its own. Raises OSError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(path, flags, 0o600)
        try:
            size = os.fstat(self._descriptor).st_size
            if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
                os.write(self._descriptor, b"\n")
            _sync_directory(str(Path(path).absolute().parent))
        except OSError:
            os.close(self._descriptor)
            raise

    @property
    def size_bytes(self) -> int:
        """How long the file is now. Raises OSError."""
        return os.fstat(self._open()).st_size

    def append(self, line: bytes) -> None:
        """Write one line, whole or not at all as far as the disk allows. Not yet synced. Raises OSError."""
        before = self.size_bytes
        try:
            self._write_whole(line)
        except OSError:
            with contextlib.suppress(OSError):  # what remains is a torn line, which readers recognise
                os.ftruncate(self._descriptor, before)
            raise

    def _write_whole(self, line: bytes) -> None:
        written = os.write(self._open(), line)
        if written != len(line):
            raise OSError(errno.ENOSPC, f"only {written} of {len(line)} bytes fitted", self.path)

    def sync(self) -> None:
        """Return when everything appended is on the disk. Raises OSError; the file must not be trusted afterwards."""
        os.fdatasync(self._open())

    def close(self) -> None:
        """Close without syncing; afterwards every use is refused. Harmless when done twice."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):  # what counts was synced; a failing disk has nothing new to tell
                os.close(descriptor)

    def _open(self) -> int:
        # The number of a closed descriptor is given to the next file that the process opens: never write to it.
        if self._descriptor < 0:
            raise OSError(errno.EBADF, "the file was closed", self.path)
        return self._descriptor


def _sync_directory(path: str) -> None:
    """Make a new file's name durable; file systems without directory sync refuse with EINVAL, which changes nothing."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(descriptor)
