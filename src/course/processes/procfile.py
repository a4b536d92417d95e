"""A project's Procfile: the commands of its processes, by name."""

from pathlib import Path

from honcho.environ import parse_procfile


class ProjectProblem(Exception):
    """The project cannot be run, for a reason that lies in the project. The message says which."""


def read_procfile(project: Path) -> dict[str, str]:
    """Return the commands that the project's Procfile names, by process name."""
    file = project / "Procfile"
    try:
        commands = dict(parse_procfile(file.read_text("utf-8-sig")).processes)
    except OSError as error:
        raise ProjectProblem(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ProjectProblem(f"{file} is no UTF-8 text: save it as that.") from error
    except AssertionError as error:  # so honcho says it
        raise ProjectProblem(f"{file} names a process twice.") from error
    if missing := {"web", "worker", "newsletter"} - commands.keys():
        raise ProjectProblem(f"{file} has no line for: {', '.join(sorted(missing))}.")
    return commands
