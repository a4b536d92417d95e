"""How the checker reads what a project says, and what it makes of it."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from course.content.chapters import find_chapter
from course.content.ideas import FAILED, ideas_of
from course.processes.tracebacks import place
from course.testkit.browser import PageLog
from course.testkit.evidence import (
    Complaint,
    Weight,
    in_lines,
    is_in_async_function,
    last_words,
    own_files,
)
from course.testkit.explain import (
    explained,
    find_in_code,
    in_words,
    readable,
    why_it_did_not_start,
)
from course.testkit.records import Record
from course.work.output import MOST_LINES, message
from course.work.session import Decision

VIEWS = """async def publish(info): ...


async def view(info):
    publish(info)


def task(info):
    publish(info)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "views.py").write_text(VIEWS)
    return tmp_path


def complaints(text: str, folder: Path) -> list[Complaint]:
    return list(in_lines("web", text.replace("FOLDER", str(folder)).splitlines(), folder))


UVICORN = """\
INFO:     127.0.0.1:1 - "GET / HTTP/1.1" 200 OK
INFO:     127.0.0.1:1 - "POST /subscriptions HTTP/1.1" 500 Internal Server Error
ERROR:    Exception in ASGI application
  + Exception Group Traceback (most recent call last):
  |   File "/venv/lib/python3.11/site-packages/uvicorn/protocols/http.py", line 4, in run
  |     result = await app(
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "FOLDER/views.py", line 5, in view
    |     publish(info)
    | pydantic_core._pydantic_core.ValidationError: 1 validation error for TaskStatus
    | state
    |   Field required [type=missing, input_value={'task_id': '1'}, input_type=dict]
    |     For further information visit https://errors.pydantic.dev/2.12/v/missing
    +------------------------------------
INFO:     127.0.0.1:1 - "GET / HTTP/1.1" 200 OK
"""


def test_fields_of_a_validation_error_are_read(folder: Path) -> None:
    """An exception in a group: its own line of the project, and the lines after "1 validation"."""
    answered, error = complaints(UVICORN, folder)
    assert answered.text == "answered POST /subscriptions with 500"
    assert error.text.endswith("1 validation error for TaskStatus: state: Field required")
    assert (error.where, error.weight) == ("views.py:5", Weight.OWN_LINE)


LIFESPAN = """\
INFO:     Waiting for application startup.
ERROR:    Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/starlette/routing.py", line 694, in lifespan
    async with self.lifespan_context(app) as maybe_state:
  File "FOLDER/views.py", line 5, in lifespan
    with broadcast:
TypeError: 'Broadcast' object does not support the context manager protocol

ERROR:    Application startup failed. Exiting.
"""


def test_what_the_lifespan_raises_is_read(folder: Path) -> None:
    """uvicorn puts its level in front of the traceback; the process's last words are in it."""
    last = last_words("web", 3, LIFESPAN.replace("FOLDER", str(folder)).splitlines(), folder)
    assert last.where == "views.py:5"
    assert "context manager protocol" in last.text


CELERY = """\
[2026-11-24 15:51:14,846: INFO/MainProcess] Task subscribe[1] received
[2026-11-24 15:51:14,846: ERROR/MainProcess] Received unregistered task of type 'tasks.subscribe'.
The message has been ignored and discarded.
[2026-11-24 15:51:14,846: ERROR/ForkPoolWorker-1] Task subscribe[1] raised unexpected: KeyError('a')
Traceback (most recent call last):
  File "/venv/lib/python3.11/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "FOLDER/views.py", line 9, in task
    publish(info)
KeyError: 'a'
[2026-11-24 15:51:15,846: INFO/MainProcess] Task subscribe[2] received
"""


def test_errors_of_celery_are_read(folder: Path) -> None:
    """Lines at level ERROR, and the exception of a task, once."""
    unregistered, error = complaints(CELERY, folder)
    assert unregistered.text == "Received unregistered task of type 'tasks.subscribe'."
    assert (error.text, error.where) == ("KeyError: 'a'", "views.py:9")
    assert not any("site-packages" in line for line in error.lines)


CHAINED = """\
Traceback (most recent call last):
  File "/venv/redis.py", line 1, in connect
    sock = self._connect()
ConnectionRefusedError: [Errno 111] Connection refused

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "FOLDER/views.py", line 5, in view
    publish(info)
redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.
"""


def test_chained_exceptions_are_one(folder: Path) -> None:
    """Of two exceptions of which one follows from the other, the last is quoted."""
    (error,) = complaints(CHAINED, folder)
    assert error.text.startswith("redis.exceptions.ConnectionError")
    assert "ConnectionRefusedError" in error.all_text
    cause = explained("a", "b", [error], folder)
    assert "REDIS_URL" in cause.usually
    assert cause.look_at == "views.py:5"


@pytest.mark.parametrize(("line", "words"), [(5, "await publish"), (9, "async_to_sync(publish)")])
def test_remedy_fits_its_place(folder: Path, line: int, words: str) -> None:
    """`await` in an async function, async_to_sync in sync code."""
    text = f"FOLDER/views.py:{line}: RuntimeWarning: coroutine 'publish' was never awaited\n  x"
    assert is_in_async_function(f"views.py:{line}", folder) == (line == 5)
    assert words in explained("a", "b", complaints(text, folder), folder).usually


def test_coroutine_thrown_away_elsewhere_is_found(folder: Path) -> None:
    """The warning names a line of a library: the project's own call is looked at."""
    text = "/venv/trace.py:9: RuntimeWarning: coroutine 'publish' was never awaited"
    assert complaints(text, folder)[0].where == "views.py:5"


def test_coroutine_thrown_away_later_is_found(tmp_path: Path) -> None:
    """The warning names the line at which Python noticed: the call above it is looked at."""
    code = "async def publish(): ...\n\n\nasync def view():\n    publish()\n    return 1\n\n"
    (tmp_path / "views.py").write_text(f"{code}async def later():\n    publish()\n")
    text = "FOLDER/views.py:6: RuntimeWarning: coroutine 'publish' was never awaited"
    assert complaints(text, tmp_path)[0].where == "views.py:5"


def test_client_that_left_is_no_reason(folder: Path) -> None:
    """A traceback of an earlier client that left does not explain what another client misses."""
    text = (
        "Traceback (most recent call last):\nstarlette.websockets.WebSocketDisconnect: (1006, '')"
    )
    said = complaints(text, folder)
    failure = explained("a frame within 10 s", "nothing; before that PENDING", said, folder)
    assert (failure.because, failure.usually) == ([], "")
    about_it = explained("no error in the log of the web process", text, said, folder)
    assert "the client left" in about_it.usually


def test_socket_of_another_path(tmp_path: Path) -> None:
    """The page opens a path that no view has: the line with the path is looked at."""
    (tmp_path / "follow.js").write_text("\nopenSocket(`/ws/status/${taskId}`);\n")
    (tmp_path / "wire.js").write_text("export function openSocket(path) {}\n")
    log = PageLog()
    refused = "failed: Error during WebSocket handshake: Unexpected response code: 403"
    log.said.append(
        (f"WebSocket connection to 'ws://a:1/ws/status/1' {refused}", "http://a/wire.js:1")
    )
    failure = explained("the page's line", "PENDING", log.complaints(tmp_path), tmp_path)
    assert failure.look_at == "follow.js:2"
    assert "opens /ws/status/1" in failure.usually


def test_event_of_another_name(tmp_path: Path) -> None:
    """An event that nobody sends is named, for addEventListener() does not say so."""
    (tmp_path / "follow.js").write_text('socket.addEventListener("messages", show);\n')
    failure = explained(
        "the page's line for the state: to contain text 'SUCCESS'",
        "PENDING",
        [],
        tmp_path,
        "test_page_shows_the_result",
    )
    assert failure.look_at == "follow.js:1"
    assert "no event has this name" in failure.usually


def test_script_that_ends_with_0_is_heard(tmp_path: Path) -> None:
    """What Python itself says of a coroutine that was not awaited, at the end of a script."""
    script = tmp_path / "script.py"
    script.write_text("async def publish():\n    pass\n\npublish()\nprint('Published.')\n")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True, timeout=20
    )
    (complaint,) = in_lines("script.py", done.stderr.splitlines(), tmp_path)
    assert complaint.where == "script.py:4"


def test_last_words_of_a_process(folder: Path) -> None:
    """A process that does not start: its own last words, or that it said none."""
    lines = ["Traceback (most recent call last):", "NameError: name 'x' is not defined"]
    problem = why_it_did_not_start("web", 1, lines, folder, 8010, 15)
    assert "NameError: name 'x'" in problem.seen
    assert last_words("web", 1, ["one", "two"], folder).text == "it ended with exit code 1: two"
    waits = why_it_did_not_start("web", None, ["still waiting"], folder, 8010, 15)
    assert "it said last: still waiting" in waits.seen
    assert "without a word" in why_it_did_not_start("web", 1, [], folder, None, 15).usually


def test_where_no_rule_fits_nothing_is_guessed(folder: Path) -> None:
    """What was said is quoted, and no meaning is given to it."""
    unknown = Complaint("web", "FrobnicationError: no frob", Weight.OWN_LINE, "views.py:5")
    failure = explained("a", "b", [unknown], folder)
    assert failure.usually == ""
    assert failure.because == ["web: FrobnicationError: no frob (views.py, line 5)"]


ACCIDENTS = [
    (httpx.ReadTimeout("timed out"), "none in the time that the check waits"),
    (httpx.ConnectError("x"), "nothing listens at the web process's port"),
    (KeyError("task_id"), "an answer without it"),
    (AssertionError("Locator expected to have text re.compile('PENDING|STARTED')\n"
     "Actual value: SUCCESS \nCall log:\n  - waiting for get_by_role(\"status\")"), "SUCCESS"),
]  # fmt: skip


@pytest.mark.parametrize(("error", "seen"), ACCIDENTS)
def test_no_name_of_a_test_tool_is_shown(error: BaseException, seen: str) -> None:
    """Timeouts, missing fields and the browser's expectations are said in words."""
    expected, text = in_words(error, Record())
    assert seen in text
    for name in ("re.compile", "Locator", "Timeout", "KeyError", "Call log", "ConnectError"):
        assert name not in expected + text
    assert readable("re.compile('^a|b')") == "'a' or 'b'"


def test_message_is_short(folder: Path) -> None:
    """At most ten lines, however much was said; ideas of one cause stand under it."""
    error = Complaint("web", "KeyError: 'a'\n" * 30, Weight.ERROR, lines=["line"] * 30)
    failure = explained("x " * 500, "y\n" * 50, [error] * 3, folder)
    ideas = ideas_of(find_chapter("01"))
    same = [Decision(idea, FAILED, 0.0, failure) for idea in ideas]
    short = message(same, folder, False)
    assert len(short) <= MOST_LINES
    assert all("\n" not in line.plain and len(line.plain) < 450 for line in short)
    assert len(message(same, folder, True)) > MOST_LINES


def test_what_cannot_be_read_is_no_evidence(tmp_path: Path) -> None:
    """A folder called like a script, a dangling link, a name that is too long: no error."""
    (tmp_path / "static" / "chart.js").mkdir(parents=True)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "main.py").write_text("app = 1\n")
    assert list(own_files(tmp_path, ".js")) == []
    assert list(own_files(tmp_path)) == [tmp_path / "main.py"]
    assert find_in_code("app", tmp_path) == "main.py:1"
    assert place("x" * 300 + ".py", "1", tmp_path) == ""
