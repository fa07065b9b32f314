from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lucency.data import read_dataset
from lucency.errors import SourceError
from sample_sources import jpeg, put, write_csv


def table(root: Path, text: str | bytes, name: str = "films.csv", films: str = "abcd") -> Path:
    for film in films:
        put(root / f"{film}.jpg", jpeg())
    return put(root / name, text if isinstance(text, bytes) else text.encode())


def test_known_columns_are_understood_and_others_kept(tmp_path: Path) -> None:
    films = read_dataset(write_csv(tmp_path))
    assert films.labels == ("normal", "ill")
    first = films.samples[1]
    assert (first.name, first.label, first.patient, first.split) == ("films/1.jpg", 1, "p0", "train")
    assert first.columns == {"age": "31"}
    assert films.warnings == ()


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_dialects(tmp_path: Path, delimiter: str, encoding: str, newline: str) -> None:
    lines = ["Path,Label,Größe", "a.jpg,normal,5", "b.jpg,ill,6", ""]
    text = newline.join(line.replace(",", delimiter) for line in lines)
    films = read_dataset(table(tmp_path, text.encode(encoding), "films.tsv"))
    assert films.class_counts() == {"normal": 1, "ill": 1}
    assert films.samples[0].columns == {"Größe": "5"}


def test_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    films = read_dataset(table(tmp_path, "path,label\nc.jpg,ill\na.jpg,normal\nb.jpg,ill\n"))
    assert [record.name for record in films.samples] == ["a.jpg", "b.jpg", "c.jpg"]


def test_several_findings_a_film(tmp_path: Path) -> None:
    text = "path,label,patient\na.jpg,No Finding,1\nb.jpg,Mass|Edema,2\nc.jpg,Edema,3\n"
    films = read_dataset(table(tmp_path, text))
    assert films.task == "multilabel"
    assert films.labels == ("Edema", "Mass")
    assert films.label_array().tolist() == [[0, 0], [1, 1], [1, 0]]
    assert films.class_counts() == {"Edema": 2, "Mass": 1}


def test_a_column_for_each_finding(tmp_path: Path) -> None:
    text = "path,patient,age,Mass,Edema,Hernia\na.jpg,1,50,0,0,0\nb.jpg,2,61,1,1,0\nc.jpg,3,1,0,1,0\n"
    films = read_dataset(table(tmp_path, text))
    assert (films.task, films.labels) == ("multilabel", ("Edema", "Mass"))
    assert films.label_array().tolist() == [[0, 0], [1, 1], [1, 0]]
    assert films.samples[0].columns == {"age": "50", "Hernia": "0"}
    assert any("Mass, Edema" in warning for warning in films.warnings)


def test_no_label_and_no_findings(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected the column label, or two or more columns of 0 and 1"):
        read_dataset(table(tmp_path, "path,patient,Mass\na.jpg,1,0\nb.jpg,2,1\nc.jpg,3,0\n"))


def test_three_labels_are_multiclass(tmp_path: Path) -> None:
    films = read_dataset(table(tmp_path, "path,label\na.jpg,virus\nb.jpg,normal\nc.jpg,bacteria\n"))
    assert (films.task, films.labels) == ("multiclass", ("normal", "bacteria", "virus"))


def test_boxes_become_a_mask(tmp_path: Path) -> None:
    put(tmp_path / "b.jpg", jpeg(size=(10, 6)))
    text = "path,label,x,y,width,height\na.jpg,normal,,,,\nb.jpg,ill,1,2,3,2\nb.jpg,ill,8,0,5,1\n"
    films = read_dataset(table(tmp_path, text, films="a"))
    normal, ill = films.samples
    assert normal.mask is None
    assert ill.mask is not None
    expected = np.zeros((6, 10), dtype=bool)
    expected[2:4, 1:4] = True
    expected[0, 8:10] = True  # the second box reaches beyond the film
    np.testing.assert_array_equal(ill.mask(), expected)


def test_mask_from_an_image(tmp_path: Path) -> None:
    drawn = np.zeros((32, 40), dtype=np.uint8)
    drawn[3:5, 7:9] = 255
    stream = io.BytesIO()
    Image.fromarray(drawn).save(stream, "PNG")
    put(tmp_path / "masks" / "b.png", stream.getvalue())
    films = read_dataset(table(tmp_path, "path,label,mask\na.jpg,normal,\nb.jpg,ill,masks/b.png\n"))
    normal, ill = films.samples
    assert normal.mask is None
    assert ill.mask is not None
    np.testing.assert_array_equal(ill.mask(), drawn > 0)


def test_what_cannot_be_used_is_reported(tmp_path: Path) -> None:
    text = "path,label,patient\na.jpg,normal,1\nb.jpg,ill,\nc.jpg,,2\ngone.jpg,ill,3\n\n"
    films = read_dataset(table(tmp_path, text))
    assert len(films) == 2
    assert films.warnings == (
        "left out 1 film without a label",
        "left out 1 film not found on disk",
        "1 films do not name their patient; each counts as a patient of its own",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,class\na.jpg,ill\n", "expected the columns path and label, found file, class"),
        ("", "expected the columns path and label, found an empty file"),
        ("path,label\ngone.jpg,ill\n", "found none; the first, gone.jpg, is not there"),
        ("path,label\na.jpg,ill\nb.jpg,ill\n", "at least two classes, found one only: 2 of 'ill'"),
        ("path,label,split\na.jpg,ill,fold3\nb.jpg,no,test\n", "expected the split train, val or test, found 'fold3'"),
        ("path,label\na.jpg,ill\na.jpg,no\n", "expected one row a film .*, found a.jpg on several"),
        ("path,label,x,y,width,height\na.jpg,ill,1,2,wide,4\nb.jpg,no,,,,\n", "found x '1', y '2', width 'wide'"),
        ("path,label,x,y,width,height\na.jpg,ill,1,2,-3,4\nb.jpg,no,,,,\n", "expected a box as x, y, width, height"),
    ],
)
def test_tables_that_make_no_sense(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = table(tmp_path, text)
    with pytest.raises(SourceError, match=message) as caught:
        read_dataset(path)
    assert "\n" not in str(caught.value)


def test_several_tables_in_a_folder(tmp_path: Path) -> None:
    table(tmp_path, "path,label\na.jpg,ill\nb.jpg,no\n")
    table(tmp_path, "path,label\na.jpg,ill\nb.jpg,no\n", "more.csv")
    with pytest.raises(SourceError, match=r"expected one table .*found films.csv, more.csv; name the table itself"):
        read_dataset(tmp_path, "csv")
    assert len(read_dataset(tmp_path / "more.csv")) == 2
