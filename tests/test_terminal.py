"""The terminal: help with examples, no colours where none are wanted, completion by Tab."""

import os
import pty
import re
import select
import shlex
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import typer
from command import COURSE, course

from course.cli.app import app
from course.cli.bench import bench_app
from course.content.chapters import ROOT, all_chapters
from course.processes import free_port

ESCAPE = re.compile(r"\x1b[\[\]()]?[0-9;?]*[A-Za-z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3[0-9]|4[0-9]|9[0-7]|10[0-7])[0-9;]*m")
ROOT_COMMAND = typer.main.get_group(app)
BENCH = typer.main.get_group(bench_app)
ALL = [
    ((), ROOT_COMMAND),
    *[((name,), command) for name, command in sorted(ROOT_COMMAND.commands.items())],
    *[(("bench", name), command) for name, command in sorted(BENCH.commands.items())],
]
IDS = [" ".join(words) or "course" for words, _ in ALL]
# What is printed, what is an error, what is a table; the other commands print by the same code.
WORDS = [
    *("doctor", "run 99", "--help"),
    *(
        pytest.param(words, marks=pytest.mark.thorough)
        for words in ("", "diff 04 05", "hint 04", "check 99", "completion bash", "test --help")
    ),
]


def test_brackets_are_text() -> None:
    """What a message quotes is shown as it is, square brackets included."""
    done = course("check", "01", "--project", "no [alt] [/b] folder", limit=40)
    assert done.returncode == 2
    assert "no [alt] [/b] folder" in done.stderr


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    return kept | {"TERM": "xterm-256color", "COLUMNS": "120"} | more


def in_terminal(*words: str, interrupt_at: str = "", within: float = 40, **env: str) -> str:
    """What ./course writes to a terminal; with Ctrl-C as soon as it has written those words."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*COURSE, *words], stdin=its, stdout=its, stderr=its, env=environment(**env), cwd=ROOT
    )
    os.close(its)
    written, end = b"", time.monotonic() + within
    try:
        while time.monotonic() < end:
            if not select.select([ours], [], [], 0.2)[0]:
                continue
            try:
                chunk = os.read(ours, 65536)
            except OSError:  # on Linux: nobody holds the other end any more
                chunk = b""
            if not chunk:
                return written.decode()
            written += chunk
            if interrupt_at and interrupt_at.encode() in written:
                process.send_signal(signal.SIGINT)
                interrupt_at = ""
        raise AssertionError(f"not over after {within} s: {written.decode()[-1000:]}")
    finally:
        os.close(ours)
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize(("words", "command"), ALL, ids=IDS)
def test_help_has_an_example(words: tuple[str, ...], command: typer.core.TyperCommand) -> None:
    """Each command's help has an example, and the command understands it."""
    help_text = command.help or ""
    examples = re.findall(r"Example: (.+)", help_text)
    assert examples, f"./course {' '.join(words)} --help has no example"
    for example in examples:
        called = example.removeprefix('eval "$(').removesuffix(')"')  # as `completion` is used
        program, *arguments = shlex.split(called)
        assert program == "./course"
        assert tuple(arguments[: len(words)]) == words
        understood_by(arguments)


def understood_by(arguments: list[str]) -> None:
    """Parse the arguments as ./course does, without doing what they say."""
    root = typer.main.get_group(app)
    do_nothing(root)
    root.main(list(arguments), prog_name="./course", standalone_mode=False)


def do_nothing(command: Any) -> None:
    """Take the functions from a command and from those below it."""
    command.callback = None
    for child in getattr(command, "commands", {}).values():
        do_nothing(child)


def test_example_that_is_wrong_is_not_understood() -> None:
    """The parser that the test of the examples trusts refuses an option that is not there."""
    with pytest.raises(Exception, match="no-such-option"):
        understood_by(["bench", "scale", "--no-such-option"])
    with pytest.raises(Exception, match="no-such-command"):
        understood_by(["no-such-command"])


@pytest.mark.parametrize("words", WORDS)
def test_no_escape_codes_in_a_pipe(words: str) -> None:
    """What is not a terminal gets plain text, errors included."""
    done = subprocess.run(
        [*COURSE, *words.split()],
        capture_output=True,
        text=True,
        timeout=40,
        env=environment(),
        check=False,
    )
    assert done.stdout + done.stderr
    assert ESCAPE.findall(done.stdout + done.stderr) == []


@pytest.mark.parametrize("words", [*WORDS, "test 01 --collect-only -q"])
def test_no_colour_is_respected(words: str) -> None:
    """With NO_COLOR a terminal gets no colour; bold is no colour."""
    output = in_terminal(*words.split(), NO_COLOR="1")
    assert output
    assert COLOUR.findall(output) == []


@pytest.mark.thorough
def test_run_respects_no_colour() -> None:
    """`run` colours its processes' names in a terminal, and does not with NO_COLOR."""
    ports = ("--port", str(free_port()), "--newsletter-port", str(free_port()))
    words = ("run", "01", "--no-open", *ports)
    assert COLOUR.search(in_terminal(*words, interrupt_at="The page is at"))
    assert not COLOUR.search(in_terminal(*words, interrupt_at="The page is at", NO_COLOR="1"))


@pytest.mark.thorough
def test_check_respects_no_colour(tmp_path: Path) -> None:
    """`check` marks in red what fails in a terminal, and does not with NO_COLOR."""
    words = ("check", "01", "--project", str(tmp_path))
    assert COLOUR.search(in_terminal(*words))
    assert not COLOUR.search(in_terminal(*words, NO_COLOR="1"))


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (("ru",), ["run"]),
        (("check", ""), [chapter.number for chapter in all_chapters()]),
        (("test", "05", "--loc"), ["--locks"]),
        (("bench", "sc"), ["scale"]),
    ],
)
def test_bash_completes(typed: tuple[str, ...], offered: list[str], tmp_path: Path) -> None:
    """What `./course completion bash` prints makes bash complete commands, options, chapters."""
    launcher = tmp_path / "course"
    launcher.write_text(f'#!/bin/sh\nexec {shlex.join(COURSE)} "$@"\n')
    launcher.chmod(0o755)
    script = f"""
        eval "$(./course completion bash)"
        COMP_WORDS=(./course {" ".join(shlex.quote(word) for word in typed)})
        COMP_CWORD={len(typed)}
        _course_completion ./course
        printf '%s\\n' "${{COMPREPLY[@]}}"
        complete -p ./course
    """
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    *words, registered = done.stdout.splitlines()
    assert words == offered, done.stderr
    assert registered == "complete -o default -F _course_completion ./course"
