"""The supervisor's end of the guardian: started first, spoken with, and noticed when it is gone or silent.

The guardian never waits for us; we only tell it what to watch and ask for what is ours to ask. Runs in the
supervisor's main thread.
"""

import json
from pathlib import Path

from baseline_metrics.clock import Clock
from baseline_metrics.codec import CodecError, to_json_value
from campaign.processes import ChannelError, Child, Marks
from safety_monitoring.messages import (
    ORDERS,
    REPORTS,
    Conclude,
    GuardianBeat,
    GuardianOrder,
    Heartbeat,
    Order,
    Report,
)

HEARTBEAT_S = 0.25
SILENT_S_MAX = 5.0
"""The guardian beats once a second; five seconds of silence mean that it is dead, stopped or starved. Leases (0.8 s)
have ended the load long before."""

LEAVE_S = 3.0


class GuardianLink:
    """One guardian process."""

    def __init__(self, order: GuardianOrder, *, order_file: Path, marks: Marks, output: Path, clock: Clock) -> None:
        order_file.write_text(json.dumps(to_json_value(order), indent=1) + "\n")
        self._clock = clock
        self.child = Child(
            "safety_monitoring.system_guardian", (str(order_file),), marks=marks, role="guardian", output=output
        )
        self._heard = clock.mono_s()
        self._beat_sent = 0.0
        self._beats = 0
        self.beat: GuardianBeat | None = None
        self.lost = ""
        self._concluded = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    @property
    def silent_s(self) -> float:
        """For how long the guardian has said nothing; it beats once a second."""
        return self._clock.mono_s() - self._heard

    def send(self, order: Order) -> None:
        """Tell the guardian something. A broken channel makes it lost."""
        if self.lost or self._concluded:
            return
        try:
            self.child.send(ORDERS, order)
        except (ChannelError, CodecError) as error:
            self.lost = str(error)

    def poll(self) -> list[Report]:
        """Its new messages; sends our heartbeat, and notices when the guardian is gone."""
        now = self._clock.mono_s()
        if now - self._beat_sent >= HEARTBEAT_S:
            self._beat_sent = now
            self._beats += 1
            self.send(Heartbeat(sequence=self._beats))
        self.child.flush()
        try:
            reports: list[Report] = self.child.receive(REPORTS)
        except (ChannelError, CodecError) as error:
            self.lost = self.lost or f"the guardian spoke something unknown: {error}"
            return []
        if reports:
            self._heard = now
        for report in reports:
            if isinstance(report, GuardianBeat):
                self.beat = report
        if not self.lost and not self._concluded:
            if self.child.ended():
                self.lost = f"the guardian process ended with {self.child.process.returncode}"
            elif self.child.closed:
                self.lost = "the guardian closed its pipe"
            elif now - self._heard > SILENT_S_MAX:
                self.lost = f"the guardian has said nothing for {SILENT_S_MAX:.0f} s"
        return reports

    def conclude(self) -> None:
        """The campaign is over: the guardian leaves. Blocks at most LEAVE_S, then it is killed."""
        self.send(Conclude())
        self._concluded = True
        deadline = self._clock.mono_s() + LEAVE_S
        while not self.child.ended() and self._clock.mono_s() < deadline:
            self.child.flush()
            try:
                self.child.receive(REPORTS)
            except (ChannelError, CodecError):
                break
            self._clock.sleep(0.01)
        self.child.kill()
        self.child.process.wait(LEAVE_S)
        self.child.close()
