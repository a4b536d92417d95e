"""A blocking call freezes every waiter of the loop. In a thread it freezes none."""

import asyncio
import time


async def longest_gap(until: asyncio.Event) -> float:
    """Ask to be woken every 10 ms; return the longest time between two wake-ups, in seconds."""
    longest, last = 0.0, time.perf_counter()
    while not until.is_set():
        await asyncio.sleep(0.01)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


async def main() -> None:
    done = asyncio.Event()
    watcher = asyncio.create_task(longest_gap(done))
    await asyncio.sleep(0.1)
    time.sleep(0.5)  # noqa: ASYNC251, the mistake this script shows
    done.set()
    print(f"time.sleep(0.5) on the loop: the others stood still for {await watcher:.2f} s")

    done = asyncio.Event()
    watcher = asyncio.create_task(longest_gap(done))
    await asyncio.to_thread(time.sleep, 0.5)
    done.set()
    print(f"time.sleep(0.5) in a thread: the others stood still for {await watcher:.2f} s")


asyncio.run(main())
