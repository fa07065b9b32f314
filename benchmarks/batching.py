"""Would a server gain by gathering films into batches? `python benchmarks/batching.py [--batches 1,4,8] [--side 160]`.

MobileNetV2 with random weights, exported as the shipped network is, once for each batch, and read on one thread in
turns: milliseconds a film, and the ratio to one film at a time. A bundle holds a network of one film, which is what
phones want and what cannot be reshaped, so batches would need a second file; this says what that could bring. Beside
it, what a whole film takes from its file to its reading: the network is only a part of that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter

from lucency.bench import phantom_files
from lucency.bundle import DEFAULT, open_bundle
from lucency.export.network import INPUT, ExportNetwork
from lucency.models import build
from lucency.reader import Reader
from lucency.recipe import ModelSettings


def exported(batch: int, side: int) -> Interpreter:
    """The network for so many films at once, ready on one thread."""
    torch.manual_seed(0)
    network = ExportNetwork(build(ModelSettings()), open_bundle(DEFAULT).card)
    film = torch.full((batch, side, side, 1), 127.0)
    content = litert_torch.convert(network, (), {INPUT: film}).model_content()
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    film_at = interpreter.get_input_details()[0]["index"]
    pixels = np.random.default_rng(0).integers(0, 256, (batch, side, side, 1))
    interpreter.set_tensor(film_at, pixels.astype(np.float32))
    interpreter.invoke()
    return interpreter


def ms_a_film(interpreter: Interpreter, batch: int, films: int) -> float:
    begun = time.perf_counter()
    for _ in range(max(1, films // batch)):
        interpreter.invoke()
    return 1000 * (time.perf_counter() - begun) / (max(1, films // batch) * batch)


def whole_ms(count: int) -> float:
    """A film of 1024 × 1024 pixels from its file to its reading, by the bundle that ships."""
    reader = Reader.open()
    with tempfile.TemporaryDirectory() as folder:
        paths = phantom_files(Path(folder), count)
        list(reader.read_many(paths[:5]))
        begun = time.perf_counter()
        list(reader.read_many(paths))
    return 1000 * (time.perf_counter() - begun) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=lambda text: [int(word) for word in text.split(",")], default=[1, 4, 8])
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--films", type=int, default=160, help="in each round")
    options = parser.parse_args()
    ready = {batch: exported(batch, options.side) for batch in options.batches}
    taken: dict[int, list[float]] = {batch: [] for batch in ready}
    for _ in range(options.rounds):
        for batch, interpreter in ready.items():
            taken[batch].append(ms_a_film(interpreter, batch, options.films))
    for batch, times in taken.items():
        ratios = [one / many for one, many in zip(taken[options.batches[0]], times, strict=True)]
        print(
            f"batch {batch}: {median(times):.2f} ms of network a film; films/s {median(ratios):.2f} times those one at "
            f"a time ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    print(f"a whole film, file to reading: {whole_ms(60):.2f} ms")


if __name__ == "__main__":
    main()
