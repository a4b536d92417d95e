"""A context variable: each asyncio task sees its own value, all in one thread."""

import asyncio
from contextvars import ContextVar

client: ContextVar[str] = ContextVar("client", default="nobody")


async def look_up() -> str:
    await asyncio.sleep(0.1)  # the other tasks run now, and set their own
    return client.get()


async def serve(name: str) -> None:
    client.set(name)
    print(f"  serving {name}: look_up() sees {await look_up()}")


async def main() -> None:
    async with asyncio.TaskGroup() as group:
        for name in ("Ada", "Grace", "Edsger"):
            group.create_task(serve(name))
    print(f"  main: look_up() sees {await look_up()}")


asyncio.run(main())
