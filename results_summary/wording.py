"""Numbers as people read them, the same in every format of the report.

A gap is a word and never a zero. Pure; sentences, view and charts use it.
"""

from baseline_metrics.health import KnownScore, Score, UnknownScore
from baseline_metrics.samples import Gap, Reading, Sample
from baseline_metrics.units import format_duration, format_percent
from results_summary.findings import Unit

UNKNOWN = "unknown"


def percent(value: float) -> str:
    """One decimal, but never rounded up to 100: 99.96 % is not everything."""
    if 99.95 <= value < 100:
        return "> 99.9 %"
    if 0 < value < 0.05:
        return "< 0.1 %"
    return format_percent(value)


def seconds(value: float) -> str:
    """A time with three significant digits; from half a millisecond to a second in milliseconds."""
    if 0.0005 <= abs(value) < 0.9995:
        return f"{1000 * value:.3g} ms"
    return format_duration(value)


def count(value: int) -> str:
    """Thousands apart."""
    return f"{value:,}"


def rate(value: float) -> str:
    """Events per second, three significant digits, no exponent."""
    return f"{value:,.0f}/s" if value >= 100 else f"{value:.3g}/s"


def zone(key: str, abbreviation: str) -> str:
    """A zone's IANA name with its abbreviation, once when both say the same: Europe/Berlin (CET), UTC."""
    return abbreviation if key.rpartition("/")[2] == abbreviation else f"{key} ({abbreviation})"


def score(value: Score) -> str:
    """A health score, one decimal."""
    match value:
        case KnownScore(value=known):
            return f"{known:.1f}".removesuffix(".0")
        case UnknownScore():
            return UNKNOWN


def in_unit(value: float, unit: Unit) -> str:
    """A gate's number with its unit."""
    match unit:
        case Unit.PERCENT:
            return percent(value)
        case Unit.SECONDS:
            return seconds(value)
        case Unit.SCORE | Unit.STOPS:
            return f"{value:g}"


def reading_percent(reading: Reading) -> str:
    """A percentage, or that it is unknown."""
    return reading_in_unit(reading, Unit.PERCENT)


def reading_seconds(reading: Reading) -> str:
    """A time, or that it is unknown."""
    return reading_in_unit(reading, Unit.SECONDS)


def reading_in_unit(reading: Reading, unit: Unit) -> str:
    """A gate's observation, or that there is none."""
    match reading:
        case Sample(value=value):
            return in_unit(value, unit)
        case Gap():
            return UNKNOWN


def plural(number: int, word: str) -> str:
    """One phase, two phases, with the number in digits."""
    return f"{count(number)} {word}" if number == 1 else f"{count(number)} {word}s"
