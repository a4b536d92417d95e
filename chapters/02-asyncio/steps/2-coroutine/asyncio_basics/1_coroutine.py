"""Calling an async function runs nothing: it makes a coroutine. The event loop runs it."""

import asyncio


async def greet(name: str) -> str:
    print(f"  greeting {name}")
    return f"Hello, {name}!"


async def main() -> None:
    print("The call alone:")
    coroutine = greet("Ada")
    print(f"  {type(coroutine).__name__}, and nothing was printed by greet()")

    print("With await:")
    answer = await coroutine
    print(f"  {answer}")


asyncio.run(main())
