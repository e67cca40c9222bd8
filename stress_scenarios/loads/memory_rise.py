"""How much memory a load may hold now: a rise at a known rate, a share that lowers it at once, no leap after a stall.

The guardian's reserve is computed from this rate, so it is a promise: whatever happened before (a stall, an ease, a
refused mapping), memory never comes faster than that. Pure; memory workers use it.
"""

CATCH_UP_S = 0.1
"""Of rise: what a turn that came late may make up for, and no more. As long as the guardian's fastest look takes."""

PAGE_BYTES_MAX = 65_536
"""The largest page of the systems that we run on: a rise of less than a page per turn must still get on."""


class MemoryRise:
    """The level that may be held, of one load."""

    def __init__(self, *, size_bytes: int, rise_bytes_per_s: float) -> None:
        assert size_bytes > 0, size_bytes
        assert rise_bytes_per_s > 0, rise_bytes_per_s
        self._size = size_bytes
        self._per_s = rise_bytes_per_s
        self._level = 0.0

    def look(self, passed_s: float, *, share: float, held_bytes: int) -> int:
        """Bytes that may be held now. passed_s: since the last look; share: permitted now, 0..1; held_bytes: really held."""
        assert passed_s >= 0.0, passed_s
        most = self._size * share
        ahead = max(self._per_s * CATCH_UP_S, PAGE_BYTES_MAX)
        self._level = min(self._level + self._per_s * passed_s, held_bytes + ahead, most)
        return int(self._level)

    def due_bytes(self, risen_s: float) -> int:
        """Bytes that were asked for after so long a rise, whatever was permitted."""
        return int(min(self._size, self._per_s * max(0.0, risen_s)))
