"""The commands `bench` and `race`. What they need is imported when they run: ./course installs it
only then."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live

from course.cli.bench_output import (
    INTERRUPTED,
    Steps,
    chapter_numbers,
    console,
    finish,
    kept_when_interrupted,
    problems_in_one_sentence,
    sizes_of,
    write_all,
    write_part,
)
from course.cli.terminal import fail

bench_app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
)
OutOption = Annotated[
    Path | None, typer.Option("--out", help="Where results, tables and plots go. None: nowhere.")
]


@bench_app.callback(invoke_without_command=True)
def bench(
    context: typer.Context,
    clients: Annotated[int, typer.Option(help="Clients in each run.", min=1)] = 50,
    task_seconds: Annotated[float, typer.Option(help="How long a task takes.", min=0.1)] = 3,
    chapters: Annotated[str, typer.Option(help="Which chapters.")] = "01,02,03,04,05,06",
    repeats: Annotated[int, typer.Option(help="Runs of each chapter, in turns.", min=1)] = 3,
    rate: Annotated[float, typer.Option(help="Clients that arrive a second.", min=0.1)] = 40,
    seed: Annotated[int, typer.Option(help="Of the random arrivals.")] = 1,
    idle: Annotated[int, typer.Option(help="Idle sockets to try; 0: none.", min=0)] = 10_000,
    out: OutOption = None,
) -> None:
    """The chapters under the same load: table, results.json and plots.

    Example: ./course bench --clients 10 --repeats 1 --out my-numbers
    """
    if context.invoked_subcommand:
        return
    with problems_in_one_sentence():
        from course.bench.compare import Measured, Plan, compare, results_of
        from course.bench.report import print_results, writable_folder

        plan = Plan(chapter_numbers(chapters), clients, task_seconds, repeats, rate, seed, idle)
        folder = writable_folder(out) if out else None
        measured = Measured()
        steps = Steps(plan.steps())
        with kept_when_interrupted(measured.is_worth_keeping) as kept, steps.progress:
            compare(plan, measured, steps)
        results = results_of(plan, measured, kept.is_complete)
        print_results(results, console)
        if folder:
            write_all(results, folder)
        if not kept.is_complete:
            raise typer.Exit(INTERRUPTED)


@bench_app.command()
def publishing(
    times: Annotated[int, typer.Option(help="Messages in each series.", min=1)] = 200,
    repeats: Annotated[int, typer.Option(help="Series of each way and pool.", min=1)] = 3,
    out: OutOption = None,
) -> None:
    """What publishing costs the worker's process, by pool and by way.

    Example: ./course bench publishing --times 50 --repeats 1
    """
    with problems_in_one_sentence():
        from course.bench.pools import HEADINGS, PublishingCost, measure_publishing
        from course.bench.report import writable_folder

        folder = writable_folder(out) if out else None
        found = PublishingCost()
        steps = Steps(1 + 3 * repeats)
        with kept_when_interrupted(lambda: bool(found.series)) as kept, steps.progress:
            measure_publishing(times, repeats, found, steps)
        title = "What a message costs the worker's process: median of each series (least to most)"
        finish(title, HEADINGS, found.rows(), found.machine)
        if folder:
            tables = [(title, HEADINGS, found.rows())]
            write_part(folder, "publishing", found.as_json(kept.is_complete), tables)
        if not kept.is_complete:
            raise typer.Exit(INTERRUPTED)


@bench_app.command()
def scale(
    sizes: Annotated[
        str, typer.Option(help="Numbers of sockets.")
    ] = "100,500,1000,2000,5000,10000",
    processes: Annotated[str, typer.Option(help="Numbers of web processes.")] = "1,2,4",
    spread: Annotated[int, typer.Option(help="Sockets to spread over them.", min=1)] = 2000,
    wait: Annotated[
        float,
        typer.Option(help="Seconds that sockets wait; a fallback poll comes every 10.", min=0.5),
    ] = 10.5,
    web_options: Annotated[
        str, typer.Option(help="For uvicorn: '--ws websockets-sansio', '--loop uvloop'.")
    ] = "",
    out: OutOption = None,
) -> None:
    """Idle sockets by the thousand on chapter 6, polling at the same numbers, more web processes.

    Example: ./course bench scale --sizes 100,500 --spread 500
    """
    wanted, counts = sizes_of(sizes), sizes_of(processes)
    with problems_in_one_sentence():
        from course.bench.report import writable_folder
        from course.bench.scale import (
            LAYER_HEADINGS,
            POLLING_HEADINGS,
            SOCKET_HEADINGS,
            Scale,
            measure_scale,
        )

        folder = writable_folder(out) if out else None
        found = Scale(options=web_options, wait=wait)
        steps = Steps(9 + 2 * len(wanted) + len(counts))
        with kept_when_interrupted(lambda: bool(found.crowds)) as kept, steps.progress:
            measure_scale(wanted, counts, spread, found, steps)
        tables = [
            (
                "Chapter 6: idle sockets, then all their tasks end",
                SOCKET_HEADINGS,
                found.socket_rows(),
            ),
            ("Chapter 1: as many clients that poll", POLLING_HEADINGS, found.polling_rows()),
            ("What each layer takes for a socket", LAYER_HEADINGS, found.layer_rows()),
        ]
        for title, headings, rows in tables:
            finish(title, headings, rows, found.machine)
        for sentence in found.left_out:
            console.print(f"[yellow]Left out:[/] {sentence}", soft_wrap=True)
        if folder:
            write_part(folder, "scale", found.as_json(kept.is_complete), tables)
        if not kept.is_complete:
            raise typer.Exit(INTERRUPTED)


@bench_app.command()
def wires(
    clients: Annotated[int, typer.Option(help="Clients in each run.", min=1)] = 50,
    task_seconds: Annotated[float, typer.Option(help="How long a task takes.", min=0.1)] = 3,
    repeats: Annotated[int, typer.Option(help="Runs with and without, in turns.", min=1)] = 5,
    out: OutOption = None,
) -> None:
    """What the tap of --wires adds to the delay, and the CPU time that it takes.

    Example: ./course bench wires --clients 10 --repeats 1
    """
    with problems_in_one_sentence():
        from course.bench.report import writable_folder
        from course.bench.wires import HEADINGS, WAYS, WiresCost, measure_wires

        folder = writable_folder(out) if out else None
        cost = WiresCost(clients)
        steps = Steps(1 + 2 * repeats)
        with kept_when_interrupted(lambda: all(map(cost.medians, WAYS))) as kept, steps.progress:
            measure_wires(repeats, task_seconds, cost, steps)
        title = f"What the tap costs, with {clients} tasks at once"
        finish(title, HEADINGS, cost.rows(), cost.machine)
        if folder:
            rows = [(title, HEADINGS, cost.rows())]
            write_part(folder, "wires", cost.as_json(kept.is_complete), rows)
        if not kept.is_complete:
            raise typer.Exit(INTERRUPTED)


def race(
    seconds: Annotated[float, typer.Option(help="How long the task takes.", min=0.5, max=60)] = 6,
    svg: Annotated[
        Path | None, typer.Option(help="Save the picture: FILE.svg, and FILE-dark.svg.")
    ] = None,
) -> None:
    """One task through all six chapters at once: six live lanes, for a class to watch.

    Example: ./course race --seconds 8 --svg race.svg
    """
    with problems_in_one_sentence():
        from course.bench.lanes import Event, Lane, counts_table, draw
        from course.bench.race import Race, until_of
        from course.bench.report import writable_folder

        if svg:
            writable_folder(svg.parent)
        until = until_of(seconds)
        live = Live(console=console, auto_refresh=False) if console.is_terminal else None

        def hear(lane: Lane, event: Event) -> None:
            if not live:
                console.print(
                    f"{event.at:7.3f} s  {lane.name:18} {event.kind:9} {event.text}", soft_wrap=True
                )

        def show(lanes: list[Lane], now: float) -> None:
            if live:
                live.update(draw(lanes, now, until, console.width), refresh=True)

        contest = Race(seconds, hear, show)
        try:
            with live or nullcontext():
                contest.run(lambda text: console.print(f"... {text}"))
                show(contest.lanes, until)
        except KeyboardInterrupt:
            raise fail("Interrupted: the race is lost, nothing is kept.", INTERRUPTED) from None
        if not live:
            console.print(draw(contest.lanes, until, until, console.width))
        console.print("", counts_table(contest.lanes))
        if svg:
            from course.bench.race_picture import write_pictures

            files = write_pictures(contest.lanes, until, svg)
            console.print(f"\nWritten: {', '.join(map(str, files))}", soft_wrap=True)
        if any(lane.problem for lane in contest.lanes):
            raise typer.Exit(1)
