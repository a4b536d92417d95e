"""`./course run` from outside: everything starts, everything ends."""

import os
import pty
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from command import COURSE, course, start_course

from course.content.causes import general_rules
from course.content.chapters import ROOT, all_chapters
from course.processes import (
    HOST,
    Process,
    ProjectProblem,
    Redis,
    RedisProblem,
    answers,
    free_port,
    is_free,
    project_environment,
    read_procfile,
    wait_for,
)
from course.processes.interrupts import ENDING
from course.processes.process import LONGEST_LINE
from course.processes.tree import commands_of, is_alive, relatives
from course.testkit import running

RUN = [*COURSE, "run", "--no-open"]


@pytest.fixture(autouse=True)
def signals_are_heard() -> Iterator[None]:
    """Under nohup, too: what is ignored here would be ignored by what is started here."""
    ignored = [number for number in ENDING if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def course_run(*arguments: object, **env: str) -> Iterator[Process]:
    process = start_course("run", "--no-open", *arguments, **env)
    try:
        yield process
    finally:
        process.stop()


def family(process: Process) -> list[psutil.Process]:
    return relatives(process.pid)


def gone(members: list[psutil.Process]) -> bool:
    return not any(map(is_alive, members))


def text_of(process: Process) -> str:
    return "\n".join(process.lines)


# The other two come from a terminal: test_end_of_the_terminal_ends_everything.
QUICK = (signal.SIGINT, signal.SIGTERM)
RARE = [
    pytest.param(number, marks=pytest.mark.thorough) for number in ENDING if number not in QUICK
]


@pytest.mark.parametrize("number", [*QUICK, *RARE])
def test_signal_ends_everything(number: signal.Signals, tmp_path: Path) -> None:
    """The page answers; a signal then leaves no process, no port and no file."""
    web, newsletter = free_port(), free_port()
    arguments = ("05", "--port", web, "--newsletter-port", newsletter)
    with course_run(*arguments, TMPDIR=str(tmp_path)) as process:
        assert wait_for(lambda: "The page is at" in text_of(process), 30), text_of(process)
        assert httpx.get(f"http://{HOST}:{web}/").status_code == 200
        members = family(process)
        assert len(members) >= 4, "web, worker, newsletter and Redis"
        os.kill(process.pid, number)
        assert process.wait(10) == 128 + number, text_of(process)
        assert wait_for(lambda: gone(members), 5)
        assert is_free(web)
        assert is_free(newsletter)
        assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_early_interrupt_ends_everything() -> None:
    """An interrupt while the processes are being started ends them too."""
    with course_run("05", "--port", free_port(), "--newsletter-port", free_port()) as process:
        assert wait_for(lambda: "Redis at" in text_of(process), 20)
        members = family(process)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(10) == 128 + signal.SIGINT, text_of(process)
        assert wait_for(lambda: gone(members), 5)


def read_until(terminal: int, words: str, within: float = 30) -> None:
    """Read what is written to a terminal until the words have come."""
    written, end = b"", time.monotonic() + within
    while words.encode() not in written:
        left = end - time.monotonic()
        assert select.select([terminal], [], [], max(0, left))[0], written.decode()
        written += os.read(terminal, 65536)


@pytest.mark.parametrize("how", ["closed", "Ctrl-\\"])
def test_end_of_the_terminal_ends_everything(how: str, tmp_path: Path) -> None:
    """A real terminal is closed, so that each write to it fails; or sends SIGQUIT."""
    ports = ["--port", str(free_port()), "--newsletter-port", str(free_port())]
    command = [*RUN, "01", *ports]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, environment)
    try:
        read_until(terminal, "The page is at")
        members = relatives(pid)
        assert len(members) >= 4, "web, worker, newsletter and Redis"
        if how == "closed":
            os.close(terminal)
        else:
            os.write(terminal, b"\x1c")
            read_until(terminal, "ending all processes")
        assert wait_for(lambda: os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None, 15)
        assert wait_for(lambda: gone(members), 5), commands_of(members)
        assert list(tmp_path.iterdir()) == []
    finally:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if how != "closed":
            os.close(terminal)


@pytest.mark.thorough
@pytest.mark.parametrize("state", ["01", "05.2"])
def test_kill_leaves_no_orphans(state: str, tmp_path: Path) -> None:
    """SIGKILL cannot be caught: the guard ends what was started, and removes the folders: that of
    Redis, and the one that a step's app was made in.
    """
    ports = ("--port", free_port(), "--newsletter-port", free_port())
    with course_run(state, *ports, TMPDIR=str(tmp_path)) as process:
        assert wait_for(lambda: "The page is at" in text_of(process), 30), text_of(process)
        members = family(process)
        assert len(members) >= 4
        os.kill(process.pid, signal.SIGKILL)
        assert wait_for(lambda: gone(members), 10), commands_of(members)
        assert wait_for(lambda: list(tmp_path.iterdir()) == [], 2), list(tmp_path.iterdir())


@pytest.mark.thorough
def test_task_under_way_is_finished(tmp_path: Path) -> None:
    """Ctrl-C signals the worker, not its pool processes: a running task ends with its result."""
    server = Redis().start()
    try:
        port = free_port()
        ports = ("--port", port, "--newsletter-port", free_port())
        with course_run("01", *ports, REDIS_URL=server.url) as process:
            assert wait_for(lambda: " ready." in text_of(process), 30), text_of(process)
            assert wait_for(lambda: "The page is at" in text_of(process), 30), text_of(process)
            body = {"email": "slow+2@example.com"}
            answer = httpx.post(f"http://{HOST}:{port}/subscriptions", json=body)
            key = f"celery-task-meta-{answer.json()['task_id']}"

            def stored() -> str:
                return str(server.client.get(key))

            assert wait_for(lambda: '"STARTED"' in stored(), 10)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(10) == 130, text_of(process)
            assert '"SUCCESS"' in stored()
    finally:
        server.stop()


@pytest.mark.thorough
def test_kit_ends_a_worker_as_gently() -> None:
    """The test kit, too, leaves a worker's pool processes to the worker."""
    with running(ROOT / "chapters" / "01-polling") as project:
        task_id = project.subscribe("slow+1@example.com")
        assert wait_for(lambda: project.status(task_id)["state"] == "STARTED", 10)
        assert project.end(project.worker) == 0
        assert project.status(task_id)["state"] == "SUCCESS"


@pytest.mark.thorough
def test_killed_worker_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed worker leaves among the temporary files goes with the project."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)  # it is looked up anew
    with running(ROOT / "chapters" / "01-polling") as project:
        os.killpg(project.worker.pid, signal.SIGKILL)
        assert wait_for(lambda: project.worker.exit_code is not None, 5)
        assert list(tmp_path.rglob("pymp-*")), "a worker makes one, and removes it when it ends"
    assert list(tmp_path.iterdir()) == []


def test_what_a_shell_leaves_behind_is_ended(tmp_path: Path) -> None:
    """A command of several programs: when the shell has ended, they are ended, too."""
    process = Process("web", "sleep 1000 & sleep 1000 & wait", tmp_path, dict(os.environ))
    assert wait_for(lambda: len(family(process)) == 2, 10)
    members = family(process)
    process.stop()
    assert wait_for(lambda: gone(members), 5)


def test_line_without_an_end_is_bounded(tmp_path: Path) -> None:
    """Output without newlines is kept in pieces; too much of it ends the process, in words."""
    script = tmp_path / "flood.py"
    script.write_text("while True: print('x' * 10_000, end='')")
    process = Process(
        "web", f"{sys.executable} flood.py", tmp_path, dict(os.environ), most_output=5_000_000
    )
    assert process.wait(20) == 128 + signal.SIGKILL
    assert max(map(len, process.lines)) <= LONGEST_LINE
    assert "the course ended this process: it wrote 5," in process.lines[-1]


@pytest.mark.thorough
def test_background_job_hears_an_interrupt() -> None:
    """A script's `./course run &` has SIGINT ignored, and `kill -INT` ends it all the same."""
    ports = f"--port {free_port()} --newsletter-port {free_port()}"
    command = f"(trap '' INT; exec {shlex.join(RUN)} 01 {ports})"
    process = Process("run", command, ROOT, os.environ | {"PYTHONUNBUFFERED": "1"})
    try:
        assert wait_for(lambda: "The page is at" in text_of(process), 30), text_of(process)
        members = family(process)
        process.signal(signal.SIGINT)
        assert process.wait(10) == 130, text_of(process)
        assert wait_for(lambda: gone(members), 5)
    finally:
        process.stop()


@pytest.mark.thorough
def test_reader_of_the_log_may_end_first() -> None:
    """`./course run | tee log`: Ctrl-C ends tee, too, and all processes all the same."""
    ports = ["--port", str(free_port()), "--newsletter-port", str(free_port())]
    running = subprocess.Popen(
        [*RUN, "01", *ports], cwd=ROOT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert running.stdout
    while "The page is at" not in running.stdout.readline():
        assert running.poll() is None
    members = relatives(running.pid)
    assert len(members) >= 4
    running.stdout.close()
    os.kill(running.pid, signal.SIGINT)
    assert running.wait(15) == 130
    assert wait_for(lambda: gone(members), 5)


@pytest.mark.thorough
@pytest.mark.parametrize("number", ENDING)
def test_tests_can_be_interrupted(number: signal.Signals, tmp_path: Path) -> None:
    """`./course test`, ended in the middle, leaves no process and no file."""
    command = f"{sys.executable} -m course test 01 -p no:cacheprovider -k test_busy_service"
    process = Process("test", command, ROOT, os.environ | {"TMPDIR": str(tmp_path)})
    try:
        assert wait_for(lambda: "uvicorn" in commands_of(family(process)), 40), text_of(process)
        members = family(process)
        os.kill(process.pid, number)
        assert process.wait(20) == 2, text_of(process)  # pytest's code for an interruption
        assert wait_for(lambda: gone(members), 5), commands_of(list(filter(is_alive, members)))
        assert not list(tmp_path.glob("course-*"))
    finally:
        process.kill()


@pytest.mark.thorough
def test_dying_process_ends_the_rest(tmp_path: Path) -> None:
    """When one process dies, the rest end, and its exit code and last lines are passed on."""
    web = free_port()
    with course_run("01", "--port", web, "--newsletter-port", free_port()) as process:
        assert wait_for(lambda: "The page is at" in text_of(process), 30), text_of(process)
        members = family(process)
        worker = next(m for m in members if "celery" in " ".join(m.cmdline()))
        worker.kill()
        assert process.wait(15) == 128 + signal.SIGKILL
        assert "worker has ended with exit code 137" in text_of(process)
        assert wait_for(lambda: gone(members), 5)


def test_taken_port_is_named() -> None:
    """A port that is taken is named, with the way to choose another, and nothing is started."""
    import socket

    with socket.create_server((HOST, 0)) as taken:
        port = taken.getsockname()[1]
        with course_run("05", "--port", port) as process:
            assert process.wait(20) == 2
            assert f"Port {port} is taken" in text_of(process)
            assert "--port" in text_of(process)


def without_the_right_to_low_ports(*words: str) -> list[str]:
    """The command, for root without root's right to bind a port below 1024."""
    if os.geteuid() != 0:
        return list(words)
    return ["setpriv", "--bounding-set", "-net_bind_service", *words]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS lets everybody have these ports")
def test_port_that_is_not_allowed_is_named() -> None:
    """A port below 1024 without the right to it is not allowed, which is not the same as taken."""
    done = subprocess.run(
        without_the_right_to_low_ports(*RUN, "01", "--port", "80"),
        cwd=ROOT, capture_output=True, text=True, timeout=40, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Port 80 is not allowed" in done.stderr
    assert "--port 8080" in done.stderr


def test_no_room_for_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis's folder cannot be made, as the folder for temporary files was deleted: a sentence."""
    monkeypatch.setattr(tempfile, "tempdir", "/no-such-folder")
    with pytest.raises(RedisProblem, match="no folder for temporary files"):
        Redis()


def test_redis_that_is_not_there_is_named() -> None:
    """A REDIS_URL that leads nowhere is one clear error."""
    url = f"redis://{HOST}:{free_port()}/0"
    options = ("05", "--port", free_port(), "--newsletter-port", free_port())
    with course_run(*options, REDIS_URL=url) as process:
        assert process.wait(20) == 2
        assert "No Redis answers" in text_of(process)
        assert "Traceback" not in text_of(process)


@pytest.mark.parametrize("command", ["run 01", "doctor"])
def test_redis_url_that_is_no_url_is_named(command: str) -> None:
    """A REDIS_URL that is no address is one clear sentence, too."""
    done = course(*command.split(), limit=60, REDIS_URL="localhost:6379")
    assert "REDIS_URL is no address of a Redis" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert done.returncode


@pytest.mark.parametrize(
    ("procfile", "words"),
    [
        (b"web: a\nweb: b\n", "twice"),
        ("web: a\n".encode("utf-16"), "UTF-8"),
        (b"web: a\n", "newsletter, worker"),
    ],
)
def test_bad_procfile_is_named(procfile: bytes, words: str, tmp_path: Path) -> None:
    """What is wrong with a Procfile is said in a sentence."""
    (tmp_path / "Procfile").write_bytes(procfile)
    with pytest.raises(ProjectProblem, match=words):
        read_procfile(tmp_path)


def test_procfile_may_set_variables(tmp_path: Path) -> None:
    """A line of a Procfile may begin with NAME=value, as honcho allows; a BOM is no harm."""
    lines = "web: A=1 B=2 sh -c 'echo $A$B'\nworker: w\nnewsletter: n\n"
    (tmp_path / "Procfile").write_text(lines, "utf-8-sig")
    command = read_procfile(tmp_path)["web"]
    process = Process("web", command, tmp_path, dict(os.environ))
    assert process.wait(10) == 0
    assert process.lines == ["12"]


@pytest.mark.parametrize("command", ["uvicorm main:app", "A=1 uvicorm main:app"])
def test_mistyped_command_is_explained(command: str, tmp_path: Path) -> None:
    """A program that does not exist: the reason, whichever shell or program says so."""
    process = Process("web", command, tmp_path, dict(os.environ))
    assert process.wait(10) == 127
    said = "\n".join(process.lines)
    causes = [rule.usually for rule in general_rules() if rule.said and rule.match(said, "") == {}]
    assert "the Procfile's command does not exist here" in causes[0], said


@pytest.mark.thorough
def test_redis_url_is_used(tmp_path: Path) -> None:
    """With REDIS_URL set, that Redis is used, and left running with its own keys untouched."""
    server = Redis().start()
    try:
        server.client.set("mine", "still here")
        options = ("05", "--port", free_port(), "--newsletter-port", free_port())
        with course_run(*options, REDIS_URL=server.url) as process:
            assert wait_for(lambda: "The page is at" in text_of(process), 30), text_of(process)
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(10) == 130
        assert server.client.get("mine") == "still here"
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["5", "05", "celery-signals", "05-celery-signals"])
def test_chapter_is_found_by_number_and_name(name: str) -> None:
    """A chapter is found by its number or its name."""
    from course.content.chapters import find_chapter

    assert str(find_chapter(name)) == "05-celery-signals"


def test_unknown_chapter_lists_the_right_ones() -> None:
    """A chapter that does not exist: the error lists those that do."""
    done = course("run", "99", limit=30)
    assert done.returncode == 2
    assert all(str(chapter) in done.stderr for chapter in all_chapters())


@pytest.mark.thorough
def test_honcho_by_hand(tmp_path: Path) -> None:
    """`honcho start` in a chapter's folder works: here with a Redis of the test's."""
    server = Redis().start()
    web, newsletter = free_port(), free_port()
    env = project_environment(
        REDIS_URL=server.url,
        WEB_PORT=web,
        NEWSLETTER_PORT=newsletter,
        NEWSLETTER_URL=f"http://{HOST}:{newsletter}",
    )
    process = Process("honcho", "honcho start", ROOT / "chapters" / "05-celery-signals", env)
    try:
        assert wait_for(lambda: answers(f"http://{HOST}:{web}/"), 30), text_of(process)
    finally:
        process.stop()
        server.stop()


def test_chapters_are_listed_without_a_command() -> None:
    """./course alone lists the chapters."""
    done = course(limit=30)
    assert done.returncode == 0
    assert all(str(chapter) in done.stdout for chapter in all_chapters())


@pytest.mark.thorough
def test_worker_runs_without_forking(tmp_path: Path) -> None:
    """With --pool=solo, as on Windows, tasks are done and their ends are told at once."""
    folder = tmp_path / "solo"
    shutil.copytree(ROOT / "chapters" / "05-celery-signals", folder)
    procfile = folder / "Procfile"
    procfile.write_text(procfile.read_text().replace("--concurrency 2", "--pool=solo"))
    assert "--pool=solo" in procfile.read_text()
    with running(folder) as project:
        with project.follow(project.subscribe("slow+1@example.com")) as follower:
            last = follower.until_final()
        told = datetime.now(UTC)
        assert last["state"] == "SUCCESS"
        assert told - datetime.fromisoformat(last["date_done"]) < timedelta(seconds=1)
