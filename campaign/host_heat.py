"""Reads what this host's thermal sensors call critical, as the guardian will see it. The launcher's process uses it."""

from baseline_metrics.samples import Reading
from baseline_metrics.thermal_files import ThermalFiles


def read_critical_celsius_max() -> Reading:
    """The highest critical temperature of all sensors; a gap where there is none, or where one of them names none."""
    files = ThermalFiles()
    try:
        return files.critical_celsius_max
    finally:
        files.close()
