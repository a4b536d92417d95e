"""What `./course check` and the processes that judge its ideas say to each other: lines of JSON.

The check sends an idea's key, the lane answers with one event for it, and is given the next.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Failure:
    """Why an idea does not hold, as it is shown."""

    expected: str
    seen: str
    because: list[str] = field(default_factory=list)  # what the project itself says about it
    usually: str = ""  # what that means, and what helps; empty where it would be a guess
    look_at: str = ""  # a file of the project, with :line if there is one
    log: list[str] = field(default_factory=list)  # the lines of a process that belong to it
    log_of: str = ""
    wires: list[str] = field(default_factory=list)  # what passed last, if that was watched
    cause: str = ""  # the same for ideas that fail for the same reason

    def __str__(self) -> str:
        lines = [self.expected, self.seen, *self.because, self.usually, self.look_at, *self.log]
        return "\n".join(line for line in lines if line)


@dataclass(frozen=True)
class Ready:
    """The lane has read the tests and takes ideas."""


@dataclass(frozen=True)
class Passed:
    idea: str
    seconds: float
    remark: str = ""  # what is to be said of it all the same


@dataclass(frozen=True)
class Skipped:
    idea: str
    seconds: float
    reason: str


@dataclass(frozen=True)
class Failed:
    idea: str
    seconds: float
    failure: Failure
    did_not_start: bool = False  # not this idea's matter: the project as a whole does not run


Event = Ready | Passed | Skipped | Failed
KINDS: dict[str, type[Event]] = {kind.__name__: kind for kind in (Ready, Passed, Skipped, Failed)}


def encode(event: Event) -> str:
    return json.dumps({"event": type(event).__name__} | asdict(event)) + "\n"


def decode(line: str) -> Event:
    data: dict[str, Any] = json.loads(line)
    kind = KINDS[data.pop("event")]
    if "failure" in data:
        data["failure"] = Failure(**data["failure"])
    return kind(**data)


@dataclass(frozen=True)
class Order:
    """What a lane is started with."""

    project: Path
    nodes: list[str]  # the ideas' tests, as pytest names them
    needs_project: bool  # whether to start its processes at once
    idea_limit: float  # seconds that one test may take
    with_wires: bool = False  # let what passes between the processes pass through the tap

    def encode(self) -> str:
        return json.dumps(asdict(self) | {"project": str(self.project)})

    @classmethod
    def decode(cls, text: str) -> "Order":
        data = json.loads(text)
        return cls(**data | {"project": Path(data["project"])})
