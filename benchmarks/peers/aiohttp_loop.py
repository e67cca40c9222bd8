"""aiohttp on uvloop as a peer: so many tasks, each one GET after another, for so many seconds.

Usage: python aiohttp_loop.py URL CONNECTIONS SECONDS. It keeps the time of each operation in a list, nothing more.
"""

import asyncio
import sys
import time

import aiohttp
import uvloop


async def _user(session: aiohttp.ClientSession, url: str, until_s: float, times: list[float]) -> None:
    while (began_s := time.monotonic()) < until_s:
        async with session.get(url) as answer:
            await answer.read()
        times.append(time.monotonic() - began_s)


async def _main(url: str, connections: int, seconds: float) -> None:
    times: list[float] = []
    until_s = time.monotonic() + seconds
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(_user(session, url, until_s, times) for _ in range(connections)))
    print(len(times))


if __name__ == "__main__":
    uvloop.run(_main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
