"""An event loop and a connection that stay as long as the worker process does.

async_to_sync(function)(x) starts a loop, runs the function in it and throws the loop away, and
with it every connection that was made there. Made inside a running loop, it sends its calls there.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from functools import cache
from threading import Lock, Thread
from typing import Any

from asgiref.sync import async_to_sync
from broadcaster import Broadcast

from project.config import settings

type_of_function = Callable[[str], Coroutine[Any, Any, None]]
making = Lock()
publishers: dict[asyncio.AbstractEventLoop, Broadcast] = {}
connecting = asyncio.Lock()


def kept_async_to_sync(function: type_of_function) -> Callable[[str], None]:
    """Like async_to_sync(function), for any thread, in this process's kept loop."""
    with making:
        return made_in_kept_loop(function, os.getpid())


@cache
def made_in_kept_loop(function: type_of_function, process_id: int) -> Callable[[str], None]:
    # Made anew in each process: the pool processes are forks, and a loop does not survive a fork.
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="kept loop", daemon=True).start()

    async def inside_the_loop() -> Callable[[str], None]:
        return async_to_sync(function)

    return asyncio.run_coroutine_threadsafe(inside_the_loop(), loop).result()


async def kept_publisher() -> Broadcast:
    """The running loop's own Broadcast, connected on first use: no loop can use another's."""
    loop = asyncio.get_running_loop()
    async with connecting:
        if loop not in publishers:
            publisher = Broadcast(str(settings.ws_message_queue))
            await publisher.connect()
            publishers[loop] = publisher
    return publishers[loop]
