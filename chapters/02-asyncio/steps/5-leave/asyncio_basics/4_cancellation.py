"""Cancelling raises CancelledError where the task waits, so `finally` cleans up."""

import asyncio


async def follow_news() -> None:
    print("  subscribed")
    try:
        await asyncio.sleep(3600)
    finally:
        print("  unsubscribed")


async def main() -> None:
    task = asyncio.create_task(follow_news())
    await asyncio.sleep(0.1)  # let it start

    print("The client leaves:")
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print(f"  the task is gone, cancelled: {task.cancelled()}")


asyncio.run(main())
