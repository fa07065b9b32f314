"""Films that a reader learned from are counted, named and left out, by their content."""

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


def evaluate(place: Path, capsys: pytest.CaptureFixture[str], *more: str, bundle: str = "bundle") -> dict:  # type: ignore[type-arg]
    data = ["--data", str(place / "films"), "--resamples", "100", "--json"]
    assert run(["evaluate", str(place / bundle), *data, *more]) == 0
    found: dict = json.loads(capsys.readouterr().out)  # type: ignore[type-arg]
    return found


def test_they_are_counted_and_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(place, capsys)
    assert found["films"] == 12
    assert (len(found["seen"]["train"]), len(found["seen"]["val"])) == (6, 2)
    assert found["seen"]["train"][0] == "NORMAL/IM-0001-0001.png"
    assert "6 that it learned from and 2 that chose the checkpoint" in found["data_warnings"][-1]
    assert run(["evaluate", str(place / "bundle"), "--data", str(place / "films"), "--resamples", "100"]) == 0
    assert "among these 12 films are 6 that it learned from" in capsys.readouterr().out


def test_they_are_left_out(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(place, capsys, "--only-unseen")
    assert (found["films"], found["seen"]["left_out"]) == (4, True)


def test_what_chose_the_checkpoint_is_judged(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = evaluate(place, capsys, "--split", "val")
    assert (found["films"], found["split"]) == (2, "val")


def test_a_bundle_that_does_not_say(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(place, capsys, bundle="plain")["seen"]["train"] == []


def test_nothing_is_left(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_film(tmp_path / "NORMAL" / "a.png", 90)
    write_film(tmp_path / "PNEUMONIA" / "b.png", 125)
    assert run(["evaluate", str(place / "bundle"), "--data", str(tmp_path), "--only-unseen"]) == 4
    assert "it has seen all 2" in capsys.readouterr().err
    assert run(["evaluate", str(place / "bundle"), "--data", str(tmp_path), "--split", "val"]) == 4
    assert "the films that chose the checkpoint" in capsys.readouterr().err


def test_two_readers_are_compared_on_what_neither_has_seen(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["compare", *(str(place / name) for name in ("plain", "bundle")), "--data", str(place / "films")]
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


def test_the_file_does_not_keep_the_order(place: Path) -> None:
    films = read_dataset(place / "films")
    turned = replace(films, samples=tuple(reversed(films.samples)))
    assert learned_bytes(films, films) == learned_bytes(turned, turned)
    assert len(learned_bytes(films, films)) < 1200
    hashes = frozenset().union(*hashes_of(films))
    assert len(find_seen(films, [Learned(val=hashes), None]).val) == 12


def test_a_broken_file_is_an_error_of_the_bundle(place: Path, tmp_path: Path) -> None:
    good = open_bundle(place / "bundle")
    files = {name: good.read(name) for name in good.card.files}
    for number, text in enumerate((b"[]", b"{}", b'{"train": "AAAA", "val": ""}', b'{"train": 3, "val": ""}')):
        write_bundle(tmp_path / str(number), good.card, {**files, LEARNED: text})
        with pytest.raises(BundleError, match=LEARNED):
            read_learned(open_bundle(tmp_path / str(number)))


def test_a_worse_recalibration_is_not_written_unasked(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Twelve films, well calibrated already: ten folds of one or two cannot do better."""
    command = ["recalibrate", str(place / "plain"), "--data", str(place / "films"), "--folds", "6"]
    command += ["--method", "isotonic", "--resamples", "100", "--coverage", "0", "--out", str(tmp_path / "new")]
    assert run(command) == 4
    assert "--force" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert run([*command, "--force"]) == 0
    assert (tmp_path / "new" / "card.json").is_file()
