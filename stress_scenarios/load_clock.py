"""The two clocks of a load, which a person can hold and the guardian can ease.

Run time says how far the order has come: it stands still while the load is held. Load time says what may be started: it
also runs slower while the load is eased, and stands still while it is paused. Pure; the load runs of workers use it.
"""

from stress_scenarios.pacing import EasedTime


class LoadClock:
    """Real instants are CLOCK_MONOTONIC, seconds. time: load time, on which schedules run.

    changed_mono_s: when load time last changed its speed; what was due before could be started only from then on.
    """

    def __init__(self, *, start_mono_s: float, lasts_s: float) -> None:
        self.time = EasedTime(start_mono_s=start_mono_s)
        self.held = False
        self.changed_mono_s = start_mono_s
        self._lasts_s = lasts_s
        self._permitted = 1.0
        self._run_time = EasedTime(start_mono_s=start_mono_s)

    def permit(self, now_mono_s: float, share: float) -> bool:
        """From now on this share is permitted, 0..1. True when load time runs differently now."""
        self._permitted = share
        return self._set_share(now_mono_s)

    def hold(self, now_mono_s: float) -> bool:
        """Let both clocks stand still. True when that is a change."""
        if self.held:
            return False
        self.held = True
        self._run_time.set_share(now_mono_s=now_mono_s, share=0.0)
        self._set_share(now_mono_s)
        return True

    def resume(self, now_mono_s: float) -> bool:
        """Let them run again where they stood. True when that is a change."""
        if not self.held:
            return False
        self.held = False
        self._run_time.set_share(now_mono_s=now_mono_s, share=1.0)
        self._set_share(now_mono_s)
        return True

    def run_s(self, now_mono_s: float) -> float:
        """Run time at a real instant; 0 before the start."""
        return self._run_time.load_s(now_mono_s)

    @property
    def end_mono_s(self) -> float:
        """When the load ends, if nothing changes; infinity while it is held."""
        return self._run_time.mono_s(self._lasts_s)

    def _set_share(self, now_mono_s: float) -> bool:
        changed = self.time.set_share(now_mono_s=now_mono_s, share=0.0 if self.held else self._permitted)
        if changed:
            self.changed_mono_s = now_mono_s
        return changed
