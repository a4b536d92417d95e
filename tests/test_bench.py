"""`./course bench` and `./course race`, with small loads: what is counted, what is written."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import mean
from uuid import uuid4

import psutil
import pytest
from command import course, start_course

from course.bench.idle import Crowd, allow_files
from course.bench.lanes import Event, Lane, draw_lane
from course.bench.load import Load, poisson_arrivals, task_lengths
from course.bench.polling_load import Polling
from course.bench.redis_counts import Commands, RedisCounts
from course.bench.summary import percentile
from course.bench.targets import (
    ahead_target,
    burst_target,
    commands_target,
    delay_target,
    memory_target,
    sockets_target,
)
from course.processes import Process, Redis, wait_for


@contextmanager
def course_process(*arguments: object, **env: str) -> Iterator[Process]:
    process = start_course(*arguments, **env)
    try:
        yield process
    finally:
        process.stop()


def test_arrivals_are_poisson_and_seeded() -> None:
    """The same seed, the same arrivals; the gaps are exponential: as spread as they are long."""
    arrivals = poisson_arrivals(4000, 40, seed=3)
    assert arrivals == poisson_arrivals(4000, 40, seed=3) != poisson_arrivals(4000, 40, seed=4)
    gaps = [after - before for before, after in pairwise(arrivals)]
    middle = mean(gaps)
    spread = mean((gap - middle) ** 2 for gap in gaps) ** 0.5
    assert middle == pytest.approx(1 / 40, rel=0.1)
    assert spread == pytest.approx(middle, rel=0.1)
    assert all(2.5 <= length <= 3.5 for length in task_lengths(100, 3, seed=3))


def test_percentile_is_nearest_rank() -> None:
    """A percentile is one of the values."""
    values = [float(number) for number in range(1, 101)]
    shares = (0.5, 0.95, 0.99, 1)
    assert [percentile(values, share) for share in shares] == [50, 95, 99, 100]
    assert percentile([7], 0.5) == 7


def test_commands_are_split_by_connection() -> None:
    """What this process sends counts as the web's; INFO and MONITOR agree on the sum."""
    server = Redis().start()
    a, b = uuid4(), uuid4()
    try:
        with RedisCounts(server.client, server.url, 0, os.getpid()) as counts:
            server.client.get(f"celery-task-meta-{a}")
            server.client.get(f"celery-task-meta-{a}")
            server.client.mget(
                "other", f"owner:{a}", f"celery-task-meta-{a}", f"celery-task-meta-{b}"
            )
            server.client.get("other")
            command = [
                sys.executable,
                "-c",
                f"import redis; redis.Redis.from_url({server.url!r}).get('c')",
            ]
            subprocess.run(command, check=True, timeout=30)
        assert counts.commands.web["get"] == 3
        assert counts.commands.worker["get"] == 1
        assert counts.commands.queries == 4  # an MGET queries each task that it names
        assert counts.commands.most["query"] == 3
        assert counts.commands.everybody["get"] == counts.commands.monitored["get"] == 4
    finally:
        server.stop()


def load_with(app: str, delay: float, **commands: int) -> Load:
    return Load(app, 1, [delay], commands=Commands(most=Counter(commands)))


def crowd_of(sockets: int, **found: float) -> Crowd:
    crowd = Crowd(sockets, still_open=sockets)
    for name, value in found.items():
        setattr(crowd, name, value)
    return crowd


def test_targets_say_met_and_not_met() -> None:
    """Both ways: what is good enough is met, what is not is not, and what is missing says so."""
    floor = [load_with("floor", 2.0)]
    assert delay_target({"06": [load_with("06", 2.5)], "floor": floor}).verdict == "met"
    assert delay_target({"06": [load_with("06", 2.7)], "floor": floor}).verdict == "not met"
    assert delay_target({"floor": floor}).verdict == "not measured"
    both = {"06": [load_with("06", 1.0)], "sse": [load_with("sse", 1.1)]}
    assert ahead_target(both, "sse", "SSE by hand").verdict == "met"
    both["sse"][0].delays = [1.0]
    assert ahead_target(both, "sse", "SSE by hand").verdict == "not met"
    assert ahead_target(both, "socketio", "python-socketio").verdict == "not measured"
    good = load_with("06", 1, subscribe=1, query=2, unsubscribe=1)
    bad = load_with("06", 1, subscribe=1, query=3, unsubscribe=1)
    assert [row.verdict for row in commands_target(good, None)] == ["met", "not measured"]
    assert commands_target(bad, None)[0].verdict == "not met"
    assert sockets_target(crowd_of(10_000)).verdict == "met"
    assert sockets_target(crowd_of(10_000, still_open=9999)).verdict == "not met"
    assert sockets_target(crowd_of(100)).verdict == "not measured"
    assert memory_target(crowd_of(100, kib_a_socket=32.9), {}).verdict == "met"
    assert memory_target(crowd_of(100, kib_a_socket=33), {}).verdict == "not met"
    assert burst_target(crowd_of(5000, ended=5000, burst_rate=3000)).verdict == "met"
    assert burst_target(crowd_of(5000, ended=5000, burst_rate=2999)).verdict == "not met"
    missed = crowd_of(5000, ended=5000, burst_rate=3000, not_notified=1)
    assert burst_target(missed).verdict == "not met"
    assert burst_target(crowd_of(5000, ended=100, burst_rate=9999)).verdict == "not measured"


def test_polling_breaks_when_answers_take_longer_than_the_interval() -> None:
    """One answer in twenty may be late; an error, or no answer at all, is a break."""
    assert not Polling(100, answer_times=[10.0] * 95 + [1500.0] * 5).is_broken
    assert Polling(100, answer_times=[10.0] * 94 + [1500.0] * 6).is_broken
    assert Polling(100, answer_times=[10.0] * 100, errors=1).is_broken
    assert Polling(100).is_broken


def test_lane_shows_what_happened_when() -> None:
    """A request and its answer, the wait between, the task's end, and the knowing."""
    events = [Event(0, "request", ""), Event(2, "answer", "200")]
    lane = Lane("x", "02", events, ended=1.5, knew=2.0)
    assert draw_lane(lane, 3, 4, 16).plain == "↑─────│─✔       "
    assert lane.late_ms == 500


def test_limit_of_files_is_raised() -> None:
    """The soft limit of open files is raised as far as the hard one, and no further."""
    assert allow_files(100) >= 100
    assert allow_files(10**9) < 10**9


@pytest.mark.thorough
@pytest.mark.timeout(90)
def test_interrupt_keeps_what_was_measured(tmp_path: Path) -> None:
    """Ctrl-C: everything ends, and the runs until then are written, marked as incomplete."""
    options = ("--clients", 2, "--task-seconds", 0.3, "--chapters", "01", "--repeats", 50)
    with course_process("bench", *options, "--out", tmp_path) as process:
        assert wait_for(lambda: any("run 2 of" in line for line in process.lines), 45)
        members = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) == 130, "\n".join(process.lines)
        assert not psutil.wait_procs(members, timeout=5)[1]
    assert any("Interrupted" in line for line in process.lines)
    assert json.loads((tmp_path / "results.json").read_text())["is_complete"] is False


@pytest.mark.thorough
@pytest.mark.timeout(90)
def test_early_interrupt_says_that_nothing_is_kept() -> None:
    """Ctrl-C while the processes are being started ends them, and says what is lost."""
    with course_process("bench", "--chapters", "05") as process:
        assert wait_for(lambda: any("starting" in line for line in process.lines), 20)
        assert wait_for(lambda: bool(psutil.Process(process.pid).children()), 20)
        members = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) == 130
        assert not psutil.wait_procs(members, timeout=5)[1]
    assert "nothing is kept" in "\n".join(process.lines)


@pytest.mark.thorough
@pytest.mark.timeout(180)
def test_race_without_a_terminal(tmp_path: Path) -> None:
    """Each event as a line, then the lanes and the counts; and the picture for light and dark."""
    done = course("race", "--seconds", 1, "--svg", tmp_path / "race.svg", limit=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("POST /subscriptions") == 6
    assert done.stdout.count("✔") == 7  # a lane each, and the legend
    assert "ms" in done.stdout.partition("At the end")[2]
    assert {file.name for file in tmp_path.iterdir()} == {"race.svg", "race-dark.svg"}


@pytest.mark.thorough
@pytest.mark.timeout(90)
def test_publishing_is_measured_by_way_and_pool(tmp_path: Path) -> None:
    """Five ways in three pools; what keeps its connection costs less than what does not."""
    done = course("bench", "publishing", "--times", 15, "--repeats", 1, "--out", tmp_path, limit=80)
    assert done.returncode == 0, done.stdout + done.stderr
    series = json.loads((tmp_path / "publishing.json").read_text())["series"]
    assert len({(one["pool"], one["way"]) for one in series}) == 15
    medians = {(one["pool"], one["way"]): one["p50"] for one in series}
    for pool in ("prefork", "solo", "threads"):
        assert medians[pool, "synchronous client"] < medians[pool, "new loop"]


@pytest.mark.thorough
@pytest.mark.timeout(120)
def test_scale_opens_waits_and_ends(tmp_path: Path) -> None:
    """All sockets open and stay, all are notified, and polling holds at a small number."""
    options = ("--sizes", 20, "--processes", "2", "--spread", 20, "--wait", 1, "--out", tmp_path)
    done = course("bench", "scale", *options, limit=110)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "scale.json").read_text())
    assert [one["still_open"] for one in found["sockets"]] == [20, 20]
    assert [one["not_notified"] for one in found["sockets"]] == [0, 0]
    assert [one["web_processes"] for one in found["sockets"]] == [1, 2]
    assert not found["polling"][0]["is_broken"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--chapters", "9"), "There is no chapter '9'"),
        (("--chapters", ","), "Name at least one chapter"),
        (("--clients", 0), "clients"),
        (("--out", "/proc/numbers"), "cannot be written to"),
        (("scale", "--sizes", "0,5"), "no list of numbers above 0"),
    ],
)
def test_bad_input_is_one_sentence(arguments: tuple[object, ...], said: str) -> None:
    """Bad input: what is wrong, and nothing is started."""
    done = course("bench", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
