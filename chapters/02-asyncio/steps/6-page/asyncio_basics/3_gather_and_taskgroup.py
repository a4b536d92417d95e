"""Two ways to run coroutines side by side. They differ when one of them fails."""

import asyncio


async def work(name: str, seconds: float, fails: bool = False) -> str:
    try:
        await asyncio.sleep(seconds)
        if fails:
            raise ValueError(f"{name} failed")
        print(f"  {name} is done")
        return name
    except asyncio.CancelledError:
        print(f"  {name} was cancelled")
        raise


async def main() -> None:
    print("gather() passes the error on, and lets the rest run:")
    try:
        await asyncio.gather(work("a", 0.1, fails=True), work("b", 0.2))
    except ValueError as error:
        print(f"  caught: {error}")
    await asyncio.sleep(0.2)

    print("A TaskGroup cancels the rest, and waits for it:")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(work("c", 0.1, fails=True))
            group.create_task(work("d", 0.2))
    except* ValueError as errors:
        print(f"  caught: {errors.exceptions[0]}")


asyncio.run(main())
