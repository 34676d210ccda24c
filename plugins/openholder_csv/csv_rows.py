"""The rows of a CSV file. A file that cannot be read without guessing is refused, with file, line and column.

The csv module silently accepts repeated headers, short rows, NUL, and bytes that are not text. Columns are counted in
cells, from 1. No message contains a value.
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
"""Characters of a row. No more of it is held in memory, however long it is."""
_FORBIDDEN = re.compile("[\0\udc80-\udcff]")
"""NUL, and the surrogates that stand for bytes that are not UTF-8."""
_LINE_BREAK = re.compile(r"\r\n?|\n")


class CSVRows:
    """Iterates over the rows below the headers of an open file, all of the same width; an empty cell is None."""

    def __init__(self, path: Path, text: TextIO) -> None:
        self._path = path
        self._text = text
        self._read_line = partial(text.readline, MAX_ROW + 1)
        self._reader = csv.reader(self._check_lines(), strict=True)
        self._row_start = 1
        self._characters = 0
        self._forbidden_line = 0
        self._is_at_end = False
        self._rows = self._check_rows()
        self.headers = self._read_headers()

    @property
    def line(self) -> int:
        """The number of lines that have been read."""
        return self._reader.line_num

    def __iter__(self) -> Iterator[list[str | None]]:
        width = len(self.headers)
        for row in self._rows:
            if len(row) != width:
                self._refuse(f"line {self.line}", f"found {len(row)} cells, expected {width}")
            yield [cell or None for cell in row]

    def _check_lines(self) -> Iterator[str]:
        """Yield every line to the csv reader, and note a line with a forbidden character.

        Only the parsed row tells which cell it is in, so `_check_rows` reports it.
        """
        while line := self._read_line():
            if "\0" in line or (not line.isascii() and _FORBIDDEN.search(line)):
                self._forbidden_line = self._forbidden_line or self.line + 1
            self._characters += len(line)
            if self._characters > MAX_ROW:
                self._refuse(f"line {self._row_start}", f"more than {MAX_ROW} characters in one row")
            yield line
        self._is_at_end = True

    def _check_rows(self) -> Iterator[list[str]]:
        try:
            for row in self._reader:
                if self._forbidden_line:
                    self._refuse_characters(row)
                self._row_start = self.line + 1
                self._characters = 0
                yield row
        except csv.Error as exc:
            self._refuse_syntax(exc)

    def _read_headers(self) -> list[str]:
        headers = next(self._rows, [])
        if not headers:
            self._refuse("line 1", "the file has no headers")
        if headers[0].startswith("\ufeff"):
            self._refuse("line 1, column 1", "starts with a byte order mark; save the file as UTF-8 without one")
        if len(headers) > MAX_COLUMNS:
            self._refuse("line 1", f"more than {MAX_COLUMNS} columns")
        seen: set[str] = set()
        for number, header in enumerate(headers, 1):
            folded = header.strip().casefold()  # to SQLite, column names that differ only in case are the same
            if not folded or folded in seen:
                self._refuse(f"line 1, column {number}", "empty or repeated header")
            seen.add(folded)
        return headers

    def _refuse(self, place: str, reason: str) -> NoReturn:
        raise SourceFault(f"{self._path.name}: {place}: {reason}")

    def _refuse_characters(self, row: list[str]) -> NoReturn:
        number, found = next(
            (number, found) for number, cell in enumerate(row, 1) if (found := _FORBIDDEN.search(cell))
        )
        reason = "contains a NUL character" if found[0] == "\0" else "not UTF-8"
        self._refuse(f"line {self._forbidden_line}, column {number}", reason)

    def _refuse_syntax(self, error: csv.Error) -> NoReturn:
        """Report the csv module's error, and the opening quote that may be the cause, lines earlier."""
        # At the end of the file, the cell is open after the last line. Otherwise the error is in the current line, and
        # the cell was open before it.
        line, column = self._find_open_quote(self.line if self._is_at_end else self.line - 1)
        if self._is_at_end:
            self._refuse(f"line {line}, column {column}", "the quote opened here is never closed")
        cause = f"; the cell starts with a quote on line {line}, column {column}" if column else ""
        self._refuse(f"line {self.line}", f"{error}{cause}")

    def _find_open_quote(self, last: int) -> tuple[int, int]:
        """Return line and column of the cell that is still open after line ``last``; zeros if its row starts later."""
        self._text.seek(0)
        lines = list(islice(iter(self._read_line, ""), self._row_start - 1, last))
        if not lines:
            return 0, 0
        row = next(csv.reader(lines))  # not strict: returns the open cell as if it were complete
        # The cell began as many lines above ``last`` as it contains line breaks, except the break that ends ``last``.
        below = len(_LINE_BREAK.findall(row[-1])) - len(_LINE_BREAK.findall(lines[-1][-1]))
        return last - below, len(row)
