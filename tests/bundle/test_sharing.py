"""Signatures find forgeries whose hashes were recomputed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from cli.brightness import write_brightness_bundle
from lucency.bundle import open_bundle, read_card, write_card, write_zip
from lucency.cli import run
from lucency.errors import BundleError, UsageError

pytest.importorskip("cryptography", reason="needs lucency[sign]")

from lucency.bundle.sharing import check_signature, make_keys, sign


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    write_brightness_bundle(tmp_path / "bundle")
    make_keys(tmp_path / "key.pem")
    sign(tmp_path / "bundle", tmp_path / "key.pem")
    return tmp_path / "bundle"


def test_the_signing_key_is_accepted(signed: Path) -> None:
    found = check_signature(open_bundle(signed), signed.parent / "key.pub.pem")
    assert found is not None
    assert found.trusted
    unknown = check_signature(open_bundle(signed))
    assert unknown is not None
    assert (unknown.fingerprint, unknown.trusted) == (found.fingerprint, False)


def test_private_keys_are_private_and_never_replaced(signed: Path) -> None:
    assert stat.S_IMODE((signed.parent / "key.pem").stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="a key is never replaced"):
        make_keys(signed.parent / "key.pem")


def test_a_forged_card_with_recomputed_hashes_raises(signed: Path) -> None:
    signature = (signed / "card.sig").read_bytes()
    write_card(signed, read_card(signed).model_copy(update={"name": "forged"}))
    assert not (signed / "card.sig").exists(), "a new card is not what was signed"
    with pytest.raises(BundleError, match="found none"):
        check_signature(open_bundle(signed), signed.parent / "key.pub.pem")
    (signed / "card.sig").write_bytes(signature)
    with pytest.raises(BundleError, match="does not match"):
        check_signature(open_bundle(signed))


def test_another_key_raises(signed: Path) -> None:
    make_keys(signed.parent / "other.pem")
    with pytest.raises(BundleError, match="expected a signature by"):
        check_signature(open_bundle(signed), signed.parent / "other.pub.pem")


@pytest.mark.parametrize(
    "content", [b"", b"ed25519", b"rsa AAAA AAAA", b"ed25519 \xff \xff", b"ed25519 AAAA AAAA\n" * 9]
)
def test_a_broken_signature_raises(signed: Path, content: bytes) -> None:
    (signed / "card.sig").write_bytes(content)
    with pytest.raises(BundleError):
        check_signature(open_bundle(signed), signed.parent / "key.pub.pem")


def test_a_zip_keeps_the_signature(signed: Path) -> None:
    write_zip(signed, signed.parent / "bundle.zip")
    found = check_signature(open_bundle(signed.parent / "bundle.zip"), signed.parent / "key.pub.pem")
    assert found is not None


@pytest.mark.parametrize("name", ["key.pub.pem", "missing.pem", "bundle/card.json"])
def test_signing_needs_a_private_key(signed: Path, name: str) -> None:
    with pytest.raises(UsageError, match="expected a private Ed25519 key"):
        sign(signed, signed.parent / name)


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = str(write_brightness_bundle(tmp_path / "bundle"))
    key, public = str(tmp_path / "key.pem"), str(tmp_path / "key.pub.pem")
    assert run(["bundle", "verify", bundle]) == 0
    assert "signature  none: hashes show damage, not who made the bundle" in capsys.readouterr().out
    assert run(["bundle", "sign", bundle, "--key", key]) == 2
    assert run(["bundle", "sign", bundle, "--key", key, "--new-key"]) == 0
    assert "key.pub.pem" in capsys.readouterr().out
    assert run(["bundle", "verify", bundle, "--key", public]) == 0
    assert f"matches the key {public}" in capsys.readouterr().out
    assert run(["bundle", "verify", bundle, "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert (output["files"], output["signature"]["trusted"]) == (1, False)
    (tmp_path / "bundle" / "card.sig").unlink()
    assert run(["bundle", "verify", bundle, "--key", public]) == 7
