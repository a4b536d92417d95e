"""`./course check` from outside: what it says, how it ends, and that it leaves nothing behind."""

import json
import os
import re
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from command import COURSE, course

from course.content.chapters import ROOT, find_chapter
from course.content.edits import Edit, copy_app
from course.content.ideas import PASSED, ideas_of
from course.content.steps import Step, copy_state, find_state, ideas_to_judge
from course.processes import HOST, wait_for
from course.processes.tree import commands_of, is_alive, relatives
from course.work.folder import copy_start, start
from course.work.output import line_of
from course.work.progress import STATE
from course.work.session import check


def processes_in(folder: Path) -> list[str]:
    """The commands of the processes that run in this folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.timeout(120)
def test_student_fails_is_helped_and_goes_on(tmp_path: Path) -> None:
    """start, check, hint, hint: the first new idea fails, in words to go on from."""
    work = tmp_path / "work"
    start(find_chapter("01"), work=work)
    done = course("check", "01", "--project", work)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✓ The project starts" in done.stdout
    assert "✗ The answer to a subscription does not wait for the task.  01.1" in done.stdout
    for label in ("expected:", "seen:", "because:", "look at:", "./course hint 01"):
        assert label in done.stdout
    assert "(not reached)" in done.stdout
    assert "2 of 27 ideas hold" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    state = json.loads((work / STATE).read_text())
    assert state["chapters"]["01"]["first_failed"] == "test_subscription_is_accepted_at_once"
    assert list(state["chapters"]["01"]["passed"]) == ["test_project_starts", "test_page_is_served"]
    assert "Hint 1 of 3" in course("hint", "01", "--project", work).stdout
    assert "Hint 2 of 3" in course("hint", "01", "--project", work).stdout


def test_who_is_ahead_is_told_so(tmp_path: Path) -> None:
    """A task that is unknown is answered with 404, as in chapter 6: the idea holds, with a word."""
    app = tmp_path / "app"
    views = "project/subscriptions/views.py"
    known = """    if str(task_id) not in started:
        raise HTTPException(404)
    return get_task_info(str(task_id))
"""
    edits = [
        Edit(views, "import APIRouter, ", "import APIRouter, HTTPException, "),
        Edit(views, "Router()\n", "Router()\nstarted = set()\n"),
        Edit(views, "    response.headers", "    started.add(task.id)\n    response.headers"),
        Edit(views, "    return get_task_info(str(task_id))\n", known),
    ]
    copy_app(find_chapter("01").folder, app, edits)
    ideas = [idea for idea in ideas_of(find_chapter("01")) if "unknown_task" in idea.key]
    (decision,) = check(ideas, app).decisions
    assert decision.state == PASSED, decision.failure
    assert decision.remark.startswith("you are ahead: chapter 6")
    assert decision.remark in line_of(decision, None).plain


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_what_is_given_is_folded(tmp_path: Path) -> None:
    """What holds from before is a line, and counted apart from what is new."""
    start(find_chapter("02"), work=tmp_path / "work")
    done = course("check", "02", "--project", tmp_path / "work")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "✗ With ?wait=20 the answer waits for the task's end" in done.stdout
    assert "comes soon after it.  02.1" in done.stdout  # the step that brings the idea
    assert " given ideas hold\n" in done.stdout
    # Other lanes may have judged some that come later, before the first one failed.
    assert re.search(r"\b[0-8] of 9 new ideas hold; (\d+ of )?23 given ones hold", done.stdout)


@pytest.mark.thorough
def test_bare_app_fails_at_the_first_new_idea(tmp_path: Path) -> None:
    """`start 01`: the bare app starts and serves its page, and the answer waits for the work."""
    copy_start(find_chapter("01"), tmp_path / "work")
    result = check(ideas_of(find_chapter("01")), tmp_path / "work")
    assert result.first_failed, result.problem
    assert result.first_failed.idea.key == "test_subscription_is_accepted_at_once"
    assert result.first_failed.failure
    assert "Celery task" in result.first_failed.failure.usually


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", ["01.2", pytest.param("01", marks=pytest.mark.thorough)])
def test_right_project_passes_as_json(tmp_path: Path, name: str) -> None:
    """All ideas hold: exit code 0; --json says so for each; nothing is written to the project."""
    state = find_state(name)
    copy_state(state, tmp_path / "app")
    done = course("check", name, "--project", tmp_path / "app", "--json")
    data = json.loads(done.stdout)
    ideas = ideas_to_judge(state) if isinstance(state, Step) else ideas_of(state)
    failed = [idea for idea in data["ideas"] if idea["state"] == "failed"]
    assert (done.returncode, data["exit_code"], data["problem"], failed) == (0, 0, "", [])
    assert [idea["idea"] for idea in data["ideas"]] == [idea.key for idea in ideas]
    assert not (tmp_path / "app" / STATE).exists()


@pytest.mark.thorough
def test_port_in_use_is_told(tmp_path: Path) -> None:
    """A Procfile with a port of its own, which somebody else has: its log, and the reason."""
    with socket.create_server((HOST, 0)) as taken:
        port = str(taken.getsockname()[1])
        edits = [Edit("Procfile", "${WEB_PORT:-8010}", port)]
        copy_app(find_chapter("01").folder, tmp_path / "app", edits)
        done = course("check", "01", "--project", tmp_path / "app")
    assert done.returncode == 1
    assert "address already in use" in done.stdout.lower()
    assert "${WEB_PORT:-8010}" in done.stdout


@pytest.mark.thorough
def test_own_line_of_code_is_told(tmp_path: Path) -> None:
    """An error in the project's code: the line, and its own log, without a traceback of the kit."""
    wrong = Edit("project/subscriptions/views.py", "return get_task_info(", "return get_task_inf(")
    copy_app(find_chapter("01").folder, tmp_path / "app", [wrong])
    done = course("check", "01", "--project", tmp_path / "app")
    assert done.returncode == 1
    assert "return get_task_inf(str(task_id))" in done.stdout
    assert "NameError" in done.stdout
    assert "testkit" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "9"], "There is no chapter"),
        (["check", "01", "--project", "no-such-folder"], "is not a folder"),
        (["hint", "01", "--project", "no-such-folder"], "is not a folder"),
        (["hint", "01", "--project", "chapters/01-polling"], "./course check 01 first"),
        (["start", "nine"], "There is no chapter"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], words: str) -> None:
    """What cannot be done is said in a sentence, with exit code 2."""
    done = course(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.thorough
def test_check_that_takes_too_long_is_a_result(tmp_path: Path) -> None:
    """When the check's time is over, the idea under way has failed, and says so."""
    main = (find_chapter("01").folder / "main.py").read_text()
    slow = Edit("main.py", new=f"import time; time.sleep(1000)\n{main}")
    copy_app(find_chapter("01").folder, tmp_path / "app", [slow])
    result = check(ideas_of(find_chapter("01")), tmp_path / "app", limit=8)  # a start may take 15 s
    assert result.problem == ""
    assert result.exit_code == 1
    assert result.first_failed
    assert result.first_failed.failure
    assert "limit of time" in result.first_failed.failure.expected


def check_under_way(
    tmp_path: Path,
) -> tuple["subprocess.Popen[str]", list[psutil.Process], Path]:
    """A check whose project runs, its processes, and its folder for temporary files."""
    app, temporary = tmp_path / "app", tmp_path / "tmp"
    temporary.mkdir()
    copy_app(find_chapter("01").folder, app, [])
    running = subprocess.Popen(
        [*COURSE, "check", "01", "--project", str(app)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"TMPDIR": str(temporary)},
    )  # fmt: skip
    assert wait_for(lambda: "uvicorn" in commands_of(relatives(running.pid)), 30)
    return running, relatives(running.pid), temporary


@pytest.mark.thorough
def test_killed_check_leaves_nothing(tmp_path: Path) -> None:
    """SIGKILL in the middle: soon no process and no file is left."""
    running, members, temporary = check_under_way(tmp_path)
    running.kill()
    running.communicate(timeout=30)
    assert wait_for(lambda: not any(map(is_alive, members)), 20)
    assert wait_for(lambda: not list(temporary.iterdir()), 20), list(temporary.rglob("*"))


@pytest.mark.thorough
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_everything(number: signal.Signals, times: int, tmp_path: Path) -> None:
    """Ctrl-C in the middle, even twice: one sentence, and no process and no file is left."""
    running, members, temporary = check_under_way(tmp_path)
    for _ in range(times):
        os.kill(running.pid, number)
        wait_for(lambda: bool(members) and not is_alive(members[0]), 0.1)
    text = running.communicate(timeout=30)[0]
    assert running.returncode == 130, text
    assert "Interrupted" in text
    assert "Traceback" not in text
    assert not [member for member in members if is_alive(member)]
    assert list(temporary.iterdir()) == []


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_watch_checks_again_on_save(tmp_path: Path) -> None:
    """--watch: a save starts the next check; Ctrl-C ends it."""
    app = tmp_path / "app"
    copy_app(find_chapter("01").folder, app, [Edit("main.py", new="app = (\n")])
    running = subprocess.Popen(
        [*COURSE, "check", "01", "--project", str(app), "--watch"], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert running.stdout
    try:
        for line in running.stdout:
            if "Waiting for a save" in line:
                break
        (app / "main.py").write_text("import no_such_module\n")
        assert any("no_such_module" in line for line in running.stdout)
    finally:
        os.kill(running.pid, signal.SIGINT)
        running.communicate(timeout=30)
    assert running.returncode == 130


NESTED = """
import os
here = os.open(".", os.O_RDONLY)
for _ in range(1500):
    try:
        os.mkdir("d", dir_fd=here)
    except FileExistsError:
        pass
    below = os.open("d", os.O_RDONLY, dir_fd=here)
    os.close(here)
    here = below
"""
HUNGRY = {
    "folders": (
        f"{NESTED}os.close(here)\nos.chdir(os.environ['TMPDIR'])\n{NESTED}",
        "It has ",
        " folders within one another; the limit is 100.",
    ),
    "memory": (
        "import time\nmuch = [b'x' * 50_000_000 for _ in range(30)]\ntime.sleep(60)",
        " used ",  # one process, or all of them together: whichever limit is reached first
        " of memory; the limit is ",
    ),
    "files": (
        "import os, time\n"
        "for n in range(5):\n"
        "    with open(f'large-{n}', 'wb') as file:\n"
        "        file.truncate(100 * 2**20)\n"
        "time.sleep(60)",
        "It wrote ",
        " of files; the limit is 400 MiB.",
    ),
    "temporary files": (
        "import os, pathlib, shutil\n"
        "shutil.rmtree(pathlib.Path(os.environ['TMPDIR']).parents[1], ignore_errors=True)",
        "The check's folder for temporary files is gone",
        "TMPDIR names another place",
    ),
}


@pytest.mark.thorough
@pytest.mark.parametrize("what", HUNGRY)
def test_project_that_takes_too_much_is_ended(what: str, tmp_path: Path) -> None:
    """`check` keeps a project within limits, as `grade` does, and says which it went over."""
    code, start_of_it, end_of_it = HUNGRY[what]
    chapter = find_chapter("01").folder
    main = (chapter / "main.py").read_text()
    copy_app(chapter, tmp_path / "app", [Edit("main.py", new=f"{code}\n{main}")])
    done = course("check", "01", "--project", tmp_path / "app")
    subprocess.run(["rm", "-rf", tmp_path / "app"], check=True)  # pytest cannot remove every one
    assert done.returncode == 2, done.stdout
    assert start_of_it in done.stderr
    assert end_of_it in done.stderr
    assert "Traceback" not in done.stderr
    assert not processes_in(tmp_path)


@pytest.mark.thorough
def test_flood_of_output_is_bounded(tmp_path: Path) -> None:
    """A project that prints without end, and without newlines, is ended, and fails in words."""
    code = "while True: print('x' * 1_000_000, end='')\n"
    copy_app(find_chapter("01").folder, tmp_path / "app", [Edit("main.py", new=code)])
    done = course("check", "01", "--project", tmp_path / "app")
    assert done.returncode == 1, done.stderr
    assert "the course ended this process: it wrote 100," in done.stdout
    assert len(done.stdout) < 200_000


@pytest.mark.thorough
def test_escape_codes_of_a_project_are_shown_as_text(tmp_path: Path) -> None:
    """Neither a folder's name nor a line of a log gives orders to the terminal."""
    app = tmp_path / "my\x1b[2Japp"
    code = "raise ValueError('\\x1b]0;owned\\x07 \\x1b[31mred')\n"
    copy_app(find_chapter("01").folder, app, [Edit("main.py", new=code)])
    done = course("check", "01", "--project", app)
    assert done.returncode == 1
    assert "my\\x1b[2Japp" in done.stdout
    assert "\\x1b]0;owned\\x07" in done.stdout
    missing = course("check", "01", "--project", f"{app}-missing")
    assert "\x1b" not in done.stdout + done.stderr + missing.stderr
    assert "my\\x1b[2Japp-missing is not a folder" in missing.stderr
