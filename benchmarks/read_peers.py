"""Ways to read films, each a process that `benchmarks/read.py` starts and asks in turns.

    python read_peers.py ENGINE THREADS MODEL

ENGINE is lucency (MODEL a bundle), onnxruntime (a folder of plain .onnx files) or torch (a run). The process first
reads the paths of the films from stdin, up to an empty line; then for each line "single" or "batch" it reads all films
from their files to logit and map, and answers with a line of JSON: the seconds it took, those of them that it computed
(of all its threads), and the answers to compare.

The peers work as their users write them, at their best: batches of 32, decoded on as many threads as the network has.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

BATCH = 32
SIDE = 224
Answer = tuple[np.ndarray, np.ndarray]
"""logits (n,), maps (n, h, w)."""


def square(path: str) -> np.ndarray:
    """The plain way: Pillow decodes and resizes."""
    with Image.open(path) as image:
        return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def serve(answer: Callable[[np.ndarray], Answer], decode: Callable[[str], np.ndarray], threads: int) -> None:
    """Answer stdin with a network that takes uint8 (n, side, side)."""
    pool = ThreadPoolExecutor(threads)

    def single(films: Sequence[str]) -> list[Answer]:
        return [answer(decode(film)[None]) for film in films]

    def batch(films: Sequence[str]) -> list[Answer]:
        decoded = map if threads == 1 else pool.map
        starts = range(0, len(films), BATCH)
        return [answer(np.stack(list(decoded(decode, films[start : start + BATCH])))) for start in starts]

    _loop({"single": single, "batch": batch})


def _loop(ways: dict[str, Callable[[Sequence[str]], list[Answer]]]) -> None:
    films = []
    while line := sys.stdin.readline().strip():
        films.append(line)
    for way in ways.values():
        way(films[:2])  # what is set up once
    print("ready", flush=True)
    for line in sys.stdin:
        start, busy = time.perf_counter(), time.process_time()
        answers = ways[line.strip()](films)
        result = {"seconds": time.perf_counter() - start, "busy": time.process_time() - busy}
        logits, maps = (np.concatenate(part) for part in zip(*answers, strict=True))
        result |= {"logits": logits.tolist(), "map": float(np.abs(maps).mean()), "n": len(logits)}
        print(json.dumps(result), flush=True)


def lucency(bundle: Path, threads: int) -> None:
    from lucency.errors import FilmError
    from lucency.film import open_film
    from lucency.reader import Reader, Reading

    reader = Reader.open(bundle, threads)

    def taken(reading: Reading | FilmError) -> Answer:
        if isinstance(reading, FilmError):
            raise reading
        return reading.logits[:1], reading.map[None]

    _loop(
        {
            "single": lambda films: [taken(reader.read(open_film(film))) for film in films],
            "batch": lambda films: [taken(found) for _, found in reader.read_many(map(Path, films))],
        }
    )


def torch_eager(run: Path, threads: int) -> None:
    import torch

    from lucency.models.run import open_run

    torch.set_num_threads(threads)
    classifier = open_run(run).classifier.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def answer(squares: np.ndarray) -> Answer:
        with torch.inference_mode():
            logits, maps = classifier.forward_map(torch.from_numpy(squares[:, None].astype(np.float32)))
        return logits[:, 0].numpy(), maps[:, 0].numpy()

    serve(answer, square, threads)


def onnx_runtime(folder: Path, threads: int) -> None:
    """Two files, because a network of static shape is the faster: one for a film, one for a batch."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    cpu = ["CPUExecutionProvider"]
    one = onnxruntime.InferenceSession(str(folder / "one.onnx"), options, providers=cpu)
    many = onnxruntime.InferenceSession(str(folder / "batch.onnx"), options, providers=cpu)

    def answer(squares: np.ndarray) -> Answer:
        films = squares[:, None].astype(np.float32)
        parts = [(many, films)] if len(films) == BATCH else [(one, film[None]) for film in films]
        found = [session.run(["logit", "map"], {"film": part}) for session, part in parts]
        return np.concatenate([logit[:, 0] for logit, _ in found]), np.concatenate([cells[:, 0] for _, cells in found])

    serve(answer, square, threads)


ENGINES = {"lucency": lucency, "torch": torch_eager, "onnxruntime": onnx_runtime}

if __name__ == "__main__":
    ENGINES[sys.argv[1]](Path(sys.argv[3]), int(sys.argv[2]))
