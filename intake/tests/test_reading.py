"""Files as people send them: every encoding, line end and delimiter, and everything that breaks."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from intake import reading
from intake.reading import Reader, ReadingError, inspect
from intake.tests.files import write

SPECTRUM = [
    "comma_in_quotes",
    "empty",
    "empty_crlf",
    "escaped_quotes",
    "json",
    "newlines",
    "newlines_crlf",
    "quotes_and_newlines",
    "simple",
    "simple_crlf",
    "utf8",
]


def read(path: Path, **options: object) -> list[tuple[int, list[str], str]]:
    return [tuple(row) for row in Reader(inspect(path, **options))]  # type: ignore[arg-type,misc]


@pytest.mark.parametrize("name", SPECTRUM)
def test_every_file_of_csv_spectrum_reads_as_its_json_says(real_data: Path, name: str) -> None:
    folder = real_data / "csv-torture" / "csv-spectrum"
    layout = inspect(folder / "csvs" / f"{name}.csv")
    rows = [dict(zip(layout.columns, row.fields, strict=True)) for row in Reader(layout)]
    assert rows == json.loads((folder / "json" / f"{name}.json").read_text())


@pytest.mark.parametrize(
    ("name", "encoding", "delimiter", "rows", "problems"),
    [
        ("csvkit/bad.csv", "utf-8", ",", 3, [2, 3]),
        ("csvkit/bad_skip_lines.csv", "utf-8", ",", 3, [5, 6]),
        ("csvkit/dummy.tsv", "utf-8", "\t", 1, []),
        ("csvkit/mac_newlines.csv", "utf-8", ",", 2, []),
        ("csvkit/null_byte.csv", "utf-8", ",", 1, [2]),
        ("csvkit/sniff_limit.csv", "utf-8", ";", 1, []),
        ("csvkit/test_header_newline.csv", "utf-8", ",", 1, []),
        ("csvkit/test_latin1.csv", "cp1252", ",", 2, []),
        ("csvkit/test_skip_lines.csv", "utf-8", ",", 1, []),
        ("csvkit/test_utf16_big.csv", "utf-16", ",", 2, []),
        ("csvkit/test_utf16_little.csv", "utf-16", ",", 2, []),
        ("csvkit/test_utf8_bom.csv", "utf-8-sig", ",", 2, []),
        ("csvkit/join_a_short.csv", "utf-8", ",", 3, [2, 3]),
        ("agate/test_cr.csv", "utf-8", ",", 3, []),
        ("agate/test_csv_sniff.csv", "utf-8", "|", 3, []),
        ("agate/test_utf16_big.csv", "utf-16", ",", 2, []),
    ],
)
def test_odd_files_of_csvkit_and_agate_are_recognised(
    real_data: Path, name: str, encoding: str, delimiter: str, rows: int, problems: list[int]
) -> None:
    layout = inspect(real_data / "csv-torture" / name)
    found = list(Reader(layout))
    assert (layout.encoding, layout.delimiter, len(found)) == (encoding, delimiter, rows)
    assert [row.line for row in found if row.problem] == problems


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"\n", b"\xef\xbb\xbf\r\n", b"\xff\xfe"):
        with pytest.raises(ReadingError, match="empty"):
            inspect(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04....", "Excel"),
        (b"%PDF-1.7", "PDF"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b'{"a": 1}', "JSON"),
        (b"\xff\xfe\x00\x00a\x00\x00\x00", "UTF-32"),
        (("имя,город\n" * 20).encode("cp1251"), "Cyrillic"),
        (b"a,b\n\x81\x30", "byte 0x81"),
    ],
)
def test_a_file_of_another_kind_is_refused_by_name(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(ReadingError, match=words):
        inspect(write(tmp_path, content))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_accents_and_line_ends_come_through(tmp_path: Path, encoding: str, line_end: str) -> None:
    text = line_end.join(["name,city", "Zoë,Malmö", '"a' + line_end + 'b",Köln', ""])
    path = write(tmp_path, text.encode(encoding))
    assert read(path) == [(2, ["Zoë", "Malmö"], ""), (3, [f"a{line_end}b", "Köln"], "")]


def test_another_encoding_is_read_when_it_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, "имя,город\nИван,Тверь\n".encode("cp1251"))
    assert read(path, encoding="cp1251") == [(2, ["Иван", "Тверь"], "")]


def test_a_bad_byte_in_a_utf8_file_rejects_its_row_only(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1,Malmö Köln\n".encode() + b"2,\xe9\n3,z\n")
    assert [(row[0], row[2]) for row in read(path)] == [(2, ""), (3, "Byte 0xE9 is not utf-8."), (4, "")]


def test_a_quote_never_closed_rejects_its_line_and_not_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,"x\n2,y\n3,z\n')
    assert read(path) == [
        (2, ["1", '"x'], "A quote opened on line 2 is never closed."),
        (3, ["2", "y"], ""),
        (4, ["3", "z"], ""),
    ]


def test_text_after_a_closing_quote_names_both_lines(tmp_path: Path) -> None:
    found = read(write(tmp_path, 'a,b\n1,"x\n2,"y\n3,z\n'))
    assert found[0][2].startswith("A quote opened on line 2 is closed on line 3 and followed by more text")
    assert found[-1] == (4, ["3", "z"], "")


def test_lines_are_counted_through_quoted_line_breaks_and_blank_lines(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n1,"x\ny"\n\n,\n2,z\n3\n')
    assert [(line, bool(problem)) for line, _, problem in read(path)] == [(2, False), (6, False), (7, True)]


def test_a_field_beyond_the_cap_is_rejected(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n1," + "x" * 140_000 + "\n2,y\n")
    found = read(path)
    assert found[0][2] == "A field is longer than 131,072 characters."
    assert found[1] == (3, ["2", "y"], "")


def test_a_line_without_end_is_refused_instead_of_filling_memory(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n" + "x," * 600_000)
    with pytest.raises(ReadingError, match="Line 2 is longer than"):
        read(path)


def test_too_many_columns_and_too_large_files_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReadingError, match="1,001 columns"):
        inspect(write(tmp_path, ",".join(f"c{n}" for n in range(1001))))
    monkeypatch.setattr(reading, "MAX_BYTES", 1_000)
    with pytest.raises(ReadingError, match="larger than"):
        inspect(write(tmp_path, gzip.compress(b"a,b\n" + b"1,2\n" * 1_000)))


def test_half_a_gzip_file_is_refused_before_its_first_row(tmp_path: Path) -> None:
    whole = gzip.compress(b"a,b\n" + b"".join(b"%d,2\n" % n for n in range(9_000)))
    with pytest.raises(ReadingError, match="incomplete"):
        inspect(write(tmp_path, whole[: len(whole) // 2]))


def test_headers_that_are_empty_or_double_get_names_of_their_own(tmp_path: Path) -> None:
    layout = inspect(write(tmp_path, "a,,a\n1,2,3\n"))
    assert layout.columns == ["a [1]", "column 2", "a [3]"]
    assert len(layout.warnings) == 2


def test_excels_line_with_the_delimiter_is_not_data(tmp_path: Path) -> None:
    layout = inspect(write(tmp_path, "sep=;\na;b\n1;2\n"))
    assert (layout.delimiter, layout.columns) == (";", ["a", "b"])
    assert [row.fields for row in Reader(layout)] == [["1", "2"]]


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "a,b\n" + "some text,more text\n" * 200_000)
    tracemalloc.start()
    rows = sum(1 for _ in Reader(inspect(path)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == 200_000
    assert peak < 6_000_000
