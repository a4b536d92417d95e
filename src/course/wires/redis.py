"""Decodes what passes between a process and Redis: commands, replies, and messages."""

from collections import deque
from dataclasses import dataclass

from course.wires.decoder import ANSWERS, REQUESTS, Scribe
from course.wires.event import RESP, Event, bounded
from course.wires.resp import Failure, NotUnderstood, Push, RespReader, Value
from course.wires.tasks import celery_message, shorten, state_in, task_id_in

STORED = "celery-task-meta-"  # the keys of Celery's result backend, and its own channels

# What clients and Celery say about their connection, not about a task.
HOUSEKEEPING = {
    *("AUTH", "CLIENT", "COMMAND", "CONFIG", "ECHO", "HELLO", "INFO", "PING", "QUIT", "SELECT"),
    *("MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SCRIPT", "BRPOP", "LLEN"),
}
# Celery's own keys and channels, but for its queue and its results.
CELERYS_OWN = ("_kombu", "unacked", "/0.celery", "celeryev", "pidbox")
SUBSCRIBING = {"SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE"}
SETTING = {"SET", "SETEX", "PSETEX"}
SHOWN_REPLIES = {"GET", "MGET", "PUBLISH"}
PUSHED = {b"message", b"pmessage"}
ANSWERS_TO_SUBSCRIBING = {b"subscribe", b"psubscribe", b"unsubscribe", b"punsubscribe"}


@dataclass
class Command:
    """A command that has no reply yet."""

    name: str
    event: Event
    replies: int = 1  # SUBSCRIBE is answered once for each channel


class RedisDecoder:
    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._readers = (RespReader(), RespReader())
        self._waiting: deque[Command] = deque()
        self._queued: list[Command] = []  # in a transaction, whose EXEC brings all replies
        self._channels = 0  # how many this connection is subscribed to

    def feed(self, direction: int, data: bytes, time: int) -> None:
        for value in self._readers[direction].feed(data):
            if direction == REQUESTS:
                self._note_command(value, time)
            else:
                self._note_reply(value, time)

    def end(self, direction: int, time: int) -> None:
        pass

    def _note_command(self, value: Value, time: int) -> None:
        if not isinstance(value, list) or not all(isinstance(word, bytes) for word in value):
            raise NotUnderstood(f"not a command: {value!r}"[:200])
        words = [word.decode("utf-8", "replace") for word in value if isinstance(word, bytes)]
        name, arguments = words[0].upper(), words[1:]
        event = self._scribe.add(
            REQUESTS,
            time,
            RESP,
            self._command_text(name, arguments),
            content=bounded("\n".join([name, *map(readable, arguments)])),
            task_id=task_id_in(" ".join(arguments[:2])) or first_task(arguments),
            is_noise=is_noise(name, arguments),
        )
        replies = max(1, len(arguments)) if name in SUBSCRIBING else 1
        self._waiting.append(Command(name, event, replies))

    def _command_text(self, name: str, arguments: list[str]) -> str:
        key = arguments[0] if arguments else ""
        text = f"{name} {key}".strip()
        if name in SETTING and (state := state_in(arguments[-1])):
            if task_id := task_id_in(key):
                self._scribe.tasks.stored(task_id, state)
            return shorten(f"{text} {state}")
        if name in ("LPUSH", "RPUSH") and (message := celery_message(arguments[-1])):
            self._scribe.tasks.sent(message)
            return shorten(f"{text} {message.task_id}")
        if name == "PUBLISH" and (state := state_in(arguments[-1])):
            return shorten(f"{text} {state}")
        if name in SUBSCRIBING | {"DEL", "MGET"}:
            return shorten(f"{name} {' '.join(arguments)}")
        return shorten(text)

    def _note_reply(self, value: Value, time: int) -> None:
        if isinstance(value, list) and value and self._is_push(value):
            self._note_push(value, time)
            return
        if not self._waiting:
            raise NotUnderstood(f"a reply to no command: {value!r}"[:200])
        command = self._waiting.popleft()
        if command.name == "BRPOP" and isinstance(value, list) and len(value) == 2:
            self._note_taken(command, value, time)
            return
        if value == b"QUEUED":
            self._queued.append(command)
            return
        if command.name in ("EXEC", "DISCARD"):
            queued, self._queued = self._queued, []
            if isinstance(value, list):
                for other, reply in zip(queued, value, strict=False):
                    self._add_reply(other, reply, time)
        self._add_reply(command, value, time)

    def _add_reply(self, command: Command, value: Value, time: int) -> None:
        is_shown = command.name in SHOWN_REPLIES and not command.event.is_noise
        failed = isinstance(value, Failure)
        self._scribe.add(
            ANSWERS,
            time,
            RESP,
            reply_text(command.name, value),
            content=bounded(shown(value)),
            task_id=command.event.task_id,
            is_noise=not (is_shown or (failed and not command.event.is_noise)),
            answers=command.event.id,
        )

    def _is_push(self, value: list[Value]) -> bool:
        kind = value[0]
        if isinstance(value, Push) or kind in ANSWERS_TO_SUBSCRIBING:
            return True
        return kind in PUSHED and self._channels > 0

    def _note_push(self, value: list[Value], time: int) -> None:
        kind = value[0]
        if kind in ANSWERS_TO_SUBSCRIBING:
            self._channels = value[2] if isinstance(value[2], int) else 0
            self._answer_subscribing(value, time)
            return
        channel, text = shown(value[-2]), shown(value[-1])
        words = f"message on {channel}: {state_in(text) or ''}".rstrip(": ")
        self._scribe.add(
            ANSWERS,
            time,
            RESP,
            shorten(words),
            content=bounded(f"{channel}\n{readable(text)}"),
            task_id=task_id_in(channel) or task_id_in(text),
            is_noise=is_celerys_own(channel) or channel.startswith(STORED),
        )

    def _answer_subscribing(self, value: list[Value], time: int) -> None:
        command = self._waiting[0] if self._waiting else None
        self._scribe.add(
            ANSWERS,
            time,
            RESP,
            shorten(f"{shown(value[0])}d {shown(value[1])}"),
            content=bounded(shown(value)),
            task_id=task_id_in(shown(value[1])),
            is_noise=True,
            answers=command.event.id if command else None,
        )
        if command and command.name in SUBSCRIBING:
            command.replies -= 1
            if not command.replies:
                self._waiting.popleft()

    def _note_taken(self, command: Command, value: list[Value], time: int) -> None:
        """BRPOP answers with what another process has pushed: the worker takes a task."""
        queue, text = shown(value[0]), shown(value[1])
        message = celery_message(text)
        self._scribe.add(
            ANSWERS,
            time,
            RESP,
            shorten(f"BRPOP {queue}: {message.task_id if message else text}"),
            content=bounded(f"{queue}\n{readable(text)}"),
            task_id=message.task_id if message else task_id_in(text),
            is_noise=message is None and is_celerys_own(queue),
            answers=command.event.id,
        )


def first_task(arguments: list[str]) -> str | None:
    """The task in a message for Celery's queue."""
    message = celery_message(arguments[-1]) if arguments else None
    return message.task_id if message else None


def is_celerys_own(key: str) -> bool:
    return key.startswith(CELERYS_OWN) or ".pidbox" in key


def is_noise(name: str, arguments: list[str]) -> bool:
    """Is it said by Celery or a client to itself? All else is the application's."""
    key = arguments[0] if arguments else ""
    if name in HOUSEKEEPING or any(is_celerys_own(key) for key in keys_of(name, arguments)):
        return True
    # Celery publishes each state that it stores, for those who wait in result.get().
    return name in SUBSCRIBING | {"PUBLISH"} and key.startswith(STORED)


def keys_of(name: str, arguments: list[str]) -> list[str]:
    """The keys or channels that the command names. A script's come after their number."""
    if name in ("EVAL", "EVALSHA") and len(arguments) > 1 and arguments[1].isdigit():
        return arguments[2 : 2 + int(arguments[1])]
    return arguments if name in ("DEL", "MGET", "UNLINK") else arguments[:1]


def reply_text(command: str, value: Value) -> str:
    if command == "PUBLISH" and isinstance(value, int):
        return "1 subscriber" if value == 1 else f"{value} subscribers"
    if value is None:
        return "nil"
    text = shown(value)
    return state_in(text) or shorten(text, 40)


def readable(text: str) -> str:
    message = celery_message(text)
    return message.readable if message else text


def shown(value: Value) -> str:
    """The value as redis-cli would show it, nearly."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None:
        return "nil"
    if isinstance(value, Failure):
        return f"error: {value.text}"
    if isinstance(value, list):
        return "\n".join(shown(item) for item in value)
    return str(value)
