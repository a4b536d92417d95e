"""An incremental reader of Redis's protocol, RESP2 and RESP3, that keeps little of what is big.

hiredis has a faster one. It keeps a whole value of 500 MB in memory, though, and redis-py uses it
as soon as it is installed: the course's processes would not run as the reader's own do.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

KEPT_OF_STRING = 65_536  # bytes of one bulk string
LONGEST_LINE = 65_536

Step: TypeAlias = Generator[None, None, "Value"]
Value: TypeAlias = "bytes | int | float | bool | Failure | list[Value] | Push | None"


@dataclass(frozen=True)
class Failure:
    """An error reply."""

    text: str


class Push(list["Value"]):
    """What RESP3 sends without a request: messages, and answers to SUBSCRIBE."""


class NotUnderstood(Exception):
    """The bytes are no RESP."""


class RespReader:
    def __init__(self) -> None:
        self._buffer = bytearray()
        self._parser = self._value()

    def feed(self, data: bytes) -> list[Value]:
        """Take more bytes; return the values that are complete by now. Raises NotUnderstood."""
        self._buffer += data
        values: list[Value] = []
        while True:
            try:
                next(self._parser)
            except StopIteration as done:
                values.append(done.value)
                self._parser = self._value()
                if self._buffer:
                    continue
            return values

    def _line(self) -> Generator[None, None, bytes]:
        while (end := self._buffer.find(b"\r\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise NotUnderstood("a line without an end")
            yield
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        return line

    def _string(self, length: int) -> Generator[None, None, bytes]:
        while len(self._buffer) < min(length, KEPT_OF_STRING):
            yield
        kept = bytes(self._buffer[: min(length, KEPT_OF_STRING)])
        to_drop = length + 2  # with its line end
        while len(self._buffer) < to_drop:
            to_drop -= len(self._buffer)
            self._buffer.clear()
            yield
        del self._buffer[:to_drop]
        if length > len(kept):
            kept += f"… ({length} bytes)".encode()
        return kept

    def _value(self) -> Step:
        line = yield from self._line()
        kind, rest = line[:1], line[1:]
        if kind in (b"*", b"~", b">", b"%", b"|", b"$", b"!", b"="):
            try:
                length = int(rest)
            except ValueError:
                raise NotUnderstood(line[:40].decode("latin-1")) from None
            if length < 0:
                return None
            if kind in (b"$", b"!", b"="):
                text = yield from self._string(length)
                return Failure(text.decode("utf-8", "replace")) if kind == b"!" else text
            items: list[Value] = Push() if kind == b">" else []
            # A map is read as a flat list: names and values in turn.
            for _ in range(length * 2 if kind in (b"%", b"|") else length):
                item = yield from self._value()
                items.append(item)
            if kind == b"|":  # attributes stand before the value that they belong to
                return (yield from self._value())
            return items
        return simple(kind, rest)


def simple(kind: bytes, rest: bytes) -> Value:
    try:
        if kind in (b":", b"("):
            return int(rest)
        if kind == b",":
            return float(rest)
    except ValueError:
        raise NotUnderstood(rest[:40].decode("latin-1")) from None
    if kind == b"+":
        return rest
    if kind == b"-":
        return Failure(rest.decode("utf-8", "replace"))
    if kind == b"_":
        return None
    if kind == b"#":
        return rest == b"t"
    raise NotUnderstood((kind + rest)[:40].decode("latin-1"))
