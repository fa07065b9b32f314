"""Films per second from file to verdict and map: lucency's reader beside PyTorch, ONNX Runtime and Keras, in one run.

    python benchmarks/read.py [--run RUN] [--data FOLDER] [--films 32] [--keras .venv-keras/bin/python]

One network, MobileNetV2 1.0 with a linear head, with the same weights everywhere; every engine's logits are compared
before any figure is printed. Keras comes from an environment of its own:
    python -m venv .venv-keras && .venv-keras/bin/pip install tensorflow-cpu keras pillow

Every engine is a process that waits for its turn (benchmarks/read_peers.py). A round asks each in turn to read all
films one by one, then in a batch; so a machine whose speed drifts slows all, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from lucency.bench import measure, phantom_files, some_files
from lucency.bundle import Card, Model, open_bundle
from lucency.data import read_dataset
from lucency.data.phantom import draw
from lucency.export.exporter import export_run
from lucency.film import Film
from lucency.models import Classifier, build
from lucency.models.flops import count_flops
from lucency.models.run import open_run, save_run
from lucency.preprocess import Preprocess
from lucency.recipe import ModelSettings

HERE = Path(__file__).parent
WAYS = ("single", "batch")
OURS, INT8 = "lucency", "lucency int8"
"""The bar is for the first, which computes what the others do; the second is what a phone would carry."""


@dataclass(frozen=True)
class Peer:
    """A process that reads films when asked."""

    name: str
    threads: int
    process: subprocess.Popen[str]

    def ask(self, way: str) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{way}\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def start(name: str, threads: int, command: list[str], films: list[Path]) -> Peer:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("".join(f"{film}\n" for film in films) + "\n")
    process.stdin.flush()
    if process.stdout.readline().strip() != "ready":
        sys.exit(f"{name} did not start: {' '.join(command)}")
    return Peer(name, threads, process)


def prepare(run: Path | None, place: Path) -> dict[str, Path]:
    """The same network for everyone: a run, its bundle for lucency, plain files for ONNX Runtime, arrays for Keras."""
    made = {name: place / name for name in ("run", "litert", "int8", "onnx", "keras.npz")}
    if all(path.exists() for path in made.values()):
        return made
    if run is None:
        torch.manual_seed(0)
        run = made["run"]
        card = Card(name="random", labels=("a", "b"), model=Model(format="torch", file="x", backbone="mobilenet_v2"))
        save_run(run, build(ModelSettings(head="linear", weights="none")).eval(), card)
    model = open_bundle(run).card.model
    if (model.backbone, model.width, model.head) != ("mobilenet_v2", 1.0, "linear"):
        sys.exit(
            f"expected a run of mobilenet_v2 1.0 with a linear head, came {model.backbone} {model.width} {model.head}"
        )
    export_run(run, "litert", made["litert"])
    drawn = [Preprocess()(Film(draw((number,), bool(number % 2)).film)) for number in range(32)]
    export_run(run, "litert", made["int8"], "int8", np.stack(drawn))
    made["onnx"].mkdir()
    write_plain(run, 1, made["onnx"] / "one.onnx")
    write_plain(run, 32, made["onnx"] / "batch.onnx")
    write_arrays(run, made["keras.npz"])
    return {**made, "run": run}


def write_plain(run: Path, films: int, out: Path) -> None:
    """The network as torch.onnx writes it, with its class activation map: what a user of ONNX Runtime has."""
    network = WithMap(open_run(run).classifier).eval()
    gray = torch.full((films, 1, 224, 224), 127.0)
    named = {"input_names": ["film"], "output_names": ["logit", "map"]}
    program = torch.onnx.export(network, (gray,), **named, dynamo=True, external_data=False, verbose=False)
    assert program is not None
    program.save(str(out), external_data=False)


class WithMap(torch.nn.Module):
    """A classifier that answers with logits and maps."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, gray: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.classifier.forward_map(gray)


def write_arrays(run: Path, out: Path) -> None:
    """Every convolution's kernel and norm, numbered in the order of the network, and the head."""
    classifier = open_run(run).classifier
    arrays = {"scale": classifier.scale, "shift": classifier.shift}
    arrays |= {"dense": classifier.head.last.weight, "bias": classifier.head.last.bias}
    order = [value for name, value in classifier.features.state_dict().items() if "num_batches" not in name]
    arrays |= {f"{number:04}": value for number, value in enumerate(order)}
    np.savez(out, **{name: value.detach().numpy() for name, value in arrays.items()})


def peers(where: dict[str, Path], threads: int, films: list[Path], keras: str | None) -> list[Peer]:
    script = str(HERE / "read_peers.py")
    commands = {
        OURS: [sys.executable, script, "lucency", str(threads), str(where["litert"])],
        INT8: [sys.executable, script, "lucency", str(threads), str(where["int8"])],
        "onnxruntime": [sys.executable, script, "onnxruntime", str(threads), str(where["onnx"])],
        "torch eager": [sys.executable, script, "torch", str(threads), str(where["run"])],
    }
    if keras:
        commands["keras predict"] = [keras, str(HERE / "read_keras.py"), "keras", str(threads), str(where["keras.npz"])]
    return [start(name, threads, command, films) for name, command in commands.items()]


def compare(results: dict[str, dict[str, Any]]) -> str:
    """How far the engines' answers lie apart, which must be next to nothing.

    PyTorch is the measure: logits within 0.05 of its, int8 aside.
    """
    base = np.array(results["torch eager"]["logits"])
    apart = {name: float(np.abs(np.array(row["logits"]) - base).max()) for name, row in results.items()}
    if max(value for name, value in apart.items() if name != INT8) > 0.05:
        sys.exit(f"the engines do not answer alike: {apart}")
    return ", ".join(f"{name} {value:.1e}" for name, value in apart.items() if name != "torch eager")


def gemm_rate(threads: int) -> float:
    """Multiply-adds a second of the machine's matrix product, float32: the best of many runs and three sizes."""
    torch.set_num_threads(threads)
    best = 0.0
    for side in (384, 768, 1536):
        a, b = torch.randn(side, side), torch.randn(side, side)
        for _ in range(20):
            begin = time.perf_counter()
            torch.mm(a, b)
            best = max(best, side**3 / (time.perf_counter() - begin))
    return best


def rounds(row: list[Peer], count_: int) -> list[dict[str, dict[str, dict[str, Any]]]]:
    return [{way: {peer.name: peer.ask(way) for peer in row} for way in WAYS} for _ in range(count_)]


def report(threads: int, results: list[dict[str, dict[str, dict[str, Any]]]]) -> None:
    """Speeds by the clock, and by processor time, which other programs on the machine disturb less."""
    for way in WAYS:
        names = list(results[0][way])
        rates = {name: [one[way][name]["n"] / one[way][name]["seconds"] for one in results] for name in names}
        costs = {name: [1000 * one[way][name]["busy"] / one[way][name]["n"] for one in results] for name in names}
        title = f"{threads} thread{'s' * (threads > 1)}, {way}"
        print(f"\n{title}: films per second; ms of processor a film; lucency ahead, by round, in each")
        for name in names:
            tail = ""
            if name not in (OURS, INT8):
                tail = ratios_of(rates[OURS], rates[name]) + ratios_of(costs[name], costs[OURS])
            print(f"  {name:16}{median(rates[name]):8.1f}{median(costs[name]):8.2f} ms{tail}")


def ratios_of(more: list[float], less: list[float]) -> str:
    """How many times as much, round by round: the median, the least and the most."""
    ratios = [one / other for one, other in zip(more, less, strict=True)]
    return f"{median(ratios):8.2f} × ({min(ratios):.2f} to {max(ratios):.2f})"


def limit(litert: Path, films: list[Path], threads: int) -> None:
    """How near the network's time is to what its arithmetic must take."""
    before = gemm_rate(threads)
    pace = measure([litert], films, [threads])[0].paces[0]
    rate = max(before, gemm_rate(threads))
    card = open_bundle(litert).card
    madds = count_flops(card.model.backbone, side=224, top="linear").madds()
    least = 1000 * madds / rate
    infer = pace.stages["infer"].median
    stages = ", ".join(f"{name} {spread.median:.1f}" for name, spread in pace.stages.items())
    print(f"\n{threads} thread{'s' * (threads > 1)}, stages in ms: {stages}")
    print(f"  {madds / 1e6:.0f} M multiply-adds at {rate / 1e9:.1f} G/s (float32 matrix product) take {least:.2f} ms;")
    print(f"  infer takes {infer:.2f} ms: {100 * least / infer:.0f} % of what the machine can do")


def without_map(content: bytes) -> bytes:
    """The same .tflite with the map no longer an output, and without the steps that only it needed."""
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.read_model_from_bytearray(bytearray(content))
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    dropped = next(item.tensorIndex for item in signature.outputs if item.name == b"map")
    signature.outputs = [item for item in signature.outputs if item.tensorIndex != dropped]
    graph.outputs = [number for number in graph.outputs if number != dropped]
    needed, steps = set(map(int, graph.outputs)), []
    for step in reversed(graph.operators):
        if needed & set(map(int, step.outputs)):
            needed |= set(map(int, step.inputs))
            steps.append(step)
    graph.operators = steps[::-1]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(model))


def map_cost(litert: Path) -> None:
    """What the output `map` adds to the network's time, the two networks in turns."""
    from ai_edge_litert.interpreter import Interpreter

    content = (litert / "model.tflite").read_bytes()
    pair = [Interpreter(model_content=data, num_threads=1) for data in (without_map(content), content)]
    for interpreter in pair:
        interpreter.allocate_tensors()
        interpreter.invoke()
    times: list[list[float]] = [[], []]
    for _ in range(200):
        for interpreter, row in zip(pair, times, strict=True):
            begin = time.perf_counter()
            interpreter.invoke()
            row.append(1000 * (time.perf_counter() - begin))
    bare, whole = median(times[0]), median(times[1])
    print(
        f"\nnetwork without the map {bare:.2f} ms, with it {whole:.2f} ms: {100 * (whole / bare - 1):+.1f} % (bar 10)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="run of mobilenet_v2 1.0, linear head; random weights without one")
    parser.add_argument("--exports", type=Path, help="folder that keeps the exported files for the next run")
    parser.add_argument("--data", help="films to read; drawn JPEG of 1024 × 1024 without")
    parser.add_argument("--films", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--keras", help="interpreter of an environment with tensorflow-cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        where = prepare(options.run, options.exports or place)
        if options.data:
            films = some_files(read_dataset(options.data), options.films)
        else:
            films = phantom_files(place, options.films)
        for threads in options.threads:
            row = peers(where, threads, films, options.keras)
            results = rounds(row, options.rounds)
            print(f"largest difference of a logit from PyTorch's: {compare(results[0]['single'])}")
            report(threads, results)
            for peer in row:
                peer.process.kill()
            limit(where["litert"], films[:20], threads)
        map_cost(where["litert"])


if __name__ == "__main__":
    main()
