"""Reads how much memory this host has for a load, as the guardian will see it. The launcher's process uses it."""

import psutil

from baseline_metrics.host_files import HostFiles
from baseline_metrics.samples import Gap
from campaign.planned_memory import HostMemory, HostMemoryUnknown


def read_host_memory() -> HostMemory | HostMemoryUnknown:
    """The memory there is. Inside a container with a limit of its own no swap is counted on."""
    with HostFiles() as files:
        memory = files.memory()
    if isinstance(memory.total_bytes, Gap):
        return HostMemoryUnknown(reason=memory.total_bytes.detail)
    if isinstance(memory.available_bytes, Gap):
        return HostMemoryUnknown(reason=memory.available_bytes.detail)
    total_bytes = int(memory.total_bytes.value)
    limited = total_bytes < psutil.virtual_memory().total
    return HostMemory(
        total_bytes=total_bytes,
        available_bytes=int(memory.available_bytes.value),
        swap_bytes=0 if limited else psutil.swap_memory().free,
    )
