"""A process of tools that count outside what they do, take long, or do harm: `python -m tests.fault.harmful`."""

import asyncio
import os
import sys

import httpx

from callboard.tools import ToolContext, serve_tools, tool

COUNTER = os.environ.get("COUNTER", "")
CONCURRENCY = int(os.environ.get("CONCURRENCY", "1"))


async def _count(context: ToolContext, what: str = "") -> str:
    async with httpx.AsyncClient() as client:
        await client.post(f"{COUNTER}/{what}{context.call}")
    return context.call


@tool(name="count.pure", effect="pure")
async def count_pure(context: ToolContext) -> str:
    """Count this call outside; twice would do no harm."""
    return await _count(context)


@tool(name="count.write", effect="write")
async def count_write(context: ToolContext) -> str:
    """Count this call outside; twice would do harm."""
    return await _count(context)


@tool(name="slow.write", effect="write")
async def slow_write(context: ToolContext, seconds: float) -> str:
    """Count this call outside, slowly."""
    await _count(context, "begun/")
    await asyncio.sleep(seconds)
    return await _count(context)


@tool(name="slow.read", effect="read")
async def slow_read(context: ToolContext, seconds: float) -> str:
    """Look for a long time."""
    await _count(context, "begun/")
    await asyncio.sleep(seconds)
    return await _count(context)


@tool(name="flood", effect="pure")
def flood(letters: int) -> str:
    """Say much."""
    return "a" * letters


@tool(name="hang", effect="read", timeout_s=1.5)
async def hang(context: ToolContext, file: str) -> int:
    """Start a program that never ends and heeds no SIGTERM."""
    family = (
        f"trap '' TERM; sleep 600 & echo $! >> {file}; setsid sleep 600 & echo $! >> {file}; echo $$ >> {file}; wait"
    )
    return (await context.process(["sh", "-c", family])).returncode


@tool(name="hungry", effect="read", process=True, memory_mb=64)
def hungry() -> int:
    """Take memory until there is none."""
    taken = [bytearray(1 << 20)]
    while True:
        taken.append(bytearray(len(taken[-1])))


BOMB = """
import os, sys, time
for _ in range(6):  # a bomb of 64: this machine is shared
    os.fork()
os.setsid() if os.getpid() % 2 and os.getpid() != os.getsid(0) else None
with open(sys.argv[1], "a") as file:
    file.write(f"{os.getpid()}\\n")
time.sleep(600)
"""


@tool(name="bomb", effect="read", timeout_s=3.0)
async def bomb(context: ToolContext, file: str) -> int:
    """Fork, and each of them again."""
    return (await context.process([sys.executable, "-c", BOMB, file])).returncode


@tool(name="fills", effect="read")
async def fills(context: ToolContext, file: str) -> int:
    """Write a file that never ends, of which only the first megabyte is allowed."""
    return (await context.process(["sh", "-c", f"cat /dev/zero > {file}"], file_limit_bytes=1 << 20)).returncode


TOOLS = (count_pure, count_write, slow_write, slow_read, flood, hang, hungry, bomb, fills)

if __name__ == "__main__":
    sys.stdout.write("harmful ready\n")
    sys.stdout.flush()
    serve_tools(*TOOLS, concurrency=CONCURRENCY)
