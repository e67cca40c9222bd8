"""A phase's memory load for machines: asked and achieved. Additive to the documents of nights without one. Pure."""

from baseline_metrics.codec import Json
from baseline_metrics.samples import Sample
from monitoring_logs.load_orders import MemoryLoad
from monitoring_logs.memory_records import MemoryFacts
from monitoring_logs.records import PhaseOrder, PhaseRecord
from results_summary.cleaning import clean


def memory_asked(order: PhaseOrder) -> Json:
    """What the phase asks for, or null."""
    if not isinstance(order.memory, MemoryLoad):
        return None
    return {"size_bytes": order.memory.size_bytes, "rise_bytes_per_s": order.memory.rise_bytes_per_s}


def memory_achieved(record: PhaseRecord) -> Json:
    """What was held, or null."""
    memory = record.memory
    if not isinstance(memory, MemoryFacts):
        return None
    return {
        "size_bytes": memory.size_bytes,
        "peak_bytes": memory.peak_bytes,
        "asked_byte_s": memory.asked_byte_s,
        "achieved_byte_s": memory.achieved_byte_s,
        "release_s": memory.release_s.value if isinstance(memory.release_s, Sample) else None,
        "refused": clean(memory.refused),
    }
