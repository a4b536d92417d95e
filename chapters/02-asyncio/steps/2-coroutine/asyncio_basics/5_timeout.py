"""A time limit on anything that waits: the wait is cancelled, the program goes on."""

import asyncio


async def slow_answer() -> str:
    await asyncio.sleep(3)
    return "SUCCESS"


async def main() -> None:
    try:
        async with asyncio.timeout(0.5):
            print(await slow_answer())
    except TimeoutError:
        print("no answer within 0.5 s: asking again, with more patience")

    async with asyncio.timeout(5):
        print(await slow_answer())


asyncio.run(main())
