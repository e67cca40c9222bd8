"""Files of arrival times, good and bad."""

import hashlib
from pathlib import Path

import pytest

from stress_scenarios import arrival_replay
from stress_scenarios.arrival_replay import ReplayError, read_replay, replayed_times, sha256_of_replay
from tests.stress_scenarios.orders import an_order


def written(tmp_path: Path, text: str | bytes) -> tuple[str, str]:
    """A file, and its hash."""
    path = tmp_path / "times.csv"
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(content)
    return str(path), hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    "text",
    [
        "0\n1.5\n1.5\n20\n",
        "0\r\n1.5\r\n1.5\r\n20",
        "arrival_s\n0\n1.5\n\n1.5\n2e1\n",
        'user,"arrival_s"\na,0\nb,1.5\nc,"1.5"\nd, 20 \n',
        "\ufeff0\n1.5\n1.5\n20\n",
        "\ufeffarrival_s\n0\n1.5\n1.5\n20\n",
    ],
)
def test_times_are_read_with_and_without_a_header(tmp_path: Path, text: str) -> None:
    """One number a line, or the column arrival_s; quotes, blank lines and a byte order mark do no harm."""
    path, sha256 = written(tmp_path, text)
    assert sha256_of_replay(path) == sha256
    assert list(read_replay(path, sha256)) == [0.0, 1.5, 1.5, 20.0]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no arrival"),
        ("arrival_s\n", "holds no arrival"),
        ("0\nsoon\n", ':2: "soon" is no number'),
        ("0\n-1\n", ':2: "-1" is no number of seconds of at least 0'),
        ("0\nnan\n", ':2: "nan"'),
        ("0\ninf\n", ':2: "inf"'),
        ("0\n\n5\n4.5\n", ":4: 4.5 comes before the line above, 5"),
        ("time,who\n0,a\n", ':1: several columns, and none of them is named "arrival_s"'),
        ("who,arrival_s\na,0\nb\n", ':3: ""'),
        (b"0\n\xff\n", ":2: "),
    ],
)
def test_a_bad_file_is_refused_with_its_line(tmp_path: Path, text: str | bytes, complaint: str) -> None:
    """The message names file and line, and what to change."""
    path, sha256 = written(tmp_path, text)
    with pytest.raises(ReplayError) as refused:
        read_replay(path, sha256)
    assert complaint in str(refused.value)
    assert path in str(refused.value)


def test_a_file_that_is_missing_or_was_changed_is_refused(tmp_path: Path) -> None:
    """Only what the plan saw is replayed."""
    path, sha256 = written(tmp_path, "0\n")
    Path(path).write_text("1\n")
    with pytest.raises(ReplayError, match="was changed since the plan was made"):
        read_replay(path, sha256)
    with pytest.raises(ReplayError, match="cannot be read: No such file"):
        sha256_of_replay(path + "x")


@pytest.mark.parametrize(("rows", "taken"), [(2, True), (3, True), (4, False)])
def test_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, *, taken: bool) -> None:
    """Just at the bound a file is read, beyond it refused."""
    monkeypatch.setattr(arrival_replay, "REPLAY_ROWS_MAX", 3)
    path, sha256 = written(tmp_path, "0\n" * rows)
    if taken:
        assert len(read_replay(path, sha256)) == rows
    else:
        with pytest.raises(ReplayError, match=":4: more than 3 arrivals"):
            read_replay(path, sha256)


@pytest.mark.parametrize(("size", "taken"), [(8, True), (10, False)])
def test_bytes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, *, taken: bool) -> None:
    """A file that is too large is refused before it is read."""
    monkeypatch.setattr(arrival_replay, "REPLAY_BYTES_MAX", 8)
    path, sha256 = written(tmp_path, "0\n" * (size // 2))
    if taken:
        assert len(read_replay(path, sha256)) == 4
    else:
        with pytest.raises(ReplayError, match="more than 8 bytes"):
            sha256_of_replay(path)


def test_an_order_without_replay_has_no_times() -> None:
    """And reads no file."""
    assert replayed_times(an_order()) == ()
