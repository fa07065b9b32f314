"""Bundles: atomic writes, and checks on opening."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from lucency.bundle import Card, Model, Parity, open_bundle, read_card, verify, write_bundle, write_card, write_zip
from lucency.errors import BundleError, OutputError
from lucency.files import sha256_bytes

FILES = {"model.onnx": b"weights", "golden/film.png": b"film"}


def card(**changes: Any) -> Card:
    model = Model(format="onnx", file="model.onnx", backbone="mobilenet_v2")
    return Card(**{"name": "small", "labels": ("normal", "pneumonia"), "model": model, **changes})


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path / "bundle", card(), FILES)
    return tmp_path / "bundle"


def rewrite(bundle: Path, change) -> None:  # type: ignore[no-untyped-def]
    """Alter card.json and update card.sha256."""
    content = json.loads((bundle / "card.json").read_text())
    change(content)
    text = json.dumps(content).encode()
    (bundle / "card.json").write_bytes(text)
    (bundle / "card.sha256").write_text(f"{sha256_bytes(text)}  card.json\n")


def test_bundles_round_trip(bundle: Path) -> None:
    opened = open_bundle(bundle)
    assert {name: opened.read(name) for name in opened.card.files} == FILES
    assert opened.card == card(files={name: sha256_bytes(content) for name, content in FILES.items()})
    assert verify(bundle) == opened.card


def test_card_sha256_is_in_the_format_of_sha256sum(bundle: Path) -> None:
    text = (bundle / "card.json").read_bytes()
    assert (bundle / "card.sha256").read_text() == f"{sha256_bytes(text)}  card.json\n"


@pytest.mark.parametrize("name", [*FILES, "card.json"])
def test_a_changed_byte_raises(bundle: Path, name: str) -> None:
    content = bytearray((bundle / name).read_bytes())
    content[2] ^= 1
    (bundle / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match="get the bundle again"):
        verify(bundle)


@pytest.mark.parametrize("name", [*FILES, "card.json", "card.sha256"])
def test_a_missing_file_raises(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(BundleError, match=f"{name} is missing"):
        verify(bundle)


def test_a_link_raises(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(FILES["model.onnx"])
    (bundle / "model.onnx").unlink()
    (bundle / "model.onnx").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link"):
        verify(bundle)


def test_a_linked_folder_raises(bundle: Path, tmp_path: Path) -> None:
    (bundle / "golden").rename(tmp_path / "elsewhere")
    (bundle / "golden").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match="is a link"):
        verify(bundle)


def test_unlisted_files_are_not_read(bundle: Path) -> None:
    (bundle / "extra").write_bytes(b"?")
    with pytest.raises(BundleError, match="extra is not listed"):
        open_bundle(bundle).read("extra")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "golden/../../outside", "a\\b", ".hidden", "C:evil", ""])
def test_a_path_that_leaves_the_bundle_raises(bundle: Path, name: str) -> None:
    rewrite(bundle, lambda content: content["files"].update({name: "0" * 64}))
    with pytest.raises(BundleError, match="leads out of the bundle or has an unsafe name"):
        open_bundle(bundle)
    with pytest.raises(BundleError):
        write_bundle(bundle.parent / "other", card(), {**FILES, name: b""})
    assert not (bundle.parent / "other").exists()


def test_a_newer_schema_raises(bundle: Path) -> None:
    rewrite(bundle, lambda content: content.update(schema_version=2, something_new=True))
    with pytest.raises(BundleError, match="schema version 2, this lucency reads up to 1; upgrade lucency"):
        read_card(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(colour="red"), "does not know, 'colour'"),
        (lambda content: content["model"].update(format="pickle"), "at model.format"),
        (lambda content: content.update(labels=["one"]), "at least two labels"),
        (lambda content: content.update(labels=["one", "one"]), "same name"),
        (lambda content: content["operating_point"].update(threshold=1.5), "operating_point.threshold"),
        (lambda content: content["calibration"].update(method="platt"), "needs the numbers slope, offset"),
        (lambda content: content["files"].update({"model.onnx": "short"}), "files"),
        (lambda content: content.pop("name"), "at name"),
    ],
)
def test_an_invalid_card_is_one_line(bundle: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    rewrite(bundle, change)
    with pytest.raises(BundleError, match=message) as caught:
        read_card(bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 1000 + b"]" * 1000])
def test_a_card_that_is_not_json_is_one_line(bundle: Path, text: bytes) -> None:
    (bundle / "card.json").write_bytes(text)
    with pytest.raises(BundleError) as caught:
        read_card(bundle)
    assert "\n" not in str(caught.value)


def test_text_of_a_card_can_be_written(bundle: Path) -> None:
    rewrite(bundle, lambda content: content.update(name="x\ud800y", labels=["normal", "pneu\udcff"]))
    found = read_card(bundle)
    assert (found.name, found.labels) == ("x?y", ("normal", "pneu?"))


def test_a_card_without_its_model_file_raises(bundle: Path) -> None:
    rewrite(bundle, lambda content: content["files"].pop("model.onnx"))
    with pytest.raises(BundleError, match="does not list the model file"):
        verify(bundle)


def test_missing_paths_and_other_files_raise(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="found nothing"):
        open_bundle(tmp_path / "none")
    (tmp_path / "film.png").write_bytes(b"film")
    with pytest.raises(BundleError, match="found another file"):
        open_bundle(tmp_path / "film.png")


def test_an_existing_bundle_is_not_overwritten_by_default(bundle: Path) -> None:
    before = (bundle / "card.json").read_bytes()
    with pytest.raises(OutputError, match="holds a bundle already"):
        write_bundle(bundle, card(name="other"), FILES)
    assert (bundle / "card.json").read_bytes() == before
    assert write_bundle(bundle, card(name="other"), FILES, replace=True).name == "other"
    assert verify(bundle).name == "other"


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lucency.bundle.store.write_card", full)
    with pytest.raises(OutputError, match="No space left"):
        write_bundle(tmp_path / "bundle", card(), FILES)
    assert list(tmp_path.iterdir()) == []


def test_a_card_without_its_model_file_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="which was not given"):
        write_bundle(tmp_path / "bundle", card(), {"golden/film.png": b"film"})
    assert list(tmp_path.iterdir()) == []


def test_write_card_replaces_the_card(bundle: Path) -> None:
    parity = Parity(data="films", films=3, logit_mean=0.1, logit_max=0.2, map_correlation=0.9, flips=0)
    write_card(bundle, read_card(bundle).model_copy(update={"parity": parity}))
    assert verify(bundle).parity == parity
    assert len((bundle / "card.sha256").read_text().splitlines()) == 1


def test_the_bundle_is_valid_at_every_step_of_write_card(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """write_card stopped after each of its steps."""
    from lucency.bundle import store as write

    for stop in (1, 2):
        done = 0

        def stopping(step):  # type: ignore[no-untyped-def]
            def take(*arguments: object) -> None:
                nonlocal done
                if done == stop:  # noqa: B023
                    raise KeyboardInterrupt
                done += 1
                step(*arguments)

            return take

        with monkeypatch.context() as patch:
            patch.setattr(write, "write_text", stopping(write.write_text))
            patch.setattr(write, "write_bytes", stopping(write.write_bytes))
            with pytest.raises(KeyboardInterrupt):
                write_card(bundle, read_card(bundle).model_copy(update={"licence": f"stopped at {stop}"}))
        verify(bundle)
    write_card(bundle, read_card(bundle))
    verify(bundle)


def test_zips_are_equal_to_their_folder_and_reproducible(bundle: Path, tmp_path: Path) -> None:
    write_zip(bundle, tmp_path / "one.zip")
    os.utime(bundle / "model.onnx", (0, 0))
    write_zip(bundle, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    assert verify(tmp_path / "one.zip") == verify(bundle)


def test_zipping_a_zip_gives_the_same_bytes(bundle: Path, tmp_path: Path) -> None:
    write_zip(bundle, tmp_path / "one.zip")
    write_zip(tmp_path / "one.zip", tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_zipping_an_altered_bundle_raises(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"other weights")
    with pytest.raises(BundleError, match="has changed"):
        write_zip(bundle, tmp_path / "one.zip")
    assert not (tmp_path / "one.zip").exists()


def test_a_zip_with_its_folder(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "folder.zip", "w") as archive:
        for path in bundle.rglob("*"):
            archive.write(path, Path("bundle") / path.relative_to(bundle))
    assert verify(tmp_path / "folder.zip") == verify(bundle)


def test_a_link_in_a_zip_raises(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "linked.zip", "w") as archive:
        for name in ("card.json", "card.sha256", "golden/film.png"):
            archive.write(bundle / name, name)
        link = zipfile.ZipInfo("model.onnx")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BundleError, match="is a link"):
        verify(tmp_path / "linked.zip")


def test_a_zip_bomb_raises(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_zip(bundle, tmp_path / "one.zip")
    monkeypatch.setattr("lucency.bundle.store.MAX_BYTES", 6)
    for path in (bundle, tmp_path / "one.zip"):
        with pytest.raises(BundleError, match="is larger than"):
            open_bundle(path)


def test_a_zip_bomb_of_text_raises_before_unpacking(tmp_path: Path) -> None:
    """64 MiB and a byte of spaces, in a zip of 64 KiB."""
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", b" " * (2**26 + 1))
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    with pytest.raises(BundleError, match="is larger than 64 MB"):
        open_bundle(tmp_path / "bomb.zip")


def test_a_zip_with_a_false_size_raises(bundle: Path, tmp_path: Path) -> None:
    """The limit is checked against the stated size, so no more than that may be unpacked."""
    write_zip(bundle, tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        size = archive.getinfo("card.json").file_size.to_bytes(4, "little")
    content = (tmp_path / "one.zip").read_bytes().replace(size, (10).to_bytes(4, "little"))
    (tmp_path / "liar.zip").write_bytes(content)
    with pytest.raises(BundleError, match="cannot be unpacked"):
        open_bundle(tmp_path / "liar.zip")


@pytest.mark.parametrize("name", ["card.json", "model.onnx"])
def test_a_duplicate_name_in_a_zip_raises(bundle: Path, tmp_path: Path, name: str) -> None:
    """Unzippers differ in which of the two they take, so one may check what another runs."""
    write_zip(bundle, tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr(name, (bundle / name).read_bytes())
    with pytest.raises(BundleError, match=f"found '{name}' twice"):
        open_bundle(tmp_path / "one.zip")


def test_a_truncated_zip_is_one_line(bundle: Path, tmp_path: Path) -> None:
    write_zip(bundle, tmp_path / "one.zip")
    content = (tmp_path / "one.zip").read_bytes()
    for length in (4, len(content) // 2, len(content) - 1):
        (tmp_path / "cut.zip").write_bytes(content[:length])
        with pytest.raises(BundleError) as caught:
            verify(tmp_path / "cut.zip")
        assert "\n" not in str(caught.value)
