"""httpx on asyncio as a peer: so many tasks, each one GET after another, for so many seconds.

Usage: python httpx_loop.py URL CONNECTIONS SECONDS. It keeps the time of each operation in a list, nothing more.
"""

import asyncio
import sys
import time

import httpx


async def _user(client: httpx.AsyncClient, url: str, until_s: float, times: list[float]) -> None:
    while (began_s := time.monotonic()) < until_s:
        await client.get(url)
        times.append(time.monotonic() - began_s)


async def _main(url: str, connections: int, seconds: float) -> None:
    times: list[float] = []
    until_s = time.monotonic() + seconds
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    async with httpx.AsyncClient(limits=limits, timeout=30.0, trust_env=False) as client:
        await asyncio.gather(*(_user(client, url, until_s, times) for _ in range(connections)))
    print(len(times))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
