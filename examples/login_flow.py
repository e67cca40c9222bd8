"""The session of login-flow.yaml, in Python: log in, keep the token, use it, upload a row of a file, log out.

Each load process calls the coroutine function once per session, over and over. Each request waits for its start, which
the phase's pace gives, and is counted under its name; whatever fails ends the session, and the next one begins.
"""

import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stress_scenarios.scenario_session import ScenarioSession

ROUNDS = 3
"""Uses of an account in one session."""


async def browse(session: "ScenarioSession") -> None:
    """One session of one virtual user."""
    user = session.feed("users")
    token = await _log_in(session, user["name"], user["pin"])
    authorization = {"Authorization": f"Bearer {token}"}
    for _ in range(ROUNDS):
        account = await session.get("/bearer", name="account", headers=authorization, expect=(200,))
        if account.json() != {"authenticated": True, "token": token}:
            session.fail("the account is not the one that has logged in")
        await session.think(session.random.uniform(0.01, 0.05))
    await session.post(
        "/post",
        name="upload",
        headers={**authorization, "Content-Type": "text/csv"},
        body=f"{user['name']},{user['city']}",
        expect=(200,),
    )
    await session.get(f"/anything/sessions/{user['name']}", name="log_out", expect=(200,))


async def _log_in(session: "ScenarioSession", name: str, pin: str) -> str:
    """The token that the service answers with."""
    channel = session.variables["channel"]
    reply = await session.post(
        f"/post?channel={channel}",
        name="log_in",
        json={"user": name, "pin": pin, "token": f"{name}-{uuid.UUID(int=session.random.getrandbits(128))}"},
        expect=(200,),
    )
    answer = reply.json()
    if not isinstance(answer, dict) or not isinstance(answer.get("json"), dict):
        session.fail("the login answers without a token")
    assert isinstance(answer, dict)
    return str(answer["json"]["token"])
