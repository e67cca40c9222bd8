"""The bundled demo service of ``run --demo``: started for a campaign, and handed over to it.

It has to be there for the preflight, before a supervisor exists, and to live as long as the campaign, also when this
process leaves: so it first watches this process, and then the supervisor. The launcher's process uses it.
"""

import http.client
import json
import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from campaign.interfaces.exit_codes import Exit
from campaign.interfaces.output import refuse, warn
from campaign.interfaces.preparation import NightRequest
from stress_scenarios.demo_process import DemoProcess, DemoStartError, start_demo_service

ADOPTION_S_MAX = 2.0
"""The service answers within milliseconds; it is on this machine and idle."""


@dataclass(slots=True)
class Demo:
    """The running service. handed_over: it watches the supervisor now, and is not ours to stop."""

    process: DemoProcess
    handed_over: bool

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.process.url


@dataclass(frozen=True, slots=True)
class NoDemo:
    """The target is somebody else's."""

    url: str = ""


def demo_for(request: NightRequest) -> Demo | NoDemo:
    """Start the service when the request wants it. Refuses (70) when it does not come up."""
    if not request.demo:
        return NoDemo()
    try:
        return Demo(process=start_demo_service(parent_pid=os.getpid()), handed_over=False)
    except DemoStartError as error:
        refuse(str(error), exit_code=Exit.FAULT)


def adopted_by(demo: Demo | NoDemo, pid: int) -> None:
    """Let the service live and end with this process instead of ours."""
    if isinstance(demo, NoDemo):
        return
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(demo.url).port, timeout=ADOPTION_S_MAX)
    try:
        body = json.dumps({"parent_pid": pid})
        connection.request("POST", "/admin", body=body, headers={"Content-Type": "application/json"})
        accepted = connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        accepted = False
    finally:
        connection.close()
    if accepted:
        demo.handed_over = True
        demo.process.release()
    else:
        warn("the demo service could not be handed over to the campaign: it ends together with this command")


def end_demo(demo: Demo | NoDemo) -> None:
    """Stop the service, unless it belongs to the campaign by now."""
    if isinstance(demo, Demo) and not demo.handed_over:
        demo.process.stop()
