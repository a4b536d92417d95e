"""`./course run --wires` from outside: the page, the lines, and the same app behind them."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from course.content.chapters import ROOT
from course.processes import HOST, Process, free_port, wait_for


@contextmanager
def course_run(*arguments: str) -> Iterator[tuple[Process, str]]:
    """A running chapter, and its page's address."""
    port, newsletter = free_port(), free_port()
    command = f"{sys.executable} -m course run --no-open --port {port}"
    command += f" --newsletter-port {newsletter} {' '.join(arguments)}"
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    process = Process("run", command, ROOT, env | {"PYTHONUNBUFFERED": "1"})
    try:
        assert wait_for(lambda: "The page is at" in text_of(process), 40), text_of(process)
        yield process, f"http://{HOST}:{port}"
    finally:
        process.stop()


def text_of(process: Process) -> str:
    return "\n".join(process.lines)


def play_task(url: str) -> str:
    """Send the form, and return the task's id when the task has ended."""
    answer = httpx.post(f"{url}/subscriptions", json={"email": "slow+0.2@example.com"}, timeout=10)
    assert answer.status_code == 202, answer.text
    task_id = str(answer.json()["task_id"])
    status = f"{url}/task_status/{task_id}"
    assert wait_for(lambda: httpx.get(status).json()["state"] == "SUCCESS", 30)
    return task_id


def test_page_is_printed_beside_the_apps() -> None:
    """A bare --wires before the chapter, too: its page has the task that the app was sent."""
    with course_run("--wires", "05") as (process, url):
        assert wait_for(lambda: "The wires are at" in text_of(process), 5)
        found = re.search(r"The wires are at (\S+)", text_of(process))
        assert found, text_of(process)
        assert "The wires" in httpx.get(found[1]).text
        task_id = play_task(url)

        def seen() -> str:
            return httpx.get(f"{found[1]}events.json", params={"task": task_id}).text

        assert wait_for(lambda: "PUBLISH" in seen(), 10), seen()
        for what in ("POST /subscriptions", "LPUSH celery", "POST /subscribers", '"201'):
            assert what in seen()


@pytest.mark.thorough
def test_lines_are_aligned() -> None:
    with course_run("01", "--wires=text") as (process, url):
        task_id = play_task(url)[:4]

        def lines() -> list[str]:
            return [line for line in process.lines if " → " in line and task_id in line]

        assert wait_for(lambda: any("200 SUCCESS" in line for line in lines()), 10), lines()
        for what in ("LPUSH celery", "BRPOP celery", "GET celery-task-meta", "201"):
            assert any(what in line for line in lines()), lines()
        assert len({line.index(" → ") for line in lines()}) == 1
        assert len({line.index(f" {task_id}  ") for line in lines()}) == 1


def test_another_way_is_refused() -> None:
    """One sentence, and nothing is started."""
    process = Process("run", f"{sys.executable} -m course run --wires=x", ROOT, dict(os.environ))
    try:
        assert process.wait(20) == 2
        assert text_of(process) == "Error: --wires=x is not known: it is page or text."
    finally:
        process.stop()


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["--wires=page"], ["--wires=text"]])
def test_nothing_is_left_behind(arguments: list[str]) -> None:
    """After the end, the page's port and the wires' refuse connections."""
    with course_run("01", *arguments) as (process, url):
        found = re.findall(r"http://127\.0\.0\.1:\d+/", text_of(process))
        assert httpx.get(url).status_code == 200
    assert process.exit_code == 128 + 15
    for address in found:
        with pytest.raises(httpx.ConnectError):
            httpx.get(address)
