"""The results of a class: a CSV file that grows row by row, JUnit XML, and a table."""

import csv
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from xml.etree import ElementTree

from rich.table import Table
from rich.text import Text

from course.content.printable import printable


class ResultsProblem(Exception):
    """The file of results cannot be read or written. The message says why."""


@dataclass
class Row:
    """One project's result. All texts, as the CSV file holds them."""

    project: str
    chapter: str = ""  # the one that was asked for, or the highest whose check passes
    passed: str = "no"
    ideas: str = ""  # how many hold, as in "12 of 36"; of the next chapter, if none was asked for
    first_failed: str = ""
    expected: str = ""
    seen: str = ""
    holds_already: str = ""  # which of the next chapter's own ideas hold
    problem: str = ""  # why it could not be checked, or what it did
    seconds: str = ""
    asked: str = ""
    fingerprint: str = ""  # of the files that were checked


COLUMNS = [field.name for field in fields(Row)]
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


class Results:
    """Rows in a file, each written as soon as it is there."""

    def __init__(self, path: Path) -> None:
        if path.suffix in (".xml", ".new"):
            raise ResultsProblem(f"{path}: name a .csv file; the JUnit XML is written beside it.")
        self.path = path
        self.rows: dict[str, Row] = {}
        try:
            if path.exists() and path.stat().st_size:
                self.read()
            else:
                with path.open("w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerow(COLUMNS)
        except OSError as error:
            raise ResultsProblem(f"{path} cannot be written: {error.strerror}.") from error

    def read(self) -> None:
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != COLUMNS:
                raise ResultsProblem(
                    f"{self.path} holds something else than results of ./course grade. "
                    "Name another file with --out."
                )
            for data in reader:
                if None not in data and None not in data.values():  # a row that was cut short
                    self.rows[data["project"].removeprefix("'")] = Row(**data)
        self.write_anew()

    def write_anew(self) -> None:
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(asdict(row) for row in self.rows.values())
        fresh.replace(self.path)

    def add(self, row: Row) -> None:
        is_new = row.project not in self.rows
        self.rows[row.project] = Row(**{key: plain(text) for key, text in asdict(row).items()})
        if not is_new:
            return self.write_anew()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS).writerow(asdict(self.rows[row.project]))
            file.flush()
            os.fsync(file.fileno())

    def write_junit(self) -> Path:
        """Write the same as JUnit XML, beside the CSV file."""
        suite = ElementTree.Element("testsuite", name="course", tests=str(len(self.rows)))
        suite.set("failures", str(sum(row.passed != "yes" for row in self.rows.values())))
        for row in self.rows.values():
            attributes = {"classname": row.chapter or "none", "name": row.project}
            case = ElementTree.SubElement(suite, "testcase", attributes, time=row.seconds or "0")
            if row.passed != "yes":
                message = NOT_XML.sub("?", row.problem or row.first_failed)
                failure = ElementTree.SubElement(case, "failure", message=message)
                failure.text = NOT_XML.sub("?", f"expected: {row.expected}\nseen: {row.seen}")
        path = self.path.with_suffix(".xml")
        ElementTree.ElementTree(suite).write(path, "utf-8", xml_declaration=True)
        return path

    def table(self, names: list[str]) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in ("Project", "Chapter", "Passed", "Ideas", "First that fails, or the problem"):
            table.add_column(column)
        for name in names:
            if row := self.rows.get(name):
                style = "green" if row.passed == "yes" else "red"
                seen = f" Seen: {row.seen}" if row.passed != "yes" and row.seen else ""
                rest = row.problem or row.first_failed + seen
                cells = (row.project, row.chapter or "none", row.passed, row.ideas, rest)
                table.add_row(
                    *(Text(cell, style if n == 2 else "") for n, cell in enumerate(cells))
                )
        return table


def plain(text: str) -> str:
    """One line of at most 500 characters that no spreadsheet takes for a formula.

    What a project has written gives no orders to the terminal that shows it.
    """
    text = printable(" ".join(text.split()))[:500]
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
