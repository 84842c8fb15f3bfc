"""Reads CSV files as people send them, a row at a time, in memory that does not grow.

Recognises the encoding, the delimiter and the line ends, or refuses the file by name.
Every row comes with the line of the file it begins on. Knows nothing of what the columns
mean: that is `mapping`.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import hashlib
import io
import re
import zlib
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, NamedTuple, cast

# Caps. A file beyond one of them is refused with a sentence naming it.
MAX_BYTES = 4 * 1024**3  # as read, after unpacking
MAX_ROWS = 20_000_000
MAX_COLUMNS = 1_000
MAX_FIELD_CHARACTERS = 131_072
MAX_LINE_CHARACTERS = 1_048_576

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "cp1252",
    "iso-8859-1",
    "iso-8859-15",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "koi8-r",
    "mac-roman",
    "shift_jis",
    "euc-jp",
    "gb18030",
    "big5",
    "euc-kr",
)

# What people hand in instead of a CSV file, by its first bytes.
_NOT_CSV = (
    (b"PK\x03\x04", "an Excel workbook or a ZIP archive"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file"),
    (b"%PDF", "a PDF document"),
    (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"),
    (b"GIF8", "a picture"),
    (b"SQLite format 3", "an SQLite database"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"(\xb5/\xfd", "a Zstandard archive"),
    (b"PAR1", "a Parquet file"),
    (b"\x7fELF", "a program"),
)
_CP1252_HOLES = bytes((0x81, 0x8D, 0x8F, 0x90, 0x9D))
_CHUNK = 1 << 20
_BAD_BYTE = re.compile("[\udc80-\udcff]")

csv.field_size_limit(MAX_FIELD_CHARACTERS)


class ReadingError(ValueError):
    """The file cannot be read at all; the message says why, in one sentence."""


class Row(NamedTuple):
    """One row as read. A row with a `problem` has the fields that could be made out."""

    line: int
    fields: list[str]
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a file is written, found once before its rows are read."""

    path: Path
    encoding: str
    delimiter: str
    line_ends: str
    columns: list[str]
    is_compressed: bool
    has_header: bool
    file_bytes: int
    sha256: str
    first_line: int = 1
    has_bad_bytes: bool = False
    short_rows_filled: bool = False
    duplicate_columns: frozenset[str] = frozenset()
    warnings: list[str] = field(default_factory=list)

    @property
    def delimiter_name(self) -> str:
        return DELIMITERS.get(self.delimiter, self.delimiter)


def _open_bytes(path: Path, *, is_compressed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if is_compressed else path.open("rb"))


def _chunks(path: Path, *, is_compressed: bool) -> Iterator[bytes]:
    total = 0
    try:
        with _open_bytes(path, is_compressed=is_compressed) as file:
            while chunk := file.read(_CHUNK):
                total += len(chunk)
                if total > MAX_BYTES:
                    raise ReadingError(f"The file is larger than {MAX_BYTES // 1024**3} GB. Split it.")
                yield chunk
    except EOFError as error:
        raise ReadingError("The gzip file is incomplete: it ends in the middle. Nothing was read.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ReadingError(f"The gzip file is damaged ({error}). Nothing was read.") from error


def _decodes(path: Path, encoding: str, *, is_compressed: bool) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in _chunks(path, is_compressed=is_compressed):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _broken_utf8_score(path: Path, *, is_compressed: bool) -> tuple[int, int]:
    """Return how many characters beyond ASCII are good UTF-8, and how many bytes are not."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    good = bad = 0
    for chunk in [*_chunks(path, is_compressed=is_compressed), b""]:
        text = decoder.decode(chunk, final=not chunk)
        broken = len(_BAD_BYTE.findall(text))
        bad += broken
        good += sum(1 for character in text if character > "\x7f") - broken
    return good, bad


def _recognise_encoding(path: Path, start: bytes, *, is_compressed: bool) -> tuple[str, bool]:
    """Return the encoding and whether single rows hold bytes that are not of it."""
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise ReadingError("The file is UTF-32, which is not read. Save it as UTF-8.")
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if not _decodes(path, "utf-16", is_compressed=is_compressed):
            raise ReadingError("The file begins as UTF-16 and then is not. It may be cut or damaged.")
        return "utf-16", False
    even, odd = start[::2].count(0), start[1::2].count(0)
    half = len(start) / 2
    if half >= 4 and max(even, odd) > 0.4 * half and min(even, odd) < 0.1 * half:
        encoding = "utf-16-be" if even > odd else "utf-16-le"
        if _decodes(path, encoding, is_compressed=is_compressed):
            return encoding, False
    if _decodes(path, "utf-8", is_compressed=is_compressed):
        return ("utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"), False
    good, bad = _broken_utf8_score(path, is_compressed=is_compressed)
    if good > bad or start.startswith(codecs.BOM_UTF8):
        return ("utf-8-sig" if start.startswith(codecs.BOM_UTF8) else "utf-8"), True
    high = letters = 0
    for chunk in _chunks(path, is_compressed=is_compressed):
        if hole := next((byte for byte in _CP1252_HOLES if byte in chunk), None):
            raise ReadingError(
                f"The encoding is neither UTF-8, UTF-16 nor Windows-1252 (byte 0x{hole:02X} is in none of "
                'them). Save the file as UTF-8, or name its encoding in the mapping: "file": {"encoding": …}.'
            )
        high_here = sum(1 for byte in chunk if byte >= 0xC0)
        high += high_here
        letters += high_here + sum(1 for byte in chunk if 65 <= byte <= 90 or 97 <= byte <= 122)
    if high >= 20 and high > 0.4 * letters:
        # Western text has an accent here and there; Cyrillic or Greek read as
        # Windows-1252 is nearly all accents, and would be stored as nonsense.
        raise ReadingError(
            "The encoding is not UTF-8, and as Windows-1252 the text is nearly all accented letters: it may "
            "be Cyrillic, Greek or Asian. Save it as UTF-8, or name its encoding in the mapping: "
            '"file": {"encoding": …}.'
        )
    return "cp1252", False


def _recognise_delimiter(sample: str) -> str:
    """Return the delimiter that splits the header, and most rows alike; comma for one column."""
    best, best_score = ",", (0.0, 0)
    lines = sample.splitlines(keepends=True)
    if len(lines) > 1 and not sample.endswith(("\n", "\r")):
        lines.pop()  # the sample's own end cuts it
    for delimiter in DELIMITERS:
        widths = []
        try:
            for fields in csv.reader(lines, delimiter=delimiter):
                if fields:
                    widths.append(len(fields))
                if len(widths) == 200:
                    break
        except csv.Error:
            pass
        if not widths or widths[0] < 2:
            continue
        alike = sum(1 for width in widths if width == widths[0]) / len(widths)
        if (alike, widths[0]) > best_score:
            best, best_score = delimiter, (alike, widths[0])
    return best


def _name_columns(cells: list[str]) -> tuple[list[str], frozenset[str], list[str]]:
    """Return names that are all different, those that stood more than once, and warnings."""
    names = [" ".join(cell.split()) for cell in cells]
    counts = Counter(names)
    duplicates = frozenset(name for name, count in counts.items() if name and count > 1)
    warnings = [
        f"Column “{name}” stands {counts[name]} times in the header; they are called "
        + " and ".join(f"“{name} [{at}]”" for at, other in enumerate(names, 1) if other == name)
        + " here."
        for name in sorted(duplicates)
    ]
    columns = []
    for position, name in enumerate(names, 1):
        if not name:
            name = f"column {position}"
            warnings.append(f"Column {position} has no name in the header; it is called “{name}” here.")
        elif name in duplicates:
            name = f"{name} [{position}]"
        columns.append(name)
    return columns, duplicates, warnings


def inspect(
    path: Path | str,
    *,
    encoding: str = "",
    delimiter: str = "",
    has_header: bool = True,
    short_rows_filled: bool = False,
) -> Layout:
    """Return how the file is written, after one pass over its bytes.

    Raises ReadingError for a file that is missing, empty, cut, not a table, or in an
    encoding that cannot be recognised.
    """
    path = Path(path)
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            is_compressed = file.read(2) == b"\x1f\x8b"
    except FileNotFoundError as error:
        raise ReadingError(f"There is no file {path}.") from error
    except OSError as error:
        raise ReadingError(f"{path} cannot be read: {error.strerror}.") from error

    digest = hashlib.sha256()
    start = b""
    for chunk in _chunks(path, is_compressed=is_compressed):
        digest.update(chunk)
        if len(start) < 65_536:
            start += chunk[: 65_536 - len(start)]
    if not start.strip(b"\x00\t\r\n \xef\xbb\xbf\xff\xfe"):
        raise ReadingError("The file is empty.")
    for magic, what in _NOT_CSV:
        if start.startswith(magic):
            raise ReadingError(f"The file is {what}, not a CSV file. Save or export the table as CSV.")

    if encoding:
        has_bad_bytes = False
        if not _decodes(path, encoding, is_compressed=is_compressed):
            raise ReadingError(f"The file is not {encoding}, the encoding named in the mapping.")
    else:
        encoding, has_bad_bytes = _recognise_encoding(path, start, is_compressed=is_compressed)
    sample = codecs.getincrementaldecoder(encoding)("replace").decode(start)
    head = sample.lstrip("\ufeff \t\r\n")[:200].lower()
    if head.startswith(("<!doctype", "<html", "<?xml")):
        raise ReadingError("The file is a web page or XML, not a CSV file.")
    if head.startswith(("{", "[")) and ('":' in head or '": ' in head):
        raise ReadingError("The file is JSON, not a CSV file.")

    body = sample.lstrip("\ufeff")
    if not delimiter:
        # Excel writes its delimiter into a first line of its own.
        named = re.match(r'\s*"?sep=([,;\t|])"?\r?\n?', body)
        delimiter = named.group(1) if named else _recognise_delimiter(body)
    line_ends = "CRLF" if "\r\n" in sample else "CR" if "\r" in sample and "\n" not in sample else "LF"

    draft = Layout(
        path=path,
        encoding=encoding,
        delimiter=delimiter,
        line_ends=line_ends,
        columns=[],
        is_compressed=is_compressed,
        has_header=has_header,
        file_bytes=file_bytes,
        sha256=digest.hexdigest(),
        has_bad_bytes=has_bad_bytes,
    )
    first = next((row for row in Reader(draft) if row.fields), None)
    if first is None:
        raise ReadingError("The file has no header line.")
    if first.problem:
        raise ReadingError(f"Line {first.line}, the header, cannot be read: {first.problem}")
    if len(first.fields) > MAX_COLUMNS:
        raise ReadingError(f"The file has {len(first.fields):,} columns; at most {MAX_COLUMNS:,} are read.")
    if has_header:
        columns, duplicates, warnings = _name_columns(first.fields)
    else:
        columns, duplicates, warnings = (
            [f"column {n}" for n in range(1, len(first.fields) + 1)],
            frozenset(),
            [],
        )
    return Layout(
        path=path,
        encoding=encoding,
        delimiter=delimiter,
        line_ends=line_ends,
        columns=columns,
        is_compressed=is_compressed,
        has_header=has_header,
        file_bytes=file_bytes,
        sha256=digest.hexdigest(),
        first_line=first.line,
        has_bad_bytes=has_bad_bytes,
        short_rows_filled=short_rows_filled,
        duplicate_columns=duplicates,
        warnings=warnings,
    )


class _Lines:
    """The file's lines, counted; lines can be handed back to be read again."""

    def __init__(self, text: IO[str]) -> None:
        self.text = text
        self.number = 0
        self.taken: list[str] = []  # since the current row began
        self.waiting: deque[str] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self.waiting.popleft() if self.waiting else self.text.readline(MAX_LINE_CHARACTERS)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        if len(line) == MAX_LINE_CHARACTERS and not line.endswith(("\n", "\r")):
            raise ReadingError(f"Line {self.number} is longer than {MAX_LINE_CHARACTERS:,} characters.")
        return line

    def hand_back_all_but_first(self) -> None:
        self.number -= len(self.taken) - 1
        self.waiting.extendleft(reversed(self.taken[1:]))
        self.taken.clear()


def _problem_of(error: csv.Error, lines: list[str], line: int) -> str:
    text = str(error)
    if "unexpected end of data" in text or (len(lines) > 1 and "field limit" in text):
        return f"A quote opened on line {line} is never closed."
    if "field limit" in text:
        return f"A field is longer than {MAX_FIELD_CHARACTERS:,} characters."
    if "expected after" in text:
        where = (
            f"A quote opened on line {line} is closed on line {line + len(lines) - 1}"
            if len(lines) > 1
            else "A quote is closed"
        )
        return f"{where} and followed by more text; a quote inside quotes is written twice."
    return f"The row cannot be read ({text})."


class Reader:
    """The rows below the header, one at a time.

    A row that cannot be read (a quote never closed, a NUL byte, more or fewer fields than
    the header) comes with its problem, and reading goes on with the next line.
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.blank_rows = 0
        self._file: IO[bytes] | None = None

    @property
    def bytes_read(self) -> int:
        """How far we are in the file as stored, for a progress bar against `file_bytes`."""
        return self._file.tell() if self._file is not None and not self._file.closed else 0

    def __iter__(self) -> Iterator[Row]:
        layout = self.layout
        self._file = layout.path.open("rb")
        with self._file as raw:
            unpacked = gzip.GzipFile(fileobj=raw, mode="rb") if layout.is_compressed else raw
            errors = "surrogateescape" if layout.has_bad_bytes else "strict"
            text = io.TextIOWrapper(unpacked, encoding=layout.encoding, errors=errors, newline="")
            yield from self._rows(_Lines(text))

    def _rows(self, lines: _Lines) -> Iterator[Row]:
        layout = self.layout
        width = len(layout.columns)
        is_draft = not width  # inspect() reads the header with a layout that has no columns yet
        header_pending = layout.has_header and not is_draft
        rows = 0
        parse = csv.reader(lines, delimiter=layout.delimiter, strict=True)
        taken = lines.taken
        while True:
            taken.clear()
            line = lines.number + 1
            try:
                fields = next(parse)
            except StopIteration:
                return
            except csv.Error as error:
                problem = _problem_of(error, taken, line)
                fields = taken[0].rstrip("\r\n").split(layout.delimiter)
                lines.hand_back_all_but_first()
                rows += 1
                yield Row(line, fields, problem)
                continue
            if not any(fields):
                self.blank_rows += 1
                continue
            if line == 1 and len(taken) == 1 and re.fullmatch(r'"?sep=.?"?\s*', taken[0]):
                continue
            if header_pending:
                header_pending = False
                continue
            rows += 1
            if rows > MAX_ROWS:
                raise ReadingError(f"The file has more than {MAX_ROWS:,} rows. Split it.")
            problem = ""
            for physical in taken:
                if "\0" in physical:
                    problem = "The row holds a NUL byte."
                elif layout.has_bad_bytes and (bad := _BAD_BYTE.search(physical)):
                    problem = f"Byte 0x{ord(bad.group()) - 0xDC00:02X} is not {layout.encoding}."
            if problem:
                fields = [_BAD_BYTE.sub("\ufffd", value).replace("\0", "\u2400") for value in fields]
            elif not is_draft and len(fields) != width:
                extra = fields[width:]
                if extra and not any(extra):
                    fields = fields[:width]  # trailing delimiters, as spreadsheets write them
                elif not extra and layout.short_rows_filled:
                    fields += [""] * (width - len(fields))
                else:
                    noun = "field" if len(fields) == 1 else "fields"
                    problem = f"The row has {len(fields)} {noun}, the header {width}."
            yield Row(line, fields, problem)
