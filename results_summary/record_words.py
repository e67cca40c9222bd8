"""How well the night was written down, in words: what is missing from the record, and how long the disk took to keep it.

A number that a producer gave and nobody kept is unknown, not good. Pure; limits_of_knowledge and viewing show it.
"""

from typing import assert_never

from monitoring_logs.numbering import LifeMissing, RecordHole
from results_summary import wording
from results_summary.facts import Facts
from results_summary.view import NamedValue
from stress_scenarios.histogram import Histogram, HistogramError

HOLES_NAMED_MAX = 3
"""Holes named one by one; the count says the rest."""


def record_sentences(facts: Facts) -> list[str]:
    """What is missing from the record; nothing when it is whole."""
    holes = [hole for hole in facts.holes if isinstance(hole, RecordHole)]
    lives = [hole.life for hole in facts.holes if isinstance(hole, LifeMissing)]
    sentences = []
    if lives:
        named = ", ".join(str(life) for life in lives[:HOLES_NAMED_MAX])
        sentences.append(
            f"The measurements of {wording.plural(len(lives), 'start')} of this campaign are missing (start {named}): "
            "what they said is unknown."
        )
    if holes:
        named = ", ".join(_hole_words(hole) for hole in holes[:HOLES_NAMED_MAX])
        beyond = len(holes) - HOLES_NAMED_MAX
        more = f" and {wording.plural(beyond, 'more hole')}" if beyond > 0 else ""
        records = sum(hole.records for hole in holes)
        missing = f"{wording.plural(records, 'record')} {'was' if records == 1 else 'were'}"
        sentences.append(f"{missing} produced and not kept: what they said is unknown ({named}{more}).")
    return sentences


def recorder_rows(facts: Facts) -> tuple[NamedValue, ...]:
    """How much was kept where, and how long the disk took: of all lives that closed."""
    if not facts.recorder:
        words = "not closed yet" if facts.partial else "never closed in order; what was acknowledged is here"
        return (NamedValue(name="record", value=words),)
    committed = sum(one.committed for one in facts.recorder)
    spilled = sum(one.spilled for one in facts.recorder)
    lost = sum(one.lost + one.refused for one in facts.recorder)
    parts = [wording.plural(committed, "record") + " committed"]
    if spilled:
        parts.append(f"{wording.count(spilled)} in the spill file")
    if lost:
        parts.append(f"{wording.count(lost)} lost")
    return (
        NamedValue(name="record", value=", ".join(parts)),
        NamedValue(name="commits", value=_latency_words([one.commit_s for one in facts.recorder])),
        NamedValue(name="disk syncs", value=_latency_words([one.sync_s for one in facts.recorder])),
    )


def _hole_words(hole: RecordHole | LifeMissing) -> str:
    match hole:
        case RecordHole(life=life, first=first, last=last, producer=producer):
            numbers = f"{first}" if first == last else f"{first} to {last}"
            return f"the {producer.value}'s number {numbers} of start {life}"
        case LifeMissing(life=life):
            return f"start {life}"
        case _:
            assert_never(hole)


def _latency_words(encoded: list[str]) -> str:
    """Percentiles of histograms put together."""
    together = Histogram()
    for text in encoded:
        try:
            together.merge(Histogram.decode(text))
        except HistogramError as error:
            return f"unknown: {error}"
    if not together.count:
        return "none"
    p50, p99 = together.quantile(0.5), together.quantile(0.99)
    words = ", ".join(
        f"{name} {wording.reading_seconds(reading)}"
        for name, reading in (("p50", p50), ("p99", p99), ("longest", together.max_s))
    )
    return f"{wording.count(together.count)}: {words}"
