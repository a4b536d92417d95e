"""What `./course bench` writes: the figures of one small run, which all of these tests read."""

import json
from pathlib import Path
from typing import Any

import pytest
from command import course

pytestmark = [
    pytest.mark.thorough,
    pytest.mark.xdist_group("bench"),
    pytest.mark.timeout(220),  # the run, which the first of them waits for
]


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A bench of chapters 1, 5 and 6, with three clients: its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("numbers")
    options = ("--clients", 3, "--task-seconds", 1.2, "--chapters", "1,05,6", "--repeats", 1)
    done = course("bench", *options, "--idle", 30, "--out", folder, limit=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder, done.stdout


@pytest.fixture(scope="module")
def results(small_run: tuple[Path, str]) -> dict[str, Any]:
    text = (small_run[0] / "results.json").read_text()
    return dict(json.loads(text))


def test_chapters_are_counted(results: dict[str, Any]) -> None:
    """Polling repeats its request and is late; push is two requests, one or two queries."""
    keys = ("01", "05", "06", "floor", "sse", "socketio")
    one, five, *pushing = (results["apps"][key]["figures"] for key in keys)
    assert one["requests"]["median"] >= 3
    assert all(app["requests"]["median"] == 2 for app in (five, *pushing))
    assert all(app["delay_p50"]["median"] < one["delay_p50"]["median"] for app in pushing)
    assert one["connections"]["median"] == 1
    assert five["connections"]["median"] == 2
    assert one["frames"]["median"] == 0
    assert five["frames"]["median"] >= 2
    # A request is the POST, or a query each.
    assert one["queries"]["median"] == pytest.approx(one["requests"]["median"] - 1)
    assert all(1 <= app["queries"]["median"] <= 2 for app in (five, *pushing))
    assert all(one[key]["median"] > 0 for key in ("bytes", "redis_worker", "web_peak"))
    assert five["delay_p50"]["median"] < one["delay_p50"]["median"]
    assert [app["runs"][0]["lost"] for app in results["apps"].values()] == [0] * 7


def test_results_say_on_what_and_how(results: dict[str, Any]) -> None:
    """results.json has the machine, the versions, the load, its seed, and a row for each target."""
    assert results["is_complete"]
    assert results["machine"]["packages"]["celery"]
    assert results["machine"]["cores"] >= 1
    assert results["load"]["seed"] == 1
    assert len(results["targets"]) == 9
    verdicts = [row["verdict"] for row in results["targets"]]
    assert set(verdicts) <= {"met", "not met", "not measured"}
    assert verdicts[4:6] == ["met", "met"]  # commands are counted: no machine is too busy for that


def test_sockets_wait_and_are_notified(results: dict[str, Any]) -> None:
    """Chapter 6's sockets wait for tasks of their own browser, and a burst ends all; peers wait."""
    assert set(results["idle"]) == {"06", "floor", "sse", "socketio"}
    assert [(one["still_open"], one["problem"]) for one in results["idle"].values()] == [
        (30, "")
    ] * 4
    six = results["idle"]["06"]
    assert (six["ended"], six["not_notified"]) == (30, 0)
    assert six["burst_rate"] > 0


def test_tables_and_plots_are_written(small_run: tuple[Path, str], results: dict[str, Any]) -> None:
    """Every plot for light and dark pages; the same results give the same bytes."""
    from course.bench.plots import PLOTS, write_plots

    folder, printed = small_run
    names = {f"{plot}-{scheme}.svg" for plot in PLOTS for scheme in ("light", "dark")}
    assert {file.name for file in folder.iterdir()} == names | {"results.json", "table.md"}
    assert "[start:targets]" in (folder / "table.md").read_text()
    assert "05-celery-signals" in printed
    again = folder / "again"
    again.mkdir()
    for path in write_plots(results, again):
        assert path.read_bytes() == (folder / path.name).read_bytes()
        assert "http://www.w3.org" in path.read_text()
