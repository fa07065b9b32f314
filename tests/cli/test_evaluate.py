"""`lucency evaluate` and `compare`, from films on disk to the report; films that a reader learned from are left out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from lucency.bundle import open_bundle, write_bundle
from lucency.cli import run
from lucency.data import read_dataset
from lucency.data.learned import LEARNED, Learned, find_seen, hashes_of, learned_bytes, read_learned
from lucency.errors import BundleError

from .brightness import write_brightness_bundle, write_film, write_films


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle; chest_xray/ with a train and a test split. In test one normal film of four is too bright."""
    root = tmp_path_factory.mktemp("evaluate")
    write_brightness_bundle(root / "bundle")
    write_films(root / "chest_xray" / "train", [50, 60, 70], [180, 190, 200], first=100)
    write_films(root / "chest_xray" / "test", [60, 70, 80, 150], [140, 180, 190, 200, 210, 220])
    return root


def report_of(place: Path, data: str, out: Path, *more: str) -> dict:  # type: ignore[type-arg]
    where = ["--data", str(place / data), "--out", str(out), "--resamples", "100"]
    assert run(["evaluate", str(place / "bundle"), *where, *more]) == 0
    return json.loads((out / "report.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("data", ["chest_xray", "chest_xray/test"])
def test_the_test_split_from_its_parent_and_itself(place: Path, tmp_path: Path, data: str) -> None:
    report = report_of(place, data, tmp_path)
    assert (report["films"], report["patients"]) == (10, 10)
    assert report["confusion"]["counts"]["all"] == [[3, 1], [0, 6]]
    assert report["films_per_label"] == {"normal": 4, "pneumonia": 6}
    assert report["split"] == ("test" if data == "chest_xray" else "all")
    # One pair of 24 is the wrong way round: the normal of 150 before the positive of 140.
    assert next(m for m in report["metrics"] if m["name"] == "auroc")["value"] == pytest.approx(23 / 24)


def test_another_split(place: Path, tmp_path: Path) -> None:
    assert report_of(place, "chest_xray", tmp_path / "train", "--split", "train")["films"] == 6
    assert report_of(place, "chest_xray", tmp_path / "all", "--split", "all")["films"] == 16


def test_a_missing_split_is_an_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray"), "--split", "val"]) == 4
    assert "found test (10 films), train (6 films)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "there", "missing"),
    [("NORMAL", "specificity", "sensitivity"), ("PNEUMONIA", "sensitivity", "specificity")],
)
def test_films_of_one_class(place: Path, tmp_path: Path, kind: str, there: str, missing: str) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / kind).symlink_to(place / "chest_xray" / "test" / kind)
    report = report_of(place, str(tmp_path / "films"), tmp_path / "out")
    found = {one["name"]: one for one in report["metrics"]}
    assert found[there]["value"] == (0.75 if kind == "NORMAL" else 1.0)
    assert found[there]["low"] < found[there]["value"]
    assert found[missing]["value"] is None
    assert found["auroc"]["value"] is None


def test_a_given_threshold(place: Path, tmp_path: Path) -> None:
    report = report_of(place, "chest_xray", tmp_path, "--threshold", "0.95")
    assert report["threshold"] == 0.95
    assert report["threshold_chosen_by"] == "given"
    # The logit of gray 180 is 3.25, a probability of .963; gray 140 gives .75 and 150 .75 too little.
    assert report["confusion"]["counts"]["all"] == [[4, 0], [1, 5]]


def test_the_command_in_the_report_reproduces_it(place: Path, tmp_path: Path) -> None:
    import shlex

    first = report_of(place, "chest_xray", tmp_path / "first", "--threshold", "0.9")
    program, *arguments = shlex.split(first["command"])
    assert program == "lucency"
    assert run([*arguments, "--out", str(tmp_path / "again"), "--resamples", "100"]) == 0
    assert (tmp_path / "again" / "report.json").read_bytes() == (tmp_path / "first" / "report.json").read_bytes()


def test_unreadable_films_are_skipped_and_reported(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_films(tmp_path / "films", [60, 70], [200, 210])
    (data / "NORMAL" / "IM-0900-0001.png").write_bytes(b"not a film")
    assert run(["evaluate", str(place / "bundle"), "--data", str(data), "--out", str(tmp_path / "out")]) == 3
    printed = capsys.readouterr().err
    assert "1 of 5 films could not be read" in printed
    assert "IM-0900-0001.png" in printed
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["films"] == 4
    assert "IM-0900-0001.png" in report["unread"][0]


def test_table_and_json(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray")]) == 0
    table = capsys.readouterr().out
    assert "10 films, 10 patients (normal 4, pneumonia 6); split test of" in table
    assert "called at or above 0.5 (hand)" in table
    assert "sensitivity               1.000 (0.541 to 1.000)" in table
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["films"] == 10


def test_unknown_labels_are_an_error(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cat", "dog"):
        write_film(tmp_path / name / "a.png", 90)
    assert run(["evaluate", str(place / "bundle"), "--data", str(tmp_path)]) == 4
    assert "expected the labels normal, pneumonia" in capsys.readouterr().err


def test_by_a_column(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = report_of(place, "chest_xray", tmp_path, "--by", "cause")
    parts = {part["value"]: part for part in report["subgroups"]}
    assert set(parts) == {"bacteria", "normal"}
    assert (parts["bacteria"]["films"], parts["normal"]["films"]) == (6, 4)
    figures = {figure["name"]: figure["value"] for figure in parts["normal"]["figures"]}
    assert figures["specificity"] == pytest.approx(3 / 4)
    assert figures["sensitivity"] is None
    printed = capsys.readouterr().out
    assert "by cause" in printed
    assert "0.750 (" in printed


def test_by_a_missing_column(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "chest_xray"), "--by", "sex"]) == 2
    assert "expected one of the columns that the films have (cause); received 'sex'" in capsys.readouterr().err


def test_stored_predictions_are_evaluated_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = report_of(place, "chest_xray", tmp_path / "first")
    capsys.readouterr()
    again = ["evaluate", str(tmp_path / "first"), "--resamples", "100", "--json"]
    assert run(again) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["metrics"] == first["metrics"]
    assert (output["split"], output["reader_sha256"]) == ("test", first["reader_sha256"])
    assert run([*again, "--threshold", "0.95"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["threshold"], output["threshold_chosen_by"]) == (0.95, "given")
    assert output["confusion"]["counts"]["all"] == [[4, 0], [1, 5]]


def test_a_bundle_without_films_is_a_usage_error(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", str(place / "bundle")]) == 2
    assert "name the films it should read with --data DIR" in capsys.readouterr().err


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bundles that differ in their threshold, and films on which that matters."""
    root = tmp_path_factory.mktemp("compare")
    write_brightness_bundle(root / "first")
    write_brightness_bundle(root / "strict", threshold=0.99)
    write_films(root / "films", [50, 60, 70, 150], [140, 150, 210, 220])
    return root


def test_bundles_on_films(pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--data", str(pair / "films"), "--resamples", "100"]
    assert (
        run(
            [
                "compare",
                str(pair / "first"),
                str(pair / "strict"),
                *where,
                "--out",
                str(tmp_path / "c.json"),
            ]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "8 films, 8 patients" in printed
    # The first calls 150, 140, 150, 210 and 220; the strict one (logit 4.6, gray 201.5) only 210 and 220.
    assert "right: only A 2, only B 1" in printed
    output = json.loads((tmp_path / "c.json").read_text())
    (finding,) = output["findings"]
    assert finding["auroc"]["difference"] == 0
    assert finding["auroc"]["p"] == 1
    shares = {share["name"]: share for share in finding["shares"]}
    assert shares["sensitivity"]["difference"] == pytest.approx(0.5)
    assert shares["specificity"]["difference"] == pytest.approx(-0.25)
    assert shares["accuracy"]["balance"] == {"only_a": 2, "only_b": 1, "films": 8, "exact": 1.0, "mid_p": 0.625}
    assert output["thresholds"] == [0.5, 0.99]


def test_stored_predictions(pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("first", "strict"):
        judge = ["evaluate", str(pair / name), "--data", str(pair / "films"), "--resamples", "100"]
        assert run([*judge, "--out", str(tmp_path / name)]) == 0
    capsys.readouterr()
    files = [str(tmp_path / "first"), str(tmp_path / "strict" / "predictions.csv")]
    assert run(["compare", *files, "--resamples", "100", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["thresholds"] == [0.5, 0.99]
    assert output["findings"][0]["shares"][0]["balance"]["only_a"] == 2


def test_different_films_are_an_error(pair: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_films(tmp_path / "others", [50, 60], [200, 210], first=50)
    for name, data in (("a", pair / "films"), ("b", tmp_path / "others")):
        judge = ["evaluate", str(pair / "first"), "--data", str(data), "--resamples", "100"]
        assert run([*judge, "--out", str(tmp_path / name)]) == 0
    assert run(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 4
    assert "8 are only in the first and 4 only in the second" in capsys.readouterr().err


def test_a_bundle_needs_films(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(pair / "first"), str(pair / "strict")]) == 2
    assert "name the films it should read with --data DIR" in capsys.readouterr().err


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve films under names of their own; a bundle that learned from six and chose its checkpoint by two of them."""
    root = tmp_path_factory.mktemp("unseen")
    write_films(root / "films", [90, 100, 110, 120, 130, 140], [125, 135, 150, 160, 170, 180])
    shutil.copytree(root / "films", root / "once")
    for path in (root / "once").rglob("*.png"):  # the same content by another name and time
        path.rename(path.with_name(path.name.replace("000", "100").replace("person", "person9")))
    films = read_dataset(root / "once")
    train, val = films.subset([0, 1, 2, 6, 7, 8]), films.subset([3, 9])
    plain = open_bundle(write_brightness_bundle(root / "plain"))
    files = {name: plain.read(name) for name in plain.card.files}
    write_bundle(root / "bundle", plain.card, {**files, LEARNED: learned_bytes(train, val)})
    return root


def evaluate(known: Path, capsys: pytest.CaptureFixture[str], *more: str, bundle: str = "bundle") -> dict:  # type: ignore[type-arg]
    data = ["--data", str(known / "films"), "--resamples", "100", "--json"]
    assert run(["evaluate", str(known / bundle), *data, *more]) == 0
    found: dict = json.loads(capsys.readouterr().out)  # type: ignore[type-arg]
    return found


def test_they_are_counted_and_named(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(known, capsys)
    assert found["films"] == 12
    assert (len(found["seen"]["train"]), len(found["seen"]["val"])) == (6, 2)
    assert found["seen"]["train"][0] == "NORMAL/IM-0001-0001.png"
    assert "6 that it learned from and 2 that validated it" in found["data_warnings"][-1]
    assert run(["evaluate", str(known / "bundle"), "--data", str(known / "films"), "--resamples", "100"]) == 0
    assert "among these 12 films are 6 that it learned from" in capsys.readouterr().out


def test_they_are_left_out(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(known, capsys, "--only-unseen")
    assert (found["films"], found["seen"]["left_out"]) == (4, True)


def test_what_chose_the_checkpoint_is_judged(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(known, capsys, "--split", "val")
    assert (found["films"], found["split"]) == (2, "val")


def test_a_bundle_that_does_not_say(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(known, capsys, bundle="plain")["seen"]["train"] == []


def test_nothing_is_left(known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_film(tmp_path / "NORMAL" / "a.png", 90)
    write_film(tmp_path / "PNEUMONIA" / "b.png", 125)
    assert run(["evaluate", str(known / "bundle"), "--data", str(tmp_path), "--only-unseen"]) == 4
    assert "it has seen all 2" in capsys.readouterr().err
    assert run(["evaluate", str(known / "bundle"), "--data", str(tmp_path), "--split", "val"]) == 4
    assert "expected its validation films" in capsys.readouterr().err


def test_two_readers_are_compared_on_what_neither_has_seen(known: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "compare",
        *(str(known / name) for name in ("plain", "bundle")),
        "--data",
        str(known / "films"),
    ]
    assert run([*command, "--resamples", "100", "--only-unseen", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["films"], len(found["seen"]["B"]["train"])) == (4, 6)


def test_a_resized_film_of_a_public_set_is_known_by_its_name(tmp_path: Path) -> None:
    write_films(tmp_path / "small", [90, 100], [150, 160])
    write_films(tmp_path / "other", [91, 101, 111], [151, 161, 171])
    small, other = (read_dataset(tmp_path / name, "kermany") for name in ("small", "other"))
    learned = Learned(train=frozenset().union(*hashes_of(small)))
    assert len(find_seen(other, [learned]).train) == 4
    assert len(find_seen(replace(other, source="folder"), [learned]).train) == 0


def test_the_file_does_not_keep_the_order(known: Path) -> None:
    films = read_dataset(known / "films")
    turned = replace(films, samples=tuple(reversed(films.samples)))
    assert learned_bytes(films, films) == learned_bytes(turned, turned)
    assert len(learned_bytes(films, films)) < 1200
    hashes = frozenset().union(*hashes_of(films))
    assert len(find_seen(films, [Learned(val=hashes), None]).val) == 12


def test_a_broken_file_is_an_error_of_the_bundle(known: Path, tmp_path: Path) -> None:
    good = open_bundle(known / "bundle")
    files = {name: good.read(name) for name in good.card.files}
    for number, text in enumerate((b"[]", b"{}", b'{"train": "AAAA", "val": ""}', b'{"train": 3, "val": ""}')):
        write_bundle(tmp_path / str(number), good.card, {**files, LEARNED: text})
        with pytest.raises(BundleError, match=LEARNED):
            read_learned(open_bundle(tmp_path / str(number)))


def test_a_worse_recalibration_is_not_written_unasked(
    known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve films, well calibrated already: ten folds of one or two cannot do better."""
    command = ["recalibrate", str(known / "plain"), "--data", str(known / "films"), "--folds", "6"]
    command += ["--method", "isotonic", "--resamples", "100", "--coverage", "0", "--out", str(tmp_path / "new")]
    assert run(command) == 4
    assert "--force" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert run([*command, "--force"]) == 0
    assert (tmp_path / "new" / "card.json").is_file()
