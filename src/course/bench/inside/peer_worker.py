"""The hand-written servers' worker: the same work, and a synchronous publish at its end."""

import json
import os
from typing import Any

import httpx
import redis
import socketio
from celery import Celery
from celery.signals import task_postrun

URL = os.environ["REDIS_URL"]
client = redis.Redis.from_url(URL)
socketio_server = socketio.RedisManager(URL, write_only=True)

app = Celery("peer_worker", broker=URL, backend=URL)
app.conf.update(task_track_started=True, result_expires=3600)


@app.task(name="peer.subscribe")
def subscribe(email: str) -> str:
    url = f"{os.environ['NEWSLETTER_URL']}/subscribers"
    answer = httpx.post(url, json={"email": email}, timeout=600)
    return str(answer.raise_for_status().json())


@task_postrun.connect
def publish(task_id: str, state: str, retval: Any, **kwargs: Any) -> None:
    status = {"task_id": task_id, "state": state, "result": retval}
    match os.environ["PEER"]:
        case "floor" | "sse":
            client.publish(task_id, json.dumps(status))
        case "socketio":
            socketio_server.emit("status", status, room=task_id)
