"""How the processes start and end: the same in every chapter."""

import re
import socket
import time
from pathlib import Path

import pytest

from course.processes import HOST, Process
from course.testkit import RunningProject, expect_that

CONFIG = "project/config.py"
LIMIT = 15  # seconds: three times what it should take, as machines are busy


@pytest.mark.depends_on(CONFIG)
def test_wrong_setting_stops_the_start(project: RunningProject) -> None:
    """A setting that is wrong stops the process soon, with one clear sentence."""
    wrong = [
        ("web", "CELERY_RESULT_BACKEND", f"redis://{HOST}:1/0"),
        ("worker", "CELERY_BROKER_URL", "amqp://127.0.0.1/"),
        ("web", "CELERY_BROKER_URL", f"{project.redis.url.rpartition('/')[0]}/x"),
    ]
    launched = [launch(project, name, setting, value) for name, setting, value in wrong]
    for (name, setting, value), process in zip(wrong, launched, strict=True):
        code = process.wait(LIMIT)
        process.kill()
        output = "\n".join(process.lines)
        expect_that(
            code is not None,
            f"the {name} process ends within {LIMIT} s with {setting}={value}",
            f"it runs on; its output: {output[-500:]}",
            usually="no code checks the setting before it is used",
            look_at=CONFIG,
        )
        expect_that(code != 0, f"the {name} process ends with an error", f"exit code {code}")
        expect_that(
            "Traceback" not in output and setting in output,
            f"one sentence that names {setting}",
            output[-500:],
            usually="the error is not caught where the settings are read",
            look_at=CONFIG,
        )


def launch(project: RunningProject, name: str, setting: str, value: str) -> Process:
    if name == "worker":
        return project.launch_worker(**{setting: value})
    return project.launch_web(None, **{setting: value}).process


def test_web_process_ends_soon(project: RunningProject) -> None:
    """After SIGTERM the web process is gone within 3 seconds."""
    web = project.another_web()
    start = time.monotonic()
    code = project.end_web(web)
    seconds = time.monotonic() - start
    expect_that(
        code is not None and seconds < 3,
        "the web process ends within 3 s of SIGTERM",
        f"exit code {code} after {seconds:.1f} s",
        usually="something in the lifespan, or a thread, waits without a limit",
        look_at="project/app.py",
    )


@pytest.mark.depends_on("Procfile")
def test_half_a_request_does_not_delay_the_end(project: RunningProject) -> None:
    """After SIGTERM the web process waits 3 seconds at most for a request that is half sent."""
    web = project.another_web()
    with socket.create_connection((HOST, web.port)) as client:
        head = "POST /subscriptions HTTP/1.1", f"Host: {HOST}:{web.port}", "Content-Length: 100"
        client.sendall("\r\n".join([*head, "Content-Type: application/json", "", "{"]).encode())
        start = time.monotonic()
        code = project.end_web(web)
        seconds = time.monotonic() - start
    expect_that(
        code is not None and seconds < 6,
        "the web process ends within 6 s of SIGTERM",
        f"exit code {code} after {seconds:.1f} s",
        usually="uvicorn waits for its clients without a limit: --timeout-graceful-shutdown 3",
        look_at="Procfile",
    )


def test_procfile_takes_ports_from_the_environment(folder: Path) -> None:
    """The Procfile's processes listen where WEB_PORT and NEWSLETTER_PORT say."""
    text = (folder / "Procfile").read_text()
    for variable, default in (("WEB_PORT", 8010), ("NEWSLETTER_PORT", 8011)):
        expect_that(
            bool(re.search(rf"\$\{{{variable}:-{default}}}", text)),
            f"${{{variable}:-{default}}} in the Procfile",
            text,
            usually="the port is a number there, or the variable has another name",
            look_at="Procfile",
        )
