"""Chapter 3, exercise 2: the web process counts its sockets."""

import uuid
from contextlib import ExitStack

from course.testkit import RunningProject, Web, eventually, expect

VIEWS = "project/ws/views.py"
NOT_TAKEN_AWAY = "nothing takes the socket away again: it takes a `finally` around the view"


def open_now(project: RunningProject, web: Web | None = None) -> object:
    __tracebackhide__ = True
    answer = project.http.get(f"{(web or project.web).url}/ws/open")
    expect(
        "the status of GET /ws/open",
        answer.status_code,
        200,
        usually="there is no such view, or it raises",
        look_at=VIEWS,
    )
    return answer.json().get("open")


def expect_open(project: RunningProject, number: int, when: str, usually: str) -> None:
    __tracebackhide__ = True
    eventually(
        lambda: open_now(project),
        lambda seen: seen == number,
        f'GET /ws/open answers {{"open": {number}}} {when}',
        within=2,
        usually=usually,
        look_at=VIEWS,
    )


def test_open_sockets_are_counted(project: RunningProject) -> None:
    """Each open socket counts, on its own web process, until its client says goodbye."""
    expect_open(project, 0, "before anybody has come", "the count does not begin with 0")
    other = project.another_web()
    with ExitStack() as stack:
        for number in (1, 2, 3):
            stack.enter_context(project.follow(str(uuid.uuid4()))).next()
            expect_open(project, number, f"with {number} open", "the socket is not counted")
        expect("the other web process's count", open_now(project, other), 0, look_at=VIEWS)
    expect_open(project, 0, "when all have left", NOT_TAKEN_AWAY)


def test_broken_connection_no_longer_counts(project: RunningProject) -> None:
    """A client whose connection breaks, without a word, no longer counts."""
    with project.follow(str(uuid.uuid4())) as follower:
        follower.next()
        expect_open(project, 1, "with one open", "the socket is not counted")
        follower.connection.socket.close()
        expect_open(project, 0, "after its connection broke", NOT_TAKEN_AWAY)


def test_socket_that_was_closed_no_longer_counts(project: RunningProject) -> None:
    """A socket that the server closed after the final state no longer counts."""
    with project.follow(project.subscribe("slow+0.3@example.com")) as follower:
        follower.until_final()
        follower.close_code()
        expect_open(project, 0, "after the server closed it", NOT_TAKEN_AWAY)


def test_refused_handshake_does_not_count(project: RunningProject) -> None:
    """A handshake that is refused counts neither way."""
    for _ in range(3):
        project.handshake_status(str(uuid.uuid4()), origin="https://evil.example")
    expect_open(project, 0, "after three refusals", "the count goes up before accept()")
    with project.follow(str(uuid.uuid4())) as follower:
        follower.next()
        expect_open(project, 1, "with one open", "the count goes down for what was refused")
