"""Chapter 6: a task belongs to the browser that started it."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from websockets.sync.client import connect
from websockets.typing import Origin

from course.testkit import Follower, RunningProject, expect, expect_that

SESSIONS = "project/sessions.py"
VIEWS = "project/subscriptions/views.py"
LONG_SECRET = "a secret that is long enough for the tests, and no other use"


@contextmanager
def stranger(project: RunningProject) -> Iterator[httpx.Client]:
    """Another browser, with a session and a task of its own."""
    with httpx.Client(base_url=project.url, timeout=15) as client:
        answer = client.post("/subscriptions", json={"email": "slow+0@example.com"})
        expect("the status of a stranger's own POST", answer.status_code, 202, look_at=VIEWS)
        yield client


def close_code(project: RunningProject, task_id: str, headers: dict[str, str]) -> int | None:
    """How the server closes the task's socket for a client with these headers, and no frame."""
    with connect(
        project.web.task_socket(task_id),
        origin=Origin(project.web.origin),
        additional_headers=headers,
    ) as connection:
        follower = Follower(connection)
        code = follower.close_code()
        expect(
            "the frames before the socket is closed with 4404",
            follower.received,
            [],
            usually="the task's owner is not compared with the client's session",
            look_at="project/ws/hub.py",
        )
        return code


def test_stranger_with_the_id_gets_nothing(project: RunningProject) -> None:
    """Who knows the id, and has another session or none, gets what a task that is not gets."""
    task_id = project.subscribe("slow+0@example.com")
    project.until_final(task_id)
    with stranger(project) as other, httpx.Client(base_url=project.url) as nobody:
        unknown = other.get(f"/task_status/{uuid.uuid4()}")
        for client in (other, nobody):
            answer = client.get(f"/task_status/{task_id}")
            expect(
                "the status of a stranger's GET",
                answer.status_code,
                404,
                usually="the task's owner is not compared with the client's session",
                look_at=VIEWS,
            )
            expect("the answer's text", answer.text, unknown.text, look_at=VIEWS)
        cookies = "; ".join(f"{one.name}={one.value}" for one in other.cookies.jar)
        for headers in ({"Cookie": cookies}, {}):
            code = close_code(project, task_id, headers)
            expect("the code for another's task", code, 4404, look_at="project/ws/hub.py")
            code = close_code(project, str(uuid.uuid4()), headers)
            expect("the code for a task that is not", code, 4404, look_at="project/ws/hub.py")


def test_stranger_hears_no_end(project: RunningProject) -> None:
    """A stranger who follows before the task ends is closed at once, and the owner is notified."""
    task_id = project.subscribe("slow+1@example.com")
    with project.follow(task_id) as owner:
        expect("the code for a stranger", close_code(project, task_id, {}), 4404)
        expect("the last state for the owner", owner.until_final()["state"], "SUCCESS")


def test_forged_cookie_is_no_session(project: RunningProject) -> None:
    """A cookie whose signature is wrong is treated as none."""
    task_id = project.subscribe("slow+0@example.com")
    name, value = next((one.name, str(one.value)) for one in project.http.cookies.jar)
    data, *signature = value.strip('"').split(".")
    forged = ".".join([data, *signature[:-1], "A" * len(signature[-1])])
    with httpx.Client(base_url=project.url, headers={"Cookie": f"{name}={forged}"}) as client:
        status = client.get(f"/task_status/{task_id}").status_code
        expect("the status with a forged cookie", status, 404, look_at=SESSIONS)
    code = close_code(project, task_id, {"Cookie": f"{name}={forged}"})
    expect("the code with a forged cookie", code, 4404, look_at=SESSIONS)


def test_cookie_is_out_of_a_scripts_reach(project: RunningProject) -> None:
    """The cookie is HttpOnly and SameSite=Lax; in production it is Secure as well."""
    with httpx.Client() as client:
        answer = client.post(f"{project.url}/subscriptions", json={"email": "slow+0@example.com"})
        cookie = answer.headers["set-cookie"].lower()
        expect_that(
            "httponly" in cookie and "samesite=lax" in cookie,
            "a cookie with HttpOnly and SameSite=Lax",
            cookie,
            usually="with another SameSite the cookie comes with other sites' requests, too",
            look_at=SESSIONS,
        )
        web = project.web_with(ENVIRONMENT="production", SESSION_SECRET=LONG_SECRET)
        answer = client.post(f"{web.url}/subscriptions", json={"email": "slow+0@example.com"})
        cookie = answer.headers["set-cookie"].lower()
        expect_that(
            bool(re.search(r"; secure\b", cookie)),
            "a Secure cookie with ENVIRONMENT=production",
            cookie,
            usually="the cookie would be sent over plain HTTP, too: https_only in production",
            look_at=SESSIONS,
        )


@pytest.mark.parametrize(
    "secret",
    [None, "short", "for development alone, whatever else is said: it is in the repository"],
)
def test_production_needs_a_secret(project: RunningProject, secret: str | None) -> None:
    """In production a secret that is missing, short or the default stops the start."""
    settings = {"ENVIRONMENT": "production"} | ({"SESSION_SECRET": secret} if secret else {})
    process = project.launch_web(None, **settings).process
    code = process.wait(15)
    process.kill()
    output = "\n".join(process.lines)
    expect(
        "the exit code of a web process without a good SESSION_SECRET",
        code,
        1,
        usually="the lifespan does not require a secret in production",
        look_at="project/app.py",
    )
    expect_that("SESSION_SECRET" in output, "a sentence that names SESSION_SECRET", output)
    expect_that("Traceback" not in output, "a sentence, and no traceback", output)


def test_repeated_request_starts_one_task(project: RunningProject) -> None:
    """The same Idempotency-Key gets the same task; a stranger's same key gets another."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    email = {"email": f"slow+0.2@{uuid.uuid4().hex}.example.com"}
    url = f"{project.url}/subscriptions"
    answers = [project.http.post(url, json=email, headers=key) for _ in range(3)]
    ids = {answer.json()["task_id"] for answer in answers}
    expect(
        "the number of tasks for one Idempotency-Key",
        len(ids),
        1,
        usually="the task's id is not made from the key",
        look_at=SESSIONS,
    )
    with stranger(project) as other:
        others = other.post("/subscriptions", json=email, headers=key).json()["task_id"]
    expect_that(
        others not in ids,
        "another task for another browser with the same key",
        f"the same task, {others}",
        usually="the task's id is made from the key alone, without the session",
        look_at=SESSIONS,
    )
    project.until_final(ids.pop())
    again = project.http.post(url, json=email).json()["task_id"]
    expect_that(again not in ids, "a new task without a key", again, look_at=SESSIONS)


def test_first_visit_starts_one_task(project: RunningProject) -> None:
    """A browser's first request is repeated, as its answer was lost: it starts one task."""
    email = {"email": f"slow+0.1@{uuid.uuid4().hex}.example.com"}
    key = {"Idempotency-Key": uuid.uuid4().hex}
    with httpx.Client(base_url=project.url, timeout=15) as client:
        cookies = client.get("/").cookies
    # What the answers to the POST set is lost with them.
    answers = [
        httpx.post(f"{project.url}/subscriptions", json=email, headers=key, cookies=cookies)
        for _ in range(2)
    ]
    expect(
        "the number of tasks for one Idempotency-Key of a new browser",
        len({answer.json()["task_id"] for answer in answers}),
        1,
        usually="the session begins with the POST: a POST whose answer is lost has none",
        look_at=VIEWS,
    )


def test_key_of_another_request_is_another_task(project: RunningProject) -> None:
    """The same Idempotency-Key with another address starts a task for that address."""
    key = {"Idempotency-Key": uuid.uuid4().hex}
    ids = []
    for _ in range(2):
        email = {"email": f"slow+0.1@{uuid.uuid4().hex}.example.com"}
        answer = project.http.post(f"{project.url}/subscriptions", json=email, headers=key)
        ids.append(answer.json()["task_id"])
    expect_that(
        ids[0] != ids[1],
        "another task for another address",
        f"the same task, {ids[0]}",
        usually="the task's id is made from the key alone, without the content of the request",
        look_at=SESSIONS,
    )
