"""`./course grade`: a class with right, half-done, broken and hostile projects."""

import csv
import os
import shutil
import signal
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil
import pytest
from command import COURSE, course

from course.content.chapters import ROOT, find_chapter
from course.content.edits import Edit, copy_app
from course.grade.grader import ACCIDENT, Grader, fingerprint, why_refused
from course.grade.results import COLUMNS, Results, ResultsProblem, Row
from course.processes import wait_for

IN_WORKER = "    answer = httpx.post("  # a line of the task's body
HOSTILE = {
    "hangs": "import time; time.sleep(1000)",
    "forks": "import os, time\nwhile os.fork(): time.sleep(0.01)\ntime.sleep(60)",
    "fills-the-log": "import sys\nwhile True: sys.stdout.write('x' * 10_000_000)",
    "deletes-its-folder": "import os, shutil; shutil.rmtree(os.getcwd())",
    "kills-its-parent": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    "gets-away": """
import os, sys
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(987)"], {})
    os._exit(0)
""",
}


WRONG = {
    "hangs": ("05", HOSTILE["hangs"]),
    "forks": ("04", HOSTILE["forks"]),
    "deletes-its-folder": ("03", HOSTILE["deletes-its-folder"]),
    "kills-its-parent": ("05", HOSTILE["kills-its-parent"]),
    "is-no-python": ("04", "def begun("),
}


def project(folder: Path, name: str, number: str, before_main: str = "") -> None:
    """A chapter's app as somebody's submission; with something nasty at the head of main.py."""
    main = (find_chapter(number).folder / "main.py").read_text()
    edits = [Edit("main.py", new=f"{before_main}\n{main}")] if before_main else []
    copy_app(find_chapter(number).folder, folder / name, edits)


def right_variants(number: str) -> list[dict[str, Any]]:
    """The chapter differently written: see test_gallery.py."""
    file = ROOT / "tests" / "right" / f"{number}.toml"
    return list(tomllib.loads(file.read_text())["variant"])


def grade(*arguments: object) -> subprocess.CompletedProcess[str]:
    return course("grade", *arguments, limit=1100)


def rows_of(out: Path) -> dict[str, dict[str, str]]:
    with out.open(newline="") as file:
        return {row["project"]: row for row in csv.DictReader(file)}


def runs(words: str) -> bool:
    return any(words in " ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"]))


@pytest.mark.gallery
@pytest.mark.timeout(300)
def test_hostile_projects_cost_only_their_own_rows(tmp_path: Path) -> None:
    """Each hostile project gets a row that says what it did; the right one passes, all is ended."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    project(submissions, "right", "01")
    for name, code in HOSTILE.items():
        project(submissions, name, "01", code)
    done = grade(submissions, "--chapter", "01", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_of(out)
    assert {name for name, row in rows.items() if row["passed"] == "yes"} <= {"right", "gets-away"}
    assert rows["right"]["passed"] == "yes", rows["right"]
    for name in HOSTILE.keys() - {"gets-away"}:
        assert rows[name]["passed"] == "no", name
        assert rows[name]["problem"] or rows[name]["seen"], name
    assert "processes" in rows["forks"]["problem"]
    assert not runs("time.sleep(987)")
    assert not runs(str(submissions))
    assert sorted(path.name for path in submissions.iterdir()) == sorted([*HOSTILE, "right"])
    assert (submissions / "deletes-its-folder" / "main.py").exists(), "it had a copy"
    suite = ElementTree.parse(out.with_suffix(".xml")).getroot()
    assert suite.get("tests") == str(len(HOSTILE) + 1)


@pytest.mark.thorough
@pytest.mark.timeout(200)
def test_wires_of_a_failing_project_are_kept(tmp_path: Path) -> None:
    """--wires: what passed before its first idea failed stands in a file beside the results."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    wrong = Edit("project/subscriptions/views.py", "HTTP_202_ACCEPTED", "HTTP_200_OK")
    copy_app(find_chapter("01").folder, submissions / "answers-200", [wrong])
    done = grade(submissions, "--chapter", "01", "--out", out, "--wires")
    assert done.returncode == 0, done.stdout + done.stderr
    kept = (tmp_path / "results.wires" / "answers-200.txt").read_text()
    assert "POST /subscriptions" in kept, kept


@pytest.mark.gallery
@pytest.mark.timeout(300)
def test_mistake_is_named_for_the_highest_chapter(tmp_path: Path) -> None:
    """Chapter 4's work with an idea of chapter 3 broken: not what chapter 1 says of its page."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    edit = Edit("project/ws/views.py", ", dependencies=[Depends(check_origin)]", "")
    copy_app(find_chapter("04").folder, submissions / "any-origin", [edit])
    done = grade(submissions, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    row = rows_of(out)["any-origin"]
    assert (row["chapter"], row["passed"]) == ("", "no"), row
    assert "another origin" in row["first_failed"], row
    assert "403" in row["expected"], row


@pytest.mark.gallery
@pytest.mark.timeout(1200)
def test_class_of_twenty(tmp_path: Path) -> None:
    """Each project has its highest chapter, however written; six rows say what is wrong."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    for number in ("02", "03", "04", "05"):
        project(submissions, f"{number}-as-it-is", number)
    for number in ("01", "02", "03", "04", "05"):
        for n, variant in enumerate(right_variants(number)[:2]):
            edits = [Edit.read(edit) for edit in variant["edits"]]
            copy_app(find_chapter(number).folder, submissions / f"{number}-written-{n}", edits)
    for name, (number, code) in WRONG.items():
        project(submissions, name, number, code)
    (submissions / "empty").mkdir()
    done = grade(submissions, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = rows_of(out)
    assert len(rows) == 20
    for name in rows.keys() - {*WRONG, "empty"}:
        assert (rows[name]["chapter"], rows[name]["passed"]) == (name[:2], "yes"), rows[name]
    for name in {*WRONG, "empty"}:
        assert (rows[name]["chapter"], rows[name]["passed"]) == ("", "no"), rows[name]
    assert "SyntaxError" in rows["is-no-python"]["seen"]
    assert "Procfile" in rows["empty"]["seen"]
    assert rows["03-as-it-is"]["ideas"].endswith(" of 9"), "the next chapter's own"

    again = grade(submissions, "--out", out)
    assert "20 of 20 are done already" in again.stdout
    assert rows_of(out) == rows


@pytest.mark.thorough
@pytest.mark.timeout(90)
def test_interrupted_grading_goes_on(tmp_path: Path) -> None:
    """Ctrl-C ends what runs, keeps the rows that are there, and the next run adds the rest."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    (submissions / "a-empty").mkdir(parents=True)
    project(submissions, "b-hangs", "01", HOSTILE["hangs"])
    command = [*COURSE, "grade", str(submissions), "--chapter", "01"]
    running = subprocess.Popen(
        [*command, "--jobs", "1", "--out", str(out)], cwd=ROOT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert wait_for(lambda: out.exists() and "a-empty" in rows_of(out), 30)
    assert wait_for(lambda: runs("uvicorn main:app"), 30)
    os.kill(running.pid, signal.SIGINT)
    text = running.communicate(timeout=30)[0]
    assert running.returncode == 130, text
    assert "goes on from there" in text
    assert "Traceback" not in text
    assert list(rows_of(out)) == ["a-empty"]
    shutil.rmtree(submissions / "b-hangs")
    assert "1 of 1 are done already" in grade(submissions, "--chapter", "01", "--out", out).stdout


def test_rows_survive_a_cut_and_a_formula(tmp_path: Path) -> None:
    """A row that was cut short is dropped, the others stay; no cell is a formula."""
    out = tmp_path / "results.csv"
    results = Results(out)
    results.add(Row("=1+1", seen="line one\nline two"))
    results.add(Row("second"))
    out.write_text(out.read_text() + "third,05,y")
    assert list(Results(out).rows) == ["=1+1", "second"]
    assert rows_of(out)["'=1+1"]["seen"] == "line one line two"


def test_any_folder_name_is_a_name(tmp_path: Path) -> None:
    """A name that is no UTF-8, or holds two spaces, has its row, and is done when it is done."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    for name in (b"Jos\xe9", b"Anna  Lee", b"=1"):
        Path(os.fsdecode(os.fsencode(submissions) + b"/" + name)).mkdir(parents=True)
    done = grade(submissions, "--chapter", "01", "--out", out)
    assert done.returncode == 0, done.stderr
    assert sorted(rows_of(out)) == ["'=1", "Anna Lee", "Jos\\xe9"]
    assert "3 of 3 are done already" in grade(submissions, "--chapter", "01", "--out", out).stdout


def test_accident_of_the_machine_is_tried_again(tmp_path: Path) -> None:
    """What could not be checked, for a full disk, say, is not done."""
    results = Results(tmp_path / "results.csv")
    (tmp_path / "one").mkdir()
    grader = Grader(results, None)
    row = Row("one", asked="highest", fingerprint=fingerprint(tmp_path / "one"))
    results.add(row)
    assert grader.is_done(tmp_path / "one")
    row.problem = f"{ACCIDENT}: OSError: No space left on device"
    results.add(row)
    assert not grader.is_done(tmp_path / "one")


def test_results_do_not_overwrite_themselves(tmp_path: Path) -> None:
    """The CSV file cannot have the name of the XML file that is written beside it."""
    with pytest.raises(ResultsProblem, match=r"name a \.csv file"):
        Results(tmp_path / "results.xml")


def test_foreign_file_is_not_overwritten(tmp_path: Path) -> None:
    """A file that holds something else is named, and stays as it is."""
    out = tmp_path / "results.csv"
    out.write_text("my,own,table\n1,2,3\n")
    with pytest.raises(ResultsProblem, match="--out"):
        Results(out)
    assert out.read_text() == "my,own,table\n1,2,3\n"
    assert "problem" in COLUMNS


@pytest.mark.parametrize(
    "arguments", [["no-such-folder"], ["{empty}"], ["{empty}", "--chapter", "9"]]
)
def test_bad_input_is_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    """A folder that is not there, or empty, or a chapter that does not exist: exit code 2."""
    given = [argument.format(empty=tmp_path) for argument in arguments]
    done = grade(*given, "--out", tmp_path / "results.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_submission_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    """Links to others' work, special files and gigabytes are refused in a sentence, unread."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    project(submissions, "right", "01")
    project(submissions, "link-inside", "01")
    (submissions / "link-inside" / "main.py").unlink()
    (submissions / "link-inside" / "main.py").symlink_to("../right/main.py")
    project(submissions, "linked-folder", "01")
    shutil.rmtree(submissions / "linked-folder" / "project")
    (submissions / "linked-folder" / "project").symlink_to(submissions / "right" / "project")
    project(submissions, "pipe", "01")
    os.mkfifo(submissions / "pipe" / "main.pipe")
    project(submissions, "large", "01")
    with (submissions / "large" / "data").open("wb") as file:
        file.truncate(50 * 2**30)  # holes: it takes no room on the disk, and minutes to read
    shutil.rmtree(submissions / "right")
    before = time.monotonic()
    done = grade(submissions, "--chapter", "01", "--out", out)
    assert time.monotonic() - before < 20
    assert done.returncode == 0, done.stdout + done.stderr
    problems = {name: row["problem"] for name, row in rows_of(out).items()}
    assert problems == {
        "link-inside": "Refused: main.py is a link that leads out of the submission.",
        "linked-folder": "Refused: project is a link that leads out of the submission.",
        "pipe": "Refused: main.pipe is neither a file nor a folder.",
        "large": "Refused: it holds 51200 MiB of files; the limit is 400 MiB.",
    }


def test_link_to_another_submission_is_refused(tmp_path: Path) -> None:
    """A submission that is itself a link is not graded as the one that it leads to."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").symlink_to("one")
    assert why_refused(tmp_path / "one") == ""
    assert why_refused(tmp_path / "two").startswith("Refused: it is a link to another folder.")
    (tmp_path / "one" / "main.py").touch()
    (tmp_path / "one" / "same.py").symlink_to("main.py")
    assert why_refused(tmp_path / "one") == "", "a link inside one submission is no harm"


def test_escape_codes_in_names_are_shown_as_text(tmp_path: Path) -> None:
    """A folder's name clears no screen, neither in the table nor in the files of results."""
    submissions, out = tmp_path / "submissions", tmp_path / "results.csv"
    (submissions / "evil\x1b[2J\x07 [bold]").mkdir(parents=True)
    done = grade(submissions, "--chapter", "01", "--out", out)
    assert done.returncode == 0, done.stderr
    assert list(rows_of(out)) == ["evil\\x1b[2J\\x07 [bold]"]
    assert "evil\\x1b[2J" in done.stdout
    assert not {"\x1b", "\x07"} & set(done.stdout + done.stderr + out.read_text())
    assert "1 of 1 are done already" in grade(submissions, "--chapter", "01", "--out", out).stdout


def test_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    """What was handed in again is graded again, a changed link included."""
    (tmp_path / "main.py").write_text("one")
    first = fingerprint(tmp_path)
    (tmp_path / "main.py").write_text("two")
    second = fingerprint(tmp_path)
    (tmp_path / "other.py").symlink_to("main.py")
    assert len({first, second, fingerprint(tmp_path)}) == 3
