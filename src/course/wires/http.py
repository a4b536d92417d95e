"""Decodes HTTP/1.1, and WebSocket frames from the handshake on."""

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field

import h11
from websockets.exceptions import PayloadTooBig
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Close, Frame, Opcode
from websockets.headers import parse_extension
from websockets.streams import StreamReader

from course.wires.decoder import ANSWERS, REQUESTS, Scribe
from course.wires.event import BROWSER, HTTP, WEBSOCKET, Event, bounded
from course.wires.tasks import shorten, state_in, task_id_in

KEPT_OF_BODY = 8_192  # bytes
LARGEST_FRAME = 1_048_576  # bytes; of a larger one only the size is shown


@dataclass
class Exchange:
    """A request and its answer, as far as they have come."""

    request: Event
    bodies: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    sizes: list[int] = field(default_factory=lambda: [0, 0])
    answer: Event | None = None


class HttpDecoder:
    """Two h11 connections read what passes. Each is told as sent what the other has received:
    so each knows what comes next, which in HTTP depends on the other direction."""

    def __init__(self, scribe: Scribe) -> None:
        self._scribe = scribe
        self._requests = h11.Connection(h11.SERVER)
        self._answers = h11.Connection(h11.CLIENT)
        self._open: deque[Exchange] = deque()
        self._frames: Frames | None = None

    def feed(self, direction: int, data: bytes, time: int) -> None:
        if self._frames:
            self._frames.feed(direction, data, time)
        elif direction == REQUESTS:
            self._requests.receive_data(data)
            self._read_requests(time)
        else:
            self._answers.receive_data(data)
            self._read_answers(time)
            # A client may send its next request before it has the answer to the last.
            self._read_requests(time)

    def end(self, direction: int, time: int) -> None:
        if direction == ANSWERS and not self._frames and self._open:
            self._answers.receive_data(b"")
            self._read_answers(time)

    def _read_requests(self, time: int) -> None:
        while not self._frames:
            event = self._requests.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return
            assert not isinstance(event, type)
            if isinstance(event, h11.Request):
                self._open.append(Exchange(self._note_request(event, time)))
            elif isinstance(event, h11.Data):
                self._keep(self._open[-1], REQUESTS, event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._finish_request(self._open[-1])
            self._answers.send(event)

    def _note_request(self, request: h11.Request, time: int) -> Event:
        path = request.target.decode("latin-1")
        is_handshake = any(
            (name, value.lower()) == (b"upgrade", b"websocket") for name, value in request.headers
        )
        text = f"{request.method.decode()} {path}"
        return self._scribe.add(
            REQUESTS,
            time,
            HTTP,
            shorten(f"{text} (upgrade)" if is_handshake else text),
            content=bounded(f"{text} HTTP/{request.http_version.decode()}\n{headers(request)}"),
            task_id=task_id_in(path),
            is_noise=path.startswith("/static/") or path == "/favicon.ico",
        )

    def _finish_request(self, exchange: Exchange) -> None:
        body = exchange.bodies[REQUESTS].decode("utf-8", "replace")
        if not body:
            return
        event = exchange.request
        task_id = event.task_id or task_id_in(body)
        if not task_id and event.sender != BROWSER:
            task_id = self._scribe.tasks.of_request(body)
        content = with_body(event.content, body, exchange.sizes[REQUESTS])
        self._scribe.log.update(event, content=content, task_id=task_id)

    def _read_answers(self, time: int) -> None:
        while not self._frames:
            event = self._answers.next_event()
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return
            assert not isinstance(event, type)
            exchange = self._open[0]
            if isinstance(event, h11.Response | h11.InformationalResponse):
                exchange.answer = self._note_answer(event, exchange.request, time)
            elif isinstance(event, h11.Data):
                self._keep(exchange, ANSWERS, event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._finish_answer(exchange)
            self._requests.send(event)
            if isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                self._go_over_to_frames(event, exchange.request.task_id, time)
            elif isinstance(event, h11.EndOfMessage):
                self._open.popleft()
                if self._requests.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}:
                    self._requests.start_next_cycle()
                    self._answers.start_next_cycle()

    def _note_answer(
        self, answer: h11.Response | h11.InformationalResponse, request: Event, time: int
    ) -> Event:
        status = f"{answer.status_code} {answer.reason.decode('latin-1')}".strip()
        return self._scribe.add(
            ANSWERS,
            time,
            HTTP,
            str(answer.status_code),
            content=bounded(f"{status}\n{headers(answer)}"),
            task_id=request.task_id,
            answers=request.id,
            is_noise=request.is_noise,
        )

    def _finish_answer(self, exchange: Exchange) -> None:
        body = exchange.bodies[ANSWERS].decode("utf-8", "replace")
        event = exchange.answer
        if not body or not event:
            return
        if not exchange.request.task_id and (task_id := task_id_in(body)):
            self._scribe.log.update(exchange.request, task_id=task_id)
        state = state_in(body)
        self._scribe.log.update(
            event,
            what=f"{event.what} {state}" if state else event.what,
            content=with_body(event.content, body, exchange.sizes[ANSWERS]),
            task_id=exchange.request.task_id,
        )

    def _keep(self, exchange: Exchange, direction: int, data: bytes | bytearray) -> None:
        exchange.sizes[direction] += len(data)
        body = exchange.bodies[direction]
        body += data[: KEPT_OF_BODY - len(body)]

    def _go_over_to_frames(
        self, answer: h11.InformationalResponse, task_id: str | None, time: int
    ) -> None:
        named = [value for name, value in answer.headers if name == b"sec-websocket-extensions"]
        self._frames = Frames(self._scribe, task_id, b", ".join(named).decode("latin-1"))
        for direction, connection in enumerate((self._requests, self._answers)):
            if data := connection.trailing_data[0]:
                self._frames.feed(direction, data, time)


def headers(message: h11.Request | h11.Response | h11.InformationalResponse) -> str:
    lines = [
        f"{name.decode('latin-1')}: {value.decode('latin-1')}"
        for name, value in message.headers.raw_items()
    ]
    return "\n".join(lines)


def with_body(head: str, body: str, size: int) -> str:
    cut = f"\n… ({size} bytes)" if size > KEPT_OF_BODY else ""
    return bounded(f"{head}\n\n{body}{cut}")


class Frames:
    """WebSocket frames, both ways."""

    def __init__(self, scribe: Scribe, task_id: str | None, extensions: str) -> None:
        self._scribe = scribe
        self._task_id = task_id
        self._ways = tuple(
            FrameReader(direction == REQUESTS, deflate(extensions, direction))
            for direction in (REQUESTS, ANSWERS)
        )

    def feed(self, direction: int, data: bytes, time: int) -> None:
        for frame in self._ways[direction].feed(data):
            what, content, is_noise = describe(frame)
            self._scribe.add(
                direction,
                time,
                WEBSOCKET,
                what,
                content=bounded(content),
                task_id=self._task_id or task_id_in(content),
                is_noise=is_noise,
            )


class FrameReader:
    """One direction's frames. Instead of a frame that is too large, its size."""

    def __init__(self, is_masked: bool, extensions: list[Extension]) -> None:
        self._is_masked = is_masked
        self._extensions = extensions
        self._stream = StreamReader()
        self._to_skip = 0
        self._parser = self._parse()

    def feed(self, data: bytes) -> list[Frame | int]:
        frames: list[Frame | int] = []
        while True:
            skipped = min(self._to_skip, len(data))
            self._to_skip -= skipped
            self._stream.feed_data(data[skipped:])
            try:
                next(self._parser)
                return frames
            except StopIteration as done:
                frames.append(done.value)
                data = b""
            except PayloadTooBig as too_big:
                size = too_big.size or 0
                frames.append(size)
                # What the parser has not read yet: the mask's four bytes and the payload.
                self._to_skip = size + (4 if self._is_masked else 0)
                data = bytes(self._stream.buffer)
                self._stream.buffer.clear()
            self._parser = self._parse()

    def _parse(self) -> Generator[None, None, Frame]:
        return Frame.parse(
            self._stream.read_exact,
            mask=self._is_masked,
            max_size=LARGEST_FRAME,
            extensions=self._extensions,
        )


def deflate(extensions: str, direction: int) -> list[Extension]:
    """What undoes the compression that the two sides have agreed on."""
    for name, parameters in parse_extension(extensions) if extensions else []:
        if name == "permessage-deflate":
            given = dict(parameters)
            who = "client" if direction == REQUESTS else "server"
            starts_anew = f"{who}_no_context_takeover" in given
            bits = int(given.get(f"{who}_max_window_bits") or 15)
            return [PerMessageDeflate(starts_anew, True, bits, 15)]
    return []


def describe(frame: Frame | int) -> tuple[str, str, bool]:
    """What to call the frame, its content, and whether it is noise."""
    if isinstance(frame, int):
        return f"frame of {frame} bytes", f"Too large to be shown: {frame} bytes.", False
    if frame.opcode is Opcode.CLOSE:
        close = Close.parse(bytes(frame.data))
        return shorten(f"close {int(close.code)} {close.reason}".strip()), str(close), False
    if frame.opcode in (Opcode.PING, Opcode.PONG):
        return frame.opcode.name.lower(), repr(bytes(frame.data)), True
    if frame.opcode is Opcode.BINARY:
        return f"frame, {len(frame.data)} bytes", repr(bytes(frame.data)), False
    text = bytes(frame.data).decode("utf-8", "replace")
    return f"frame {state_in(text) or shorten(text, 40)}", text, False
