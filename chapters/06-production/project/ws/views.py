"""The WebSocket that sends a browser the status of its task."""

import asyncio

from fastapi import WebSocket, status
from starlette.routing import WebSocketRoute

from project.limits import too_many_sockets
from project.security import is_allowed_origin
from project.sessions import known_store, session_id
from project.ws.follower import Follower
from project.ws.hub import hub


async def ws_task_status(websocket: WebSocket) -> None:
    """Let the hub send: this coroutine awaits the client's leaving, and nothing else."""
    task_id = str(websocket.path_params["task_id"])
    if not is_allowed_origin(websocket):
        return await websocket.close(status.WS_1008_POLICY_VIOLATION)  # before accept(): HTTP 403
    with too_many_sockets(websocket, task_id) as refused:
        if refused:
            return await websocket.close(status.WS_1013_TRY_AGAIN_LATER)
        await websocket.accept()
        follower = Follower(
            websocket,
            task_id,
            session_id(websocket),
            known_store(websocket),
            asyncio.get_running_loop().time(),
        )
        hub.join(follower)
        try:
            async with follower.life:
                while (await websocket.receive())["type"] != "websocket.disconnect":
                    follower.close(status.WS_1008_POLICY_VIOLATION)  # clients have nothing to say
        except TimeoutError:
            if not follower.life.expired():
                raise
        finally:
            hub.leave(follower)


# A route of Starlette's: FastAPI's own would solve dependencies, and keep some KiB a socket.
# An id that is no UUID has no route: the handshake is refused with 403.
ws_routes = [WebSocketRoute("/ws/task_status/{task_id:uuid}", ws_task_status)]
