"""The app itself, over HTTP: the same in every chapter."""

import signal
import time
import uuid
from collections.abc import Callable

import httpx
import pytest

from course.testkit import NotAsExpected, RunningProject, ahead, eventually, expect, expect_that

APP = "project/app.py"
VIEWS = "project/subscriptions/views.py"
SCHEMAS = "project/subscriptions/schemas.py"
TASKS = "project/subscriptions/tasks.py"
CELERY = "project/celery_utils.py"
NO_ERROR = "of a task that failed, AsyncResult.result is the exception: its text is the error"
FIELDS = {"task_id", "state", "result", "error"}


def test_project_starts(project: RunningProject) -> None:
    """The project starts: its web process, its worker and the newsletter service."""
    alive = {process.name for process in project.processes if process.exit_code is None}
    expect("the processes that run", sorted(alive), ["newsletter", "web", "worker"])


def test_page_is_served(project: RunningProject) -> None:
    """The page with the form is served at /."""
    answer = project.http.get(f"{project.url}/")
    expect("the status of GET /", answer.status_code, 200, look_at=VIEWS)
    expect_that("<form" in answer.text, "the page holds a form", answer.text[:200], look_at=VIEWS)


def test_subscription_is_accepted_at_once(project: RunningProject) -> None:
    """The answer to a subscription does not wait for the task."""
    start = time.monotonic()
    answer = project.post("slow+5@example.com")
    seconds = time.monotonic() - start
    expect(
        "the status of POST /subscriptions",
        answer.status_code,
        202,
        usually="the view does the work itself: let it start a Celery task, and answer 202 at once",
        look_at=VIEWS,
    )
    task_id = answer.json().get("task_id")
    expect_that(
        seconds < 4,
        "an answer while the task still runs",
        f"an answer after {seconds:.1f} s",
        usually="the view calls the task as a function; call .delay()",
        look_at=VIEWS,
    )
    expect_that(bool(task_id), "the task's id in the answer", answer.text[:200], look_at=VIEWS)
    location = answer.headers.get("location")
    expect(
        "the Location header",
        location,
        f"/task_status/{task_id}",
        usually="the view does not set response.headers",
        look_at=VIEWS,
    )
    uuid.UUID(task_id)


@pytest.mark.parametrize("email", ["", "ada", "ada@", "@example.com", "a b@example.com", 7, None])
def test_bad_address_is_refused(project: RunningProject, email: object) -> None:
    """What is no e-mail address is answered with 422, and starts no task."""
    answer = project.post(email)
    expect(
        f"the status of POST /subscriptions with {email!r}",
        answer.status_code,
        422,
        usually="the field is a plain str; EmailStr checks it",
        look_at=SCHEMAS,
    )


@pytest.mark.parametrize(
    "body",
    [b'{"email":NaN}', b'{"email":1e999}', rb'{"email":"\ud800@example.com"}', rb'{"\ud800":1}'],
)
def test_unusual_body_is_refused(project: RunningProject, body: bytes) -> None:
    """A body that holds what JSON cannot is answered with 422, too: no 500."""
    answer = project.http.post(
        f"{project.url}/subscriptions", content=body, headers={"Content-Type": "application/json"}
    )
    expect(
        f"the status of POST /subscriptions with {body!r}",
        answer.status_code,
        422,
        usually="FastAPI's answer repeats the input, which cannot be sent as JSON: "
        "handle RequestValidationError, and leave the input out",
        look_at=APP,
    )
    expect_that("detail" in answer.json(), "a detail", answer.text[:200], look_at=APP)


def test_unknown_task_is_pending(project: RunningProject) -> None:
    """A task that was never started is PENDING: Celery cannot tell it from one that waits."""
    task_id = str(uuid.uuid4())
    if project.ask_status(task_id).status_code == 404:
        project.status(project.subscribe("ada@example.com"))  # it is not all tasks that it refuses
        ahead("chapter 6 keeps a record of each task, and answers 404 for others")
    status = project.status(task_id)
    expect("the state of an unknown task", status["state"], "PENDING", look_at=CELERY)


def test_task_status_leads_to_success(project: RunningProject) -> None:
    """A task that works ends as SUCCESS, with a result and no error."""
    task_id = project.subscribe("slow+0.3@example.com")
    status = project.until_final(task_id)
    expect_that(status.keys() >= FIELDS, f"the fields {FIELDS}", status, look_at=CELERY)
    expect("the state", status["state"], "SUCCESS", look_at=TASKS)
    expect("the task id", status["task_id"], task_id)
    expect_that(status["result"] is not None, "a result", status, look_at=TASKS)
    expect("the error", status["error"], None)


def test_refusal_is_a_clear_failure(project: RunningProject) -> None:
    """An address that is refused ends as FAILURE, with an error and without a result."""
    status = project.until_final(project.subscribe("refused@example.com"))
    expect(
        "the state",
        status["state"],
        "FAILURE",
        usually="the task does not look at the status of the service's answer",
        look_at=TASKS,
    )
    expect("the result", status["result"], None, usually=NO_ERROR, look_at=CELERY)
    expect_that(
        bool(status["error"]),
        "an error that says what happened",
        status,
        usually=NO_ERROR,
        look_at=CELERY,
    )
    expect_that(
        " " in str(status["error"]),
        "an error that a person may read",
        status["error"],
        usually="of an exception that is no PublicError its name alone is shown",
        look_at=TASKS,
    )


def test_busy_service_is_tried_again(project: RunningProject) -> None:
    """A service that is busy is tried again, and the state meanwhile is RETRY."""
    task_id = project.subscribe(f"busy+1@{uuid.uuid4().hex}.example.com")
    eventually(
        lambda: project.status(task_id)["state"],
        lambda state: state in ("RETRY", "FAILURE", "SUCCESS"),
        "the state is RETRY",
        within=5,
    )
    expect(
        "the state after the service was busy once",
        project.status(task_id)["state"],
        "RETRY",
        usually="the task has no autoretry_for the answer 503",
        look_at=TASKS,
    )
    expect("the state in the end", project.until_final(task_id)["state"], "SUCCESS", look_at=TASKS)


@pytest.mark.parametrize("task_id", ["1", "no-uuid", "0" * 10_000, "%00"])
def test_bad_task_id_is_refused(project: RunningProject, task_id: str) -> None:
    """A task id that is no UUID is answered with 422."""
    answer = project.http.get(f"{project.url}/task_status/{task_id}")
    expect(
        f"the status of GET /task_status/{task_id[:20]}",
        answer.status_code,
        422,
        usually="the path parameter is a str; UUID checks it",
        look_at=VIEWS,
    )


def test_redis_away_is_said_at_once(own_project: Callable[..., RunningProject]) -> None:
    """While Redis hangs or is away, requests are answered with 503 and Retry-After soon."""
    project = own_project("web")
    status = f"{project.url}/task_status/{project.subscribe('a@example.com')}"
    project.redis.signal(signal.SIGSTOP)
    check_503("POST /subscriptions while Redis hangs", lambda: project.post("a@example.com"), 6)
    check_503("GET /task_status while Redis hangs", lambda: project.http.get(status), 6)
    project.redis.signal(signal.SIGCONT)

    project.redis.client.delete("celery")  # its tasks, so that none is queued
    project.redis.kill()
    for attempt in (1, 2):  # the second finds the connections broken
        check_503(f"POST /subscriptions, attempt {attempt}", lambda: project.post("a@example.com"))
        check_503(f"GET /task_status, attempt {attempt}", lambda: project.http.get(status))

    project.redis.start()
    expect("tasks queued while Redis was away", project.redis.client.llen("celery"), 0)
    answer = project.post("a@example.com")
    expect("the status of POST once Redis is back", answer.status_code, 202, look_at=CELERY)


def check_503(what: str, request: Callable[[], httpx.Response], within: float = 3) -> None:
    __tracebackhide__ = True
    start = time.monotonic()
    try:
        answer = request()
    except httpx.ReadTimeout:
        raise NotAsExpected(
            f"an answer to {what} within {within:g} s",
            "none",
            "nothing limits how long Celery and its result backend wait for Redis: "
            "socket_timeout and redis_socket_timeout do",
            CELERY,
        ) from None
    seconds = time.monotonic() - start
    expect(
        f"the status of {what}",
        answer.status_code,
        503,
        usually="the app has no exception handler for this error of Redis or of kombu"
        if answer.status_code == 500
        else "the exception handler answers with another status",
        look_at=APP,
    )
    expect_that(
        "retry-after" in answer.headers,
        "a Retry-After header",
        dict(answer.headers),
        usually="the exception handler answers 503 and no more",
        look_at=APP,
    )
    expect_that(
        seconds < within,
        f"an answer to {what} within {within:g} s",
        f"one after {seconds:.1f} s",
        usually="Celery tries again and again: give it time limits and few retries",
        look_at=CELERY,
    )
