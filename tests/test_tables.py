"""One tolerant reader for tables as Excel, pandas, R and people save them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lucency.errors import SourceError
from lucency.tables import is_missing, read_header, read_table

KNOWN = ("path", "label")
ROWS = [{"path": "ä.jpg", "label": "normal", "Größe": "5"}, {"path": "b.jpg", "label": "x;y", "Größe": "6"}]
TEXT = 'Path;LABEL;Größe\nä.jpg;normal;5\n\nb.jpg;"x;y";6\n'


def rows(path: Path, content: str | bytes) -> list[dict[str, str]]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(read_table(path, KNOWN, KNOWN))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252"]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends(tmp_path: Path, encoding: str, newline: str) -> None:
    assert rows(tmp_path / "t.csv", TEXT.replace("\n", newline).encode(encoding)) == ROWS


def test_stray_bytes_far_down_are_windows_1252(tmp_path: Path) -> None:
    text = "path,label\n" + "a.jpg,normal\n" * 20_000
    found = rows(tmp_path / "t.csv", text.encode() + b"h\xf4pital.jpg,normal\n")
    assert (len(found), found[-1]["path"]) == (20_001, "hôpital.jpg")


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na,b\n",
        "PATH;Label\na;b\n",
        "path\tlabel\na\tb\n",
        "path|label\na|b\n",
        "sep=;\npath;label\na;b\n",
        "SEP=,\r\npath,label\r\na,b\r\n",
        '"sep=;"\n"path";"label"\n"a";"b"\n',
        "\n\n path , label \n a , b \n",
        "path,label,,\na,b,,\n",
        "path,label,note\na,b\n",
        "'path','label'\na,b\n",
    ],
)
def test_dialects(tmp_path: Path, text: str) -> None:
    (found,) = rows(tmp_path / "t.csv", text)
    assert (found["path"].strip(), found["label"].strip()) == ("a", "b")
    assert "" not in found


def test_the_delimiter_of_a_header_with_both(tmp_path: Path) -> None:
    assert rows(tmp_path / "t.csv", "path;label;size, weight, age\na;b;1\n")[0]["size, weight, age"] == "1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the columns path and label, found an empty file"),
        ("file,class\na,b\n", "found file, class"),
        ("path,label,Label\na,b,c\n", "found 'label' twice"),
        (",".join(f"c{number}" for number in range(20000)), "its header is longer than 65536 letters"),
        (",".join(f"c{number}" for number in range(9000)), "found c0, .*c19, …; missing"),
        ("path,label\na, left,b\n", "row 2 has 3 cells, the header 2 columns"),
        ('path,label\na,"b\nc,d\n', "cannot read it"),
        ('path,label\na,"b\nc,d"\n', "quotation mark of the cell 'b' is not closed"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        rows(tmp_path / "t.csv", text)


def test_a_note_may_have_several_lines(tmp_path: Path) -> None:
    assert rows(tmp_path / "t.csv", 'path,label,note\na,b,"one\ntwo"\n')[0]["note"] == "one\ntwo"


def test_a_header_that_is_none(tmp_path: Path) -> None:
    assert read_header(tmp_path / "missing.csv") == ()


def test_cells_without_a_value() -> None:
    assert all(map(is_missing, ("", " ", "nan", "NaN", "NA", "n/a", "#N/A", "<NA>", "null", "-", "?", "unknown")))
    assert not any(map(is_missing, ("none", "no", "0", "Nana", "Nathan", "normal")))
