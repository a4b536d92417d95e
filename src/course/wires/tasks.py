"""Which task something is about, what state it carries, and how a person reads it."""

import base64
import binascii
import json
import re
from collections import OrderedDict
from contextlib import suppress
from typing import Any

TASK_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
SHOWN_OF_ID = 4
READY = {"SUCCESS", "FAILURE", "REVOKED"}
REMEMBERED = 2_000  # tasks


def task_id_in(text: str) -> str | None:
    found = TASK_ID.search(text)
    return found[0] if found else None


def shorten(text: str, limit: int = 60) -> str:
    """The text on one line, with the first digits of each id, and an end."""
    if not text.isprintable():
        text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    line = TASK_ID.sub(lambda id_: f"{id_[0][:SHOWN_OF_ID]}…", text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def parse_json(text: str) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(text)
    return None


def state_in(text: str) -> str | None:
    """The state of a task status as the app writes it, or of a result as Celery stores it."""
    status = parse_json(text) if text.startswith("{") else None
    if isinstance(status, dict):
        state = status.get("state") or status.get("status")
        return state if isinstance(state, str) else None
    return None


def strings_in(value: Any) -> set[str]:
    """All strings in parsed JSON that are not names of fields."""
    if isinstance(value, str):
        return {value}
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return set().union(*map(strings_in, value))
    return set()


class CeleryMessage:
    """A task as Celery puts it into its queue: JSON with a body in base64."""

    def __init__(self, task_id: str, arguments: set[str], readable: str) -> None:
        self.task_id = task_id
        self.arguments = arguments
        self.readable = readable


def celery_message(text: str) -> CeleryMessage | None:
    message = parse_json(text) if text.startswith("{") else None
    if not isinstance(message, dict):
        return None
    headers = message.get("headers")
    task_id = headers.get("id") if isinstance(headers, dict) else None
    if not isinstance(task_id, str):
        return None
    body = message.get("body")
    if isinstance(body, str):
        with suppress(binascii.Error, UnicodeDecodeError):
            body = parse_json(base64.b64decode(body).decode()) or body
    arguments = strings_in(body[0]) if isinstance(body, list) and body else set()
    readable = json.dumps(message | {"body": body}, indent=2, ensure_ascii=False)
    return CeleryMessage(task_id, arguments, readable)


class KnownTasks:
    """The arguments of the tasks that are under way: a request that a worker makes for a task
    bears no id, but usually one of the task's arguments."""

    def __init__(self) -> None:
        self._arguments: OrderedDict[str, set[str]] = OrderedDict()
        self._asked: set[str] = set()

    def sent(self, message: CeleryMessage) -> None:
        self._arguments[message.task_id] = message.arguments
        while len(self._arguments) > REMEMBERED:
            self._forget(next(iter(self._arguments)))

    def stored(self, task_id: str, state: str) -> None:
        if state in READY:
            self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        self._arguments.pop(task_id, None)
        self._asked.discard(task_id)

    def of_request(self, body: str) -> str | None:
        """The task that a worker sends this body for: the oldest that has not sent it before."""
        strings = strings_in(parse_json(body))
        if not strings:
            return None
        matching = [id_ for id_, given in self._arguments.items() if given & strings]
        found = next((id_ for id_ in matching if id_ not in self._asked), None)
        found = found or (matching[0] if matching else None)
        if found:
            self._asked.add(found)
        return found
