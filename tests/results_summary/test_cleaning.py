"""Text from outside, made harmless."""

import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from results_summary.cleaning import CHARACTERS_MAX, clean, columns_of, file_name_part, fit_columns


def test_terminal_escapes_vanish() -> None:
    """Colours, cursor moves and window titles leave no trace."""
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07now \x9b2Jgone") == "red now gone"


def test_bidirectional_and_zero_width_characters_vanish() -> None:
    """Nothing can reorder or hide what a reader sees."""
    assert clean("abc\u202edcba\u2066x\u200by") == "abc dcba x y"


def test_ten_megabytes_cost_no_time_and_are_cut() -> None:
    """A huge message is cut, says so, and is not scanned to its end."""
    started = time.monotonic()
    assert clean("x" * 10_000_000).endswith("x...")
    assert len(clean("x" * 10_000_000)) == CHARACTERS_MAX
    assert time.monotonic() - started < 1.0


def test_the_cut_is_just_above_the_limit() -> None:
    """At the limit a text stands whole, one above it is cut."""
    assert clean("y" * CHARACTERS_MAX) == "y" * CHARACTERS_MAX
    assert clean("y" * (CHARACTERS_MAX + 1)) == "y" * (CHARACTERS_MAX - 3) + "..."


def test_wide_characters_count_two_columns() -> None:
    """A line of East Asian text fits a terminal too."""
    assert columns_of("\u4e2d\u6587") == 4
    assert fit_columns("\u4e2d" * 50, 20) == "\u4e2d" * 8 + "..."


def test_file_names_hold_no_path() -> None:
    """A phase's name cannot lead out of the folder."""
    assert file_name_part("../../etc/passwd") == "etc_passwd"
    assert file_name_part("\u202e") == "phase"


@given(st.text(max_size=600))
def test_a_cleaned_text_is_one_printable_line(text: str) -> None:
    """Whatever comes in, one bounded line without control or format characters comes out."""
    line = clean(text)
    assert len(line) <= CHARACTERS_MAX
    assert not any(unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for character in line)
    assert line == clean(line)
    assert columns_of(fit_columns(line, 40)) <= 40
