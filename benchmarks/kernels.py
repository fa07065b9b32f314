"""How far an int8 file's answers depend on the kernels: `python benchmarks/kernels.py BUNDLE [--data DIR --films 150]`.

The same .tflite file by XNNPACK on one thread, on more, by LiteRT's own kernels and by its reference kernels, on the
bundle's golden films and on films of DIR: largest differences from the first. What `golden.json` states as tolerance.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from folds import drawn
from PIL import Image

from lucency.bundle import open_bundle
from lucency.bundle.store import GOLDEN, parse_golden
from lucency.data import read_dataset
from lucency.data.dataset import decode_squares
from lucency.preprocess import Preprocess

WAYS: dict[str, dict[str, Any]] = {
    "XNNPACK, two threads": {"num_threads": 2},
    "XNNPACK, four threads": {"num_threads": 4},
    "without XNNPACK": {"experimental_op_resolver_type": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES},
    "reference kernels": {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF},
}
SLOW = {"reference kernels": 6}
"""Films at most, where a film takes seconds."""


def outputs(content: bytes, squares: np.ndarray, **how: Any) -> dict[str, np.ndarray]:
    """Every output of the file, name → (n, …)."""
    interpreter = Interpreter(model_content=content, **how)
    interpreter.allocate_tensors()
    ask = interpreter.get_signature_runner()
    outputs = [ask(film=square[None, :, :, None].astype(np.float32)) for square in squares]
    return {name: np.stack([one[name].copy() for one in outputs]) for name in outputs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--data")
    parser.add_argument("--films", type=int, default=150)
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    content, golden = bundle.read(bundle.card.model.file), parse_golden(bundle.read(GOLDEN), str(options.bundle))
    squares = {"golden": np.stack([np.asarray(Image.open(io.BytesIO(bundle.read(f.square)))) for f in golden.films])}
    if options.data:
        prepare = Preprocess.from_json(bundle.card.preprocess.model_dump())
        squares["films"] = np.stack(decode_squares(drawn(read_dataset(options.data), options.films), prepare).pixels)
    names = ("logit", "probability", "map", "doubt")
    print(f"| films | read by | {' | '.join(names)} | mean logit |\n|{'---|' * 7}")
    for kind, these in squares.items():
        first = outputs(content, these, num_threads=1)
        for way, how in WAYS.items():
            found = outputs(content, these[: SLOW.get(way)], **how)
            away = {name: np.abs(found[name] - first[name][: len(found[name])]) for name in names if name in found}
            cells = [f"{away[name].max():.3f}" if name in away else "–" for name in names]
            print(
                f"| {len(found['logit'])} {kind} | {way} | {' | '.join(cells)} | {away['logit'].mean():.3f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
