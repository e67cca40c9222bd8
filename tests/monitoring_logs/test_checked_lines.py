"""Lines with checksums: whole or recognised as not whole."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baseline_metrics.codec import Json
from monitoring_logs.checked_lines import (
    LINE_BYTES_MAX,
    AppendFile,
    BadLine,
    Line,
    LineError,
    decode_line,
    encode_line,
    scan_lines,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text().filter(lambda key: key != "crc32"), JSON, min_size=1, max_size=4)


@given(BODIES)
def test_a_line_comes_back_as_it_was(body: dict[str, Json]) -> None:
    """Any object survives, on exactly one line."""
    line = encode_line(body)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line) == body


@given(BODIES, st.data())
def test_a_changed_byte_is_noticed(body: dict[str, Json], data: st.DataObject) -> None:
    """Whichever bit of whichever byte flips, the line is refused."""
    line = bytearray(encode_line(body)[:-1])
    position = data.draw(st.integers(0, len(line) - 1))
    line[position] ^= 1 << data.draw(st.integers(0, 6))
    with pytest.raises(LineError):
        decode_line(bytes(line))


@given(BODIES, st.data())
def test_a_line_that_was_cut_is_noticed(body: dict[str, Json], data: st.DataObject) -> None:
    """No beginning of a line passes for a line."""
    line = encode_line(body)[:-1]
    with pytest.raises(LineError):
        decode_line(line[: data.draw(st.integers(0, len(line) - 1))])


def test_nothing_empty_endless_or_infinite_becomes_a_line() -> None:
    """A line that is empty, too long or holds NaN is refused before it is written."""
    for body in ({}, {"text": "x" * LINE_BYTES_MAX}, {"value": float("nan")}):
        with pytest.raises(LineError):
            encode_line(body)  # type: ignore[arg-type]  # an empty dict is inferred as dict[str, str]


def test_the_longest_line_is_still_read(tmp_path: Path) -> None:
    """A line of exactly the limit is good, one byte more is bad, and reading goes on behind both."""
    frame = len(encode_line({"text": ""}))
    longest = encode_line({"text": "x" * (LINE_BYTES_MAX - frame)})
    assert len(longest) == LINE_BYTES_MAX
    path = tmp_path / "lines"
    path.write_bytes(longest + b"y" * (LINE_BYTES_MAX + 1) + b"\n" + encode_line({"last": 1}))
    first, second, third = scan_lines(str(path))
    assert isinstance(first, Line)
    assert second == BadLine(number=2, torn=False, why=f"longer than {LINE_BYTES_MAX} bytes")
    assert third == Line(body={"last": 1})


def test_a_line_without_end_is_bounded_in_memory(tmp_path: Path) -> None:
    """Megabytes without a line end are one bad line, and reading goes on behind it."""
    path = tmp_path / "lines"
    path.write_bytes(b"z" * (3 * LINE_BYTES_MAX) + b"\n" + encode_line({"last": 1}))
    bad, good = scan_lines(str(path))
    assert isinstance(bad, BadLine)
    assert not bad.torn
    assert good == Line(body={"last": 1})


def test_the_next_line_after_a_torn_one_stands_on_its_own(tmp_path: Path) -> None:
    """Opening a file whose last line is torn ends that line first."""
    path = tmp_path / "lines"
    path.write_bytes(encode_line({"n": 1}) + encode_line({"n": 2})[:-9])
    assert [line.torn for line in scan_lines(str(path)) if isinstance(line, BadLine)] == [True]
    file = AppendFile(str(path))
    file.append(encode_line({"n": 3}))
    file.sync()
    file.close()
    lines = list(scan_lines(str(path)))
    assert [line.body["n"] for line in lines if isinstance(line, Line)] == [1, 3]
    assert [(line.number, line.torn) for line in lines if isinstance(line, BadLine)] == [(2, False)]


def test_a_symlink_is_not_written_through(tmp_path: Path) -> None:
    """Somebody's link in place of the file does not redirect what is written."""
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        AppendFile(str(tmp_path / "link"))


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """The record may name hosts and paths; others have no business with it."""
    path = tmp_path / "lines"
    AppendFile(str(path)).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_closed_file_is_never_written(tmp_path: Path) -> None:
    """The number of its descriptor belongs to another file by then: every use is refused, and closing again is fine."""
    closed = AppendFile(str(tmp_path / "closed"))
    closed.close()
    stranger = os.open(tmp_path / "stranger", os.O_RDWR | os.O_CREAT)
    try:
        for use in (lambda: closed.append(encode_line({"a": 1})), closed.sync, lambda: closed.size_bytes):
            with pytest.raises(OSError, match="the file was closed"):
                use()
        closed.close()
        assert os.fstat(stranger).st_size == 0
    finally:
        os.close(stranger)
