"""Tables as people save them: CSV of any encoding, delimiter and case of its header, read one way everywhere."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from lucency.errors import SourceError, name_extra

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, str]

DELIMITERS = (",", ";", "\t", "|")
HEAD = 1 << 16
"""Bytes from which the encoding is detected."""
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
BOMS_16 = ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # UTF-32's begins with UTF-16's

MISSING = frozenset(
    {"", "-", "--", "?", ".", "nan", "na", "n/a", "#n/a", "#na", "<na>", "null", "nil", "nat", "missing", "unknown"}
    | {"n.a.", "#value!", "#ref!", "undefined", "unspecified", "anonymous", "anonymized", "anonymised", "\\n"}
)
"""Cells, in small letters, that hold no value: what spreadsheets, pandas, R and SQL write for nothing."""


def data_frame(rows: Sequence[Mapping[str, object]]) -> DataFrame:
    """Rows of the same columns as a pandas data frame.

    Raises:
        ExtraError: pandas is not installed.
    """
    with name_extra():
        import pandas

    return pandas.DataFrame(list(rows))


def is_missing(cell: str) -> bool:
    """Whether a cell holds no value.

    >>> is_missing(" NaN "), is_missing("Nana")
    (True, False)
    """
    return cell.strip().casefold() in MISSING


def value_of(cell: str) -> str:
    """The cell without outer blanks; "" where it holds no value."""
    return "" if is_missing(cell) else cell.strip()


@dataclass(frozen=True)
class Header:
    """The first line of a table."""

    columns: tuple[str, ...]
    """Names of the columns; those that a reader knows as the reader spells them."""
    delimiter: str
    line: int = 0
    """Where it stands, from 1."""


def open_text(stream: BinaryIO) -> TextIO:
    """Decode a stream by its byte order mark or its zero bytes (UTF-16), else as UTF-8, stray bytes as Windows-1252."""
    buffered = io.BufferedReader(stream, HEAD) if isinstance(stream, io.RawIOBase) else stream
    head = buffered.peek(HEAD)[:HEAD] if isinstance(buffered, io.BufferedReader) else b""
    if not head and not isinstance(buffered, io.BufferedReader):
        content = stream.read()
        buffered, head = io.BytesIO(content), content[:HEAD]
    return io.TextIOWrapper(buffered, encoding=_encoding(head), errors="windows-1252", newline="")


def read_table(path: Path, known: Collection[str] = (), needed: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of a table, each a dict by column, cells as they are. The header is checked at once.

    Args:
        path: a regular file.
        known: columns whose case does not matter; they come back spelled as here.
        needed: known columns that must be there.

    Raises:
        SourceError: no table, a needed column is missing, or a row does not fit the header. (OSError is not caught.)
    """
    rows = parse_table(lambda: path.open("rb"), str(path), known, needed)
    try:
        return chain([next(rows)], rows)
    except StopIteration:
        return iter(())


def read_header(path: Path, known: Collection[str] = ()) -> tuple[str, ...]:
    """The columns of a table; none where it cannot be read as one."""
    try:
        with path.open("rb") as stream, open_text(stream) as text:
            return _header(text, set(known)).columns
    except (OSError, UnicodeError, csv.Error):
        return ()


def parse_table(
    opened: Callable[[], BinaryIO],
    name: str,
    known: Collection[str] = (),
    needed: Sequence[str] = (),
    check: Callable[[tuple[str, ...]], object] = lambda columns: None,
) -> Iterator[Row]:
    """As `read_table`, of a stream, row by row. `check` may refuse the columns.

    Raises:
        SourceError: as `read_table`; OSError of the stream is not caught.
    """
    line = 0
    try:
        with opened() as stream, open_text(stream) as text:
            header = _header(text, {*known, *needed})
            _check_columns(name, header.columns, needed)
            check(header.columns)
            reader = csv.reader(text, delimiter=header.delimiter, strict=True)
            for cells in reader:
                line = header.line + reader.line_num
                if row := _row(name, line, header.columns, cells, {*known, *needed}):
                    yield row
    except (UnicodeError, csv.Error) as error:
        raise SourceError(f"{name}: expected a table in text, cannot read it after row {line} ({error})") from error


def _row(name: str, line: int, columns: tuple[str, ...], cells: list[str], known: set[str]) -> Row:
    """{} for an empty line."""
    if not any(map(str.strip, cells)):
        return {}
    if any(map(str.strip, cells[len(columns) :])):
        raise SourceError(
            f"{name}: row {line} has {len(cells)} cells, the header {len(columns)} columns; put quotes around cells "
            "that hold the delimiter"
        )
    padded = cells + [""] * (len(columns) - len(cells))
    row = {column: value for column, value in zip(columns, padded, strict=False) if column}
    if open_cell := next((row[column] for column in known & row.keys() if len(row[column].splitlines()) > 1), ""):
        start = open_cell.splitlines()[0]
        raise SourceError(f"{name}: before row {line + 1}, the quotation mark of the cell '{start}' is not closed")
    return row


def _check_columns(name: str, columns: tuple[str, ...], needed: Sequence[str]) -> None:
    filled = [column for column in columns if column]
    if any(column not in columns for column in needed):
        found = listed(filled) or "an empty file"
        wanted = ", ".join(needed[:-1]) + f" and {needed[-1]}" if len(needed) > 1 else needed[0]
        missing = ", ".join(column for column in needed if column not in columns)
        raise SourceError(f"{name}: expected the columns {wanted}, found {found}; missing {missing}")
    if twice := next((column for column in filled if filled.count(column) > 1), ""):
        raise SourceError(f"{name}: expected each column once, found '{twice}' twice; delete or rename one")


def listed(columns: Sequence[str]) -> str:
    """Names of columns for a message, of which there may be thousands."""
    return ", ".join([*(column[:40] for column in columns[:20]), *(["…"] if len(columns) > 20 else [])])


def _header(text: TextIO, known: set[str]) -> Header:
    """The first line that is not empty; a line `sep=;`, which Excel understands, names the delimiter."""
    stated = ""
    for number, line in enumerate(iter(lambda: text.readline(HEAD), ""), 1):
        if len(line) == HEAD and not line.endswith("\n"):
            raise csv.Error(f"its header is longer than {HEAD} letters")
        bare = line.strip().strip('"')
        if bare.casefold().startswith("sep=") and not stated:
            stated = line.strip("\r\n").strip('"')[4:5] or bare[4:5]
        elif bare.strip(",;\t| "):
            headers = (_split(line, number, delimiter, known) for delimiter in _candidates(line, stated))
            return min(headers, key=_rank(known))
    return Header((), ",")


def _candidates(line: str, stated: str) -> tuple[str, ...]:
    there = tuple(delimiter for delimiter in DELIMITERS if delimiter in line)
    return (stated,) if stated and stated in line else there or (",",)


def _rank(known: set[str]) -> Callable[[Header], tuple[int, int]]:
    """Headers with most known columns come first, then those with most columns."""
    return lambda header: (-len(known & set(header.columns)), -len(header.columns))


def _split(line: str, number: int, delimiter: str, known: set[str]) -> Header:
    spelled = {name.casefold(): name for name in known}
    names = [name.strip().strip("'\"").strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    return Header(tuple(spelled.get(name.casefold(), name) for name in names), delimiter, number)


def _encoding(head: bytes) -> str:
    for bom, encoding in (*BOMS, *BOMS_16):
        if head.startswith(bom):
            return encoding
    pairs = len(head) // 2
    even, odd = head[0 : 2 * pairs : 2].count(0), head[1 : 2 * pairs : 2].count(0)
    if pairs and max(even, odd) > 0.4 * pairs:
        return "utf-16-be" if even > odd else "utf-16-le"
    return "utf-8"


def _as_windows_1252(error: UnicodeError) -> tuple[str, int]:
    """What UTF-8 cannot decode: a file saved by an older Windows or Excel."""
    if not isinstance(error, UnicodeDecodeError) or error.encoding.lower().replace("_", "-") != "utf-8":
        raise error
    wrong = error.object[error.start : error.end]
    return "".join(bytes([byte]).decode("windows-1252", "replace") for byte in wrong), error.end


codecs.register_error("windows-1252", _as_windows_1252)
