"""Chapter 1, exercise 2: an answer that has not changed is not sent again."""

import uuid

import httpx

from course.testkit import RunningProject, eventually, expect, expect_that

VIEWS = "project/subscriptions/views.py"


def ask(project: RunningProject, task_id: str, tag: str | None = None) -> httpx.Response:
    headers = {"If-None-Match": tag} if tag else {}
    return project.http.get(f"{project.url}/task_status/{task_id}", headers=headers)


def tag_of(answer: httpx.Response) -> str:
    __tracebackhide__ = True
    tag = str(answer.headers.get("ETag", ""))
    expect_that(
        len(tag.removeprefix("W/")) > 2 and tag.endswith('"'),
        'a header ETag: a text in double quotes, such as "5f3a"',
        f"ETag: {tag}" if tag else "no header ETag",
        usually="the view returns the status alone: set the header on the Response",
        look_at=VIEWS,
    )
    return tag


def test_answer_has_a_tag(project: RunningProject) -> None:
    """Each answer has an entity tag, the same one as long as nothing changes."""
    task_id = str(uuid.uuid4())
    first, second = ask(project, task_id), ask(project, task_id)
    expect(
        "the tag of the same answer, asked for again",
        tag_of(second),
        tag_of(first),
        usually="the tag is made from something that changes, such as the time or hash()",
        look_at=VIEWS,
    )
    expect("the state of an unknown task", first.json()["state"], "PENDING", look_at=VIEWS)


def test_nothing_new_is_304(project: RunningProject) -> None:
    """Who shows the tag of the last answer gets a 304 without a body."""
    task_id = str(uuid.uuid4())
    tag = tag_of(ask(project, task_id))
    again = ask(project, task_id, tag)
    expect(
        "the status of an answer that is the same",
        again.status_code,
        304,
        usually="the view does not look at If-None-Match, or compares without the quotes",
        look_at=VIEWS,
    )
    expect("the body of a 304", again.content, b"", look_at=VIEWS)
    expect("the tag of a 304", tag_of(again), tag, look_at=VIEWS)
    other = ask(project, task_id, '"some other tag"')
    expect("the status of an answer to another tag", other.status_code, 200, look_at=VIEWS)
    expect("the state in it", other.json()["state"], "PENDING", look_at=VIEWS)


def test_change_is_not_kept_back(project: RunningProject) -> None:
    """When the task goes on, the tag of before gets a 200 with the new state and a new tag."""
    task_id = project.subscribe("slow+0.6@example.com")
    eventually(
        lambda: project.status(task_id)["state"], lambda s: s == "STARTED", "it starts", within=5
    )
    tag = tag_of(ask(project, task_id))
    changed = eventually(
        lambda: ask(project, task_id, tag),
        lambda answer: answer.status_code != 304,
        "an answer other than 304 to the tag of before the end",
        within=4,
        usually="the tag is made from the task's id alone: make it from the whole answer",
        look_at=VIEWS,
    )
    expect("its status", changed.status_code, 200, look_at=VIEWS)
    expect("its state", changed.json()["state"], "SUCCESS", look_at=VIEWS)
    expect_that(tag_of(changed) != tag, "another tag", tag, look_at=VIEWS)
