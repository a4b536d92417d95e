"""`./course run work`, or any folder: the student's own app, restarted on each save."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import httpx
import pytest
from command import start_course
from typer.testing import CliRunner

from course.cli.app import app
from course.content.chapters import CHAPTERS, ROOT, UnknownChapter
from course.content.edits import copy_app
from course.processes import HOST, answers, free_port, wait_for
from course.processes.saves import SourceFilter
from course.processes.tree import is_alive, relatives
from course.work import folder as work
from course.work.folder import ProjectToRun, WorkProblem, project_to_run


class Run:
    """`./course run FOLDER` and its page."""

    def __init__(self, project: Path, *options: str) -> None:
        self.project, self.port = project, free_port()
        ports = ("--port", self.port, "--newsletter-port", free_port())
        self.process = start_course("run", project, "--no-open", *options, *ports)

    @property
    def text(self) -> str:
        return "\n".join(self.process.lines)

    def says(self, words: str, times: int = 1) -> bool:
        return wait_for(lambda: self.text.count(words) >= times, 30)

    def get(self) -> str:
        return httpx.get(f"http://{HOST}:{self.port}/").text


@contextmanager
def run(project: Path, *options: str) -> Iterator[Run]:
    running = Run(project, *options)
    try:
        yield running
    finally:
        running.process.stop()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy_app(CHAPTERS / "01-polling", tmp_path / "mine", [])
    return tmp_path / "mine"


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.timeout(120)
def test_save_restarts_and_an_error_waits_for_the_next_save(project: Path) -> None:
    """A save shows on the page; a syntax error is said with its line; the next save mends it."""
    views = project / "project" / "subscriptions" / "views.py"
    right = views.read_text()
    with run(project) as running:
        assert running.says("The page is at"), running.text
        redis = [p for p in relatives(running.process.pid) if "valkey" in p.name()]

        templates = project / "project" / "subscriptions" / "templates"
        page = next(templates.glob("*.html"))
        replace(page, "</title>", " of mine</title>")
        assert running.says(f"Saved: {page.relative_to(project)}. Restarting."), running.text
        assert running.says("again"), running.text
        assert "of mine</title>" in running.get()
        assert list(map(is_alive, redis)) == [True], "Redis stays, with its data"

        views.write_text(f"{right}\ndef begun(\n")
        assert running.says("web has ended with exit code 1"), running.text
        assert running.says("worker has ended with exit code 2"), running.text
        line = len(right.splitlines()) + 2
        where = f"project/subscriptions/views.py:{line}: SyntaxError: '(' was never closed"
        assert running.says(f"web has ended with exit code 1. {where}"), running.text
        assert running.says("The next save starts web again."), running.text
        assert running.process.exit_code is None

        views.write_text(right)
        assert running.says("again (after", times=2), running.text
        assert "of mine</title>" in running.get()

        members = relatives(running.process.pid)
        running.process.terminate()
        assert running.process.wait(15) == 128 + signal.SIGTERM
        assert wait_for(lambda: not any(map(is_alive, members)), 5)


@pytest.mark.thorough
@pytest.mark.timeout(90)
def test_folder_that_does_not_start_waits_for_a_save(project: Path) -> None:
    """Work that is broken from the beginning, then even without a Procfile, ends no run."""
    right, procfile = (project / "main.py").read_text(), (project / "Procfile").read_text()
    (project / "main.py").write_text("import no_such_module\n")
    with run(project) as running:
        assert running.says("main.py:1: ModuleNotFoundError: No module named 'no_such_module'")
        (project / "Procfile").write_text("web: sleep 100\n")
        assert running.says("has no line for: newsletter, worker."), running.text
        (project / "main.py").write_text(right)
        (project / "Procfile").write_text(procfile)
        assert running.says("The page is at"), running.text


@pytest.mark.thorough
@pytest.mark.timeout(60)
def test_chapters_are_not_watched(project: Path) -> None:
    """--no-watch, as for chapters: the end of one process is the end of the run."""
    (project / "main.py").write_text("import no_such_module\n")
    with run(project, "--no-watch") as running:
        assert running.process.wait(30) == 1, running.text
        assert "has ended with exit code 1" in running.text
        assert "next save" not in running.text


@pytest.mark.parametrize(
    ("path", "is_source"),
    [
        ("project/ws/views.py", True),
        ("project/subscriptions/static/follow.js", True),
        ("Procfile", True),
        ("course-progress.json", False),
        ("celery.log", False),
        (".venv/lib/python3.11/site.py", False),
        ("project/__pycache__/views.cpython-311.pyc", False),
    ],
)
def test_sources_are_watched(path: str, is_source: bool) -> None:
    """What a run or a check itself writes restarts nothing."""
    from watchfiles import Change

    assert SourceFilter()(Change.modified, f"/somewhere/{path}") is is_source


def meant_by(argument: str | None) -> ProjectToRun:
    with project_to_run(argument) as meant:
        return meant


def test_what_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chapter, `work`, or a folder; without any, work/ for who is in it, else chapter 5."""
    monkeypatch.setattr(work, "WORK", tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    last = (CHAPTERS / "05-celery-signals", True, False)
    assert meant_by(None) == last
    assert meant_by("1") == (CHAPTERS / "01-polling", True, False)
    with pytest.raises(WorkProblem, match="There is no work/ yet"):
        meant_by("work")

    copy_app(CHAPTERS / "01-polling", tmp_path / "work", [])
    mine = (tmp_path / "work", False, False)
    assert meant_by("work") == mine
    assert meant_by(str(tmp_path / "work")) == mine
    assert meant_by(None) == last
    monkeypatch.chdir(tmp_path / "work" / "project")
    assert meant_by(None) == mine
    assert meant_by("..") == mine
    monkeypatch.chdir(ROOT)
    assert meant_by("chapters/01-polling") == (CHAPTERS / "01-polling", True, False)


def test_folder_without_a_procfile_is_named(tmp_path: Path) -> None:
    """A folder that is no project: a sentence with the way to one."""
    with pytest.raises(WorkProblem, match=r"has no Procfile.*course start 01"):
        meant_by(str(tmp_path))
    with pytest.raises(UnknownChapter, match=r"There is no chapter 'nowhere'.*Nor is nowhere"):
        meant_by("nowhere")
    for name in ("~no-such-user-here/app", "x" * 300):
        with pytest.raises(UnknownChapter, match=r"is no folder|Nor is"):
            meant_by(name)
    done = CliRunner().invoke(app, ["run", str(tmp_path)])
    assert done.exit_code == 2
    assert "has no Procfile" in done.stderr


class RedirectsToNowhere(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:None/app")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class SpeaksNoHttp(StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 mail.example ready\r\n")


@pytest.mark.parametrize(
    ("handler", "is_there"), [(RedirectsToNowhere, True), (SpeaksNoHttp, False)]
)
def test_server_that_answers_oddly(handler: type[StreamRequestHandler], is_there: bool) -> None:
    """A wrong redirect is an answer; what is no HTTP is none. Neither is an error of the tool."""
    with ThreadingTCPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert answers(f"http://{HOST}:{server.server_address[1]}/") is is_there
        server.shutdown()
