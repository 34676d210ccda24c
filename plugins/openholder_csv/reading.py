"""The rows of a CSV file. What cannot be read without guessing is refused, with file, line and column.

The csv module by itself takes repeated headers, short rows, NUL and bytes that are no text in silence. Columns are
cells, counted from 1. No text of a refusal has a value in it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

from openholder import SourceFault

MAX_COLUMNS = 500
MAX_ROW = 4_194_304
"""Characters of a row: no more of it are held in memory, however the file goes on."""
_FORBIDDEN = re.compile("[\0\udc80-\udcff]")
"""NUL, and what a byte that is not UTF-8 was decoded to."""
_BREAK = re.compile(r"\r\n?|\n")


class Rows:
    """The rows below the headers of an open file, each with as many cells; an empty cell is None."""

    def __init__(self, path: Path, text: TextIO) -> None:
        self._path, self._text = path, text
        self._next_line = partial(text.readline, MAX_ROW + 1)
        self._reader = csv.reader(self._lines(), strict=True)
        self._begin = 1
        self._characters = 0
        self._forbidden = 0
        self._ended = False
        self._rows = self._parsed()
        self.headers = self._headers()

    @property
    def line(self) -> int:
        """The number of lines that have been read."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[list[str | None]]:
        width = len(self.headers)
        for row in self._rows:
            if len(row) != width:
                self._refuse(f"line {self.line}", f"{len(row)} cells where {width} are expected")
            yield [cell or None for cell in row]

    def _parsed(self) -> Iterator[list[str]]:
        try:
            for row in self._reader:
                if self._forbidden:
                    self._refuse_characters(row)
                self._begin, self._characters = self.line + 1, 0
                yield row
        except csv.Error as exc:
            self._refuse_form(exc)

    def _lines(self) -> Iterator[str]:
        """Every line, and a note where one has a forbidden character: in which cell it is, its row will say."""
        while line := self._next_line():
            if "\0" in line or (not line.isascii() and _FORBIDDEN.search(line)):
                self._forbidden = self._forbidden or self.line + 1
            self._characters += len(line)
            if self._characters > MAX_ROW:
                self._refuse(f"line {self._begin}", f"a row of more than {MAX_ROW} characters")
            yield line
        self._ended = True

    def _headers(self) -> list[str]:
        headers = next(self._rows, [])
        if not headers:
            self._refuse("line 1", "there are no headers")
        if headers[0].startswith("\ufeff"):
            self._refuse("line 1, column 1", "begins with a byte order mark; save it as UTF-8 without one")
        if len(headers) > MAX_COLUMNS:
            self._refuse("line 1", f"more than {MAX_COLUMNS} columns")
        seen: set[str] = set()
        for number, header in enumerate(headers, 1):
            folded = header.strip().casefold()  # SQLite takes column names that differ only in case for the same
            if not folded or folded in seen:
                self._refuse(f"line 1, column {number}", "an empty or repeated header")
            seen.add(folded)
        return headers

    def _refuse(self, place: str, reason: str) -> NoReturn:
        raise SourceFault(f"{self._path.name}: {place}: {reason}")

    def _refuse_characters(self, row: list[str]) -> NoReturn:
        number, found = next(
            (number, found) for number, cell in enumerate(row, 1) if (found := _FORBIDDEN.search(cell))
        )
        self._refuse(f"line {self._forbidden}, column {number}", "a NUL character" if found[0] == "\0" else "not UTF-8")

    def _refuse_form(self, error: csv.Error) -> NoReturn:
        """What the csv module says, and where the quote was opened that it may be about, lines before."""
        line, column = self._open_quote(self.line if self._ended else self.line - 1)
        if self._ended:
            self._refuse(f"line {line}, column {column}", "a quote is opened here that nothing closes")
        begun = f"; its cell begins with a quote on line {line}, column {column}" if column else ""
        self._refuse(f"line {self.line}", f"{error}{begun}")

    def _open_quote(self, last: int) -> tuple[int, int]:
        """Line and column of the cell that goes on after line ``last``; zeros where its row begins after that."""
        self._text.seek(0)
        lines = list(islice(iter(self._next_line, ""), self._begin - 1, last))
        if not lines:
            return 0, 0
        row = next(csv.reader(lines))  # not strict: what there is of the cell comes as if it were whole
        below = len(_BREAK.findall(row[-1])) - len(_BREAK.findall(lines[-1][-1]))
        return last - below, len(row)
