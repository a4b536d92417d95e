"""One loop, one thread, a thousand waiters: while one waits, the others get their turn."""

import asyncio
import threading
import time


async def wait_a_second() -> int:
    await asyncio.sleep(1)
    return threading.get_ident()


async def main() -> None:
    start = time.perf_counter()
    threads = await asyncio.gather(*(wait_a_second() for _ in range(1000)))
    seconds = time.perf_counter() - start

    print(f"{len(threads)} waits of one second took {seconds:.1f} s together")
    print(f"they ran in {len(set(threads))} thread")


asyncio.run(main())
