"""A queue between two tasks: one waits for what the other puts in, and costs nothing meanwhile."""

import asyncio


async def worker(news: asyncio.Queue[str]) -> None:
    for state in ("STARTED", "RETRY", "SUCCESS"):
        await asyncio.sleep(0.2)
        print(f"worker: puts {state}")
        await news.put(state)


async def client(news: asyncio.Queue[str]) -> None:
    state = "PENDING"
    while state != "SUCCESS":
        state = await news.get()
        print(f"client: is told {state}")


async def main() -> None:
    news: asyncio.Queue[str] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(client(news))
        group.create_task(worker(news))


asyncio.run(main())
