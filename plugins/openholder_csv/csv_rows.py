"""The rows of a CSV file. A file that cannot be read without guessing is refused, with file, line and column.

The csv module silently accepts repeated headers, short rows, NUL, and bytes that are not text. Columns are counted in
cells, from 1. No message contains a value.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NoReturn, TextIO

from openholder import SourceFault, describe
from openholder.mapping import tidy
from openholder_csv.settings import CSVSettings

SAFE_TEXTS = (
    "'.' expected after '.'",
    r"field larger than field limit \(\d+\)",
    r"new-line character seen in unquoted field .*",
    r"unexpected end of data",
)
"""Messages of the csv module that name separators at most."""
MAX_COLUMNS = 500
MAX_ROW = 4_194_304
"""Characters of a row. No more of it is held in memory, however long it is."""
MAX_BATCH = 1_048_576
"""Characters of rows that are handed over together, except for one row that has more."""
_FORBIDDEN = re.compile("[\0\udc80-\udcff]")
"""NUL, and the surrogates that stand for bytes that are not UTF-8."""
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""The usual ones, and what they are called."""
_LINE_BREAK = re.compile(r"\r\n?|\n")

csv.field_size_limit(MAX_ROW)  # it exists only for the whole process; the module's own 131,072 is less than a row's


class CSVRows:
    """Reads the rows below the headers of an open file, all of the same width."""

    def __init__(self, path: Path, text: TextIO, settings: CSVSettings) -> None:
        self._path = path
        self._text = text
        self._settings = settings
        self._lines = iter(partial(text.readline, MAX_ROW + 1), "")
        self._first_line = ""
        self._reader = self._parse(self._feed(), strict=True)
        self._row_start = 1
        self._characters = 0
        self._forbidden_line = 0
        self._is_at_end = False
        self.line = 0
        """The number of lines that have been read."""
        self.headers = self._read_headers()

    def read_batches(self, rows: int) -> Iterator[list[str | None]]:
        """Yield the cells of at most ``rows`` rows at a time, as one flat list. An empty cell is None."""
        width, delimiter, quote = len(self.headers), self._settings.delimiter, self._settings.quote or "\0"
        cells, characters = list[str](), 0
        for line in self._lines:
            if line.isascii() and quote not in line and "\0" not in line and len(line) <= MAX_ROW:
                # What the csv module would return, in a fifth of its time.
                self.line += 1
                text = line.rstrip("\r\n")
                row = text.split(delimiter) if text else []
            else:
                row = self._parse_row(line)
            if len(row) != width:
                if not row and width > 1 and self._is_blank_to_the_end():
                    break
                more, fewer = "quote a cell that contains the delimiter", "write every cell, or leave the line out"
                hint = more if len(row) > width else fewer
                self._refuse(f"line {self.line}", f"found {len(row)} cells, expected {width}; {hint}")
            cells += row
            characters += len(line)
            if len(cells) >= rows * width or characters > MAX_BATCH:
                self._check_size()
                yield self._tidy(cells)
                cells, characters = [], 0
        self._check_size()
        if cells:
            yield self._tidy(cells)

    def _tidy(self, cells: list[str]) -> list[str | None]:
        """Return None for cells without a value."""
        strip, absent = self._settings.strip, frozenset(self._settings.absent)
        if not strip and not absent:
            return [cell or None for cell in cells]
        return [tidy(cell, strip=strip, absent=absent) or None for cell in cells]

    def _is_blank_to_the_end(self) -> bool:
        """Return whether all further lines are blank: there, in a file of several columns, no row can be missing."""
        return not any(line.strip("\r\n") for line in self._lines)

    def _check_size(self) -> None:
        """Check while reading: the size that a gzip file states may be wrong (RFC 1952, 2.3.1: modulo 2^32)."""
        if self._text.buffer.tell() > self._settings.max_bytes:
            limit = f"`max_bytes` allows ({self._settings.max_bytes} bytes of uncompressed text)"
            raise SourceFault(f"{self._path.name}: larger than {limit}")

    def _parse(self, lines: Iterable[str], strict: bool) -> Iterator[list[str]]:
        delimiter, quote = self._settings.delimiter, self._settings.quote
        if not quote:
            return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=strict)
        return csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=strict)

    def _parse_row(self, line: str) -> list[str]:
        """Parse the row that starts with this line, and read on if a quoted cell leads into the next lines."""
        self._first_line = line
        self._row_start = self.line + 1
        self._characters = 0
        try:
            row = next(self._reader, [])
        except csv.Error as exc:
            if self._row_start == 1:
                self._propose_delimiter(line)
            self._refuse_syntax(exc)
        if self._forbidden_line:
            self._refuse_characters(row)
        return row

    def _feed(self) -> Iterator[str]:
        """Yield the lines of the current row to the csv reader, and note one with a forbidden character.

        Only the parsed row tells which cell it is in, so `_parse_row` reports it.
        """
        while line := self._first_line or next(self._lines, ""):
            self._first_line = ""
            self.line += 1
            if "\0" in line or (not line.isascii() and _FORBIDDEN.search(line)):
                self._forbidden_line = self._forbidden_line or self.line
            self._characters += len(line)
            if self._characters > MAX_ROW:
                self._refuse(f"line {self._row_start}", f"more than {MAX_ROW} characters in one row")
            yield line
        self._is_at_end = True

    def _read_headers(self) -> list[str]:
        line = next(self._lines, "")
        headers = self._parse_row(line)
        if not headers:
            self._refuse("line 1", "the file has no headers")
        if headers[0].startswith("\ufeff"):
            self._refuse("line 1, column 1", 'starts with a byte order mark; set `encoding = "utf-8-sig"`')
        if len(headers) > MAX_COLUMNS:
            self._refuse("line 1", f"more than {MAX_COLUMNS} columns")
        if len(headers) == 1:
            self._propose_delimiter(line)
        seen: set[str] = set()
        for number, header in enumerate(headers, 1):
            folded = header.strip().casefold()  # to SQLite, column names that differ only in case are the same
            if not folded or folded in seen:
                self._refuse(f"line 1, column {number}", "empty or repeated header; give each column a name of its own")
            seen.add(folded)
        return headers

    def _propose_delimiter(self, line: str) -> None:
        """Refuse headers that another delimiter would separate. Their line holds no values."""
        delimiter = max(DELIMITERS, key=line.count)
        if delimiter in line and delimiter != self._settings.delimiter:
            written = "\\t" if delimiter == "\t" else delimiter
            self._refuse(
                "line 1", f'the headers are separated by {DELIMITERS[delimiter]}; set `delimiter = "{written}"`'
            )

    def _refuse(self, place: str, reason: str) -> NoReturn:
        raise SourceFault(f"{self._path.name}: {place}: {reason}")

    def _refuse_characters(self, row: list[str]) -> NoReturn:
        number, found = next(
            (number, found) for number, cell in enumerate(row, 1) if (found := _FORBIDDEN.search(cell))
        )
        place = f"line {self._forbidden_line}, column {number}"
        self._refuse(place, self._explain_nul(row) if found[0] == "\0" else self._explain_bytes(row, row[number - 1]))

    def _explain_nul(self, row: list[str]) -> str:
        if self._forbidden_line == 1 and row[0][:2].count("\0") == 1:
            order = "be" if row[0].startswith("\0") else "le"
            return f'the file looks like UTF-16; set `encoding = "utf-16-{order}"`'
        return "contains a NUL character"

    def _explain_bytes(self, row: list[str], cell: str) -> str:
        encoding = self._settings.encoding
        if encoding.lower() not in {"utf-8", "utf-8-sig"}:
            return f"not {encoding}"
        if self._forbidden_line == 1 and row[0].startswith(("\udcff\udcfe", "\udcfe\udcff")):
            return 'not UTF-8 but UTF-16; set `encoding = "utf-16"`'
        try:
            cell.encode("utf-8", "surrogateescape").decode("windows-1252")
        except UnicodeDecodeError:
            return "not UTF-8"
        return 'not UTF-8; if the file is Windows-1252, set `encoding = "windows-1252"`'

    def _refuse_syntax(self, error: csv.Error) -> NoReturn:
        """Report the csv module's error, and the opening quote that may be the cause, lines earlier."""
        # At the end of the file, the cell is open after the last line. Otherwise the error is in the current line, and
        # the cell was open before it.
        line, column = self._find_open_quote(self.line if self._is_at_end else self.line - 1)
        if self._is_at_end:
            self._refuse(
                f"line {line}, column {column}",
                "the quote opened here is never closed; write a quote inside a cell twice",
            )
        cause = f"; the cell starts with a quote on line {line}, column {column}" if column else ""
        self._refuse(f"line {self.line}", f"{describe(error, SAFE_TEXTS)}{cause}")

    def _find_open_quote(self, last: int) -> tuple[int, int]:
        """Return line and column of the cell that is still open after line ``last``; zeros if its row starts later."""
        self._text.seek(0)
        lines = list(islice(iter(partial(self._text.readline, MAX_ROW + 1), ""), self._row_start - 1, last))
        if not lines:
            return 0, 0
        row = next(self._parse(lines, strict=False))  # which returns an open cell as if it were complete
        # The cell began as many lines above ``last`` as it contains line breaks, except the break that ends ``last``.
        below = len(_LINE_BREAK.findall(row[-1])) - len(_LINE_BREAK.findall(lines[-1][-1]))
        return last - below, len(row)
