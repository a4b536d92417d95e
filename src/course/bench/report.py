"""The result as a Rich table, as Markdown for the site, and as results.json."""

import json
import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from course.bench.summary import COLUMNS, Column
from course.content.rounding import three_figures

# Which figures stand side by side: a terminal is not wide enough for all of them in one table.
GROUPS = {
    "From the task's end to the client's knowing, ms": (
        "delay_p50", "delay_p95", "delay_p99", "delay_max", "lost",
    ),
    "On the wire, a task": ("requests", "frames", "connections", "bytes"),
    "Redis and the web process": (
        "queries", "redis_web", "redis_worker", "web_cpu", "web_peak",
    ),
}  # fmt: skip
COLOUR = {"met": "green", "not met": "red", "not measured": "yellow"}


class UnwritableFolder(Exception):
    """The results cannot be written there. The message says why."""


def writable_folder(path: Path) -> Path:
    """Make the folder and try it, before anything is measured. Raises UnwritableFolder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        trial = path / ".trial"
        trial.write_text("")
        trial.unlink()
    except OSError as error:
        raise UnwritableFolder(f"{path} cannot be written to: {error.strerror}.") from error
    return path


def cell(figure: dict[str, float], runs: int) -> str:
    """The median, and the least and most when there was more than one run and they differ."""
    middle, least, most = (three_figures(figure[key]) for key in ("median", "least", "most"))
    return middle if runs == 1 or least == most else f"{middle} ({least}-{most})"


def columns_of(keys: tuple[str, ...]) -> list[Column]:
    return [column for key in keys for column in COLUMNS if column.key == key]


def heading(column: Column) -> str:
    plain = column.unit in ("ms", "a task")  # the group's title says it
    return column.heading if plain else f"{column.heading}, {column.unit}"


def rows_of(results: dict[str, Any], keys: tuple[str, ...]) -> list[list[str]]:
    return [
        [app["name"], *(cell(app["figures"][key], len(app["runs"])) for key in keys)]
        for app in results["apps"].values()
    ]


def setting(results: dict[str, Any]) -> str:
    """On what and how it was measured, in one sentence."""
    machine, load = results["machine"], results["load"]
    return (
        f"{load['clients']} clients, {load['rate']:g} a second, "
        f"tasks of {load['task_seconds']:g} s, {load['repeats']} runs each, seed {load['seed']}; "
        f"median (least to most). {machine_line(machine)} Worker: {load['worker']}."
    )


def print_results(results: dict[str, Any], console: Console) -> None:
    for title, keys in GROUPS.items():
        table = Table(title=title, title_justify="left", title_style="bold", box=None)
        table.add_column("", no_wrap=True)
        for column in columns_of(keys):
            table.add_column(heading(column), justify="right")
        for row in rows_of(results, keys):
            table.add_row(*row)
        console.print(table, "")
    table = Table(title="Targets of chapter 6", title_justify="left", title_style="bold", box=None)
    for name in ("", "limit", "found", ""):
        table.add_column(name)
    for row in results["targets"]:
        verdict = row["verdict"]
        table.add_row(row["what"], row["limit"], row["found"], f"[{COLOUR[verdict]}]{verdict}[/]")
    console.print(table, "")
    for app in results["apps"].values():
        for run in app["runs"]:
            if run["lost"]:
                sentence = f"{run['lost']} clients of {app['name']} were not notified;"
                sentence = escape(f"{sentence} the first: {run['problem']}")
                console.print(f"[red]Lost:[/] {sentence}", soft_wrap=True)
    console.print(setting(results), style="dim")


def markdown_table(headings: list[str], rows: list[list[str]]) -> str:
    rule = ["---", *["---:"] * (len(headings) - 1)]
    lines = [headings, rule, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def as_markdown(results: dict[str, Any]) -> str:
    """The tables for the site, in snippet sections: delay, wire, redis, targets, setting."""
    parts = []
    for name, (title, keys) in zip(("delay", "wire", "redis"), GROUPS.items(), strict=True):
        headings = [title, *map(heading, columns_of(keys))]
        parts.append((name, markdown_table(headings, rows_of(results, keys))))
    fields = ("what", "limit", "found", "verdict")
    rows = [[row[key] or "-" for key in fields] for row in results["targets"]]
    parts.append(("targets", markdown_table(["target", "limit", "found", ""], rows)))
    parts.append(("setting", setting(results) + "\n"))
    return "\n".join(
        f"<!-- --8<-- [start:{name}] -->\n{text}<!-- --8<-- [end:{name}] -->\n"
        for name, text in parts
    )


def plain_markdown(title: str, headings: list[str], rows: list[list[str]], note: str) -> str:
    """One table and on what it was measured."""
    return f"{title}\n\n{markdown_table(headings, rows)}\n{note}\n"


def machine_line(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}, {machine['redis']}, load average {machine['load_average']} "
        f"before; {machine['when']}."
    )


def print_table(title: str, headings: list[str], rows: list[list[str]], console: Console) -> None:
    table = Table(title=title, title_justify="left", title_style="bold", box=None)
    for index, name in enumerate(headings):
        table.add_column(name, justify="right" if index else "left", no_wrap=not index)
    for row in rows:
        table.add_row(*row)
    console.print(table, "")


def write_json(path: Path, results: dict[str, Any]) -> None:
    path.write_text(json.dumps(finite(results), indent=1) + "\n")


def finite(value: Any) -> Any:
    """JSON has no NaN: what was not measured is null there."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
