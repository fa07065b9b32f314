"""What an explanation costs: the map inside the network against captum's Grad-CAM, occlusion and SHAP.

    python benchmarks/explain.py [--side 224] [--films 8] [--rounds 9]

All on the same network (MobileNetV2, width 1, one film at a time, one thread), as lucency reads with it: batch norms
folded into convolutions, channels last. One process, turn by turn, so that a slow moment of the machine falls on all
alike; medians. Two figures are held to a bar:

    what the map adds to a reading, over the reading:                          at most 0.10
    captum's LayerGradCam (its own forward and backward) over what the map
    adds to a reading that is made anyway:                                     at least 5

The second compares explanations, not explained films: captum must read the film again, the network's own map need not.
Whole explained films, reading and map together, are compared too, without a bar: on the same network, and with the
network as captum finds it (norms not folded), which is what a person who adds captum to a trained network waits for.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from captum.attr import LayerGradCam

from lucency.explain.attribution import occlusion, shap
from lucency.models import build
from lucency.models.classifier import Classifier, fuse_batchnorm
from lucency.recipe import ModelSettings

DEAREST, LEAST = 1.10, 5.0
"""The bars."""
NOISE = 0.02
"""Share of a reading below which a difference is not one."""
PLAIN, WITH_MAP = "reading alone", "reading with its map"
CAPTUM, BOTH = "captum LayerGradCam", "reading + captum LayerGradCam"
UNFOLDED = "the same, norms not folded"


def main() -> int:
    """Time each way, print milliseconds and ratios; the exit code is 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=9)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    classifier = build(ModelSettings(backbone="mobilenet_v2")).eval()
    grays = np.random.default_rng(0).integers(0, 256, (settings.films, settings.side, settings.side), dtype=np.uint8)
    cheap, dear = ways(classifier)
    return report(timed(cheap, grays, settings.rounds), timed(dear, grays[:1], 1), settings.side)


def ways(trained: Classifier) -> tuple[dict[str, Callable[[np.ndarray], object]], ...]:
    """What is timed: what answers in milliseconds, and what needs hundreds of readings."""
    read = fuse_batchnorm(trained).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def plain(gray: np.ndarray) -> object:
        with torch.inference_mode():
            return read(film(gray))

    def in_network(gray: np.ndarray) -> object:
        with torch.inference_mode():
            return read.forward_map(film(gray))

    cheap = {
        PLAIN: plain,
        WITH_MAP: in_network,
        CAPTUM: lambda gray: captum(read, gray),
        BOTH: lambda gray: read_and_captum(read, gray),
        UNFOLDED: lambda gray: read_and_captum(trained, gray),
    }
    return cheap, {
        "occlusion, 169 patches": lambda gray: occlusion(read, gray),
        "captum KernelShap, 256 samples": lambda gray: shap(read, gray),
    }


def film(gray: np.ndarray) -> torch.Tensor:
    """A square as the network takes it."""
    return torch.from_numpy(gray[None, None].astype(np.float32))


def captum(classifier: Classifier, gray: np.ndarray) -> object:
    """Grad-CAM at the last layer."""
    return LayerGradCam(classifier, classifier.features).attribute(film(gray), 0)


def read_and_captum(classifier: Classifier, gray: np.ndarray) -> object:
    """The logit and its Grad-CAM: captum gives no logit, so who wants both reads twice."""
    with torch.inference_mode():
        logit = classifier(film(gray))
    return logit, captum(classifier, gray)


def timed(ways: dict[str, Callable[[np.ndarray], object]], grays: np.ndarray, rounds: int) -> dict[str, np.ndarray]:
    """Milliseconds of each way for each film of each round, taken in random turns; the first round only warms up."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    rng = np.random.default_rng(0)
    for number in range(rounds + 1):
        for gray in grays:
            for name in rng.permutation(list(ways)):  # what ran before leaves the caches cold or warm: any may have
                start = time.perf_counter()
                ways[name](gray)
                if number:
                    found[name].append(1000 * (time.perf_counter() - start))
    return {name: np.array(times) for name, times in found.items()}


def report(cheap: dict[str, np.ndarray], dear: dict[str, np.ndarray], side: int) -> int:
    """Print the table and whether the bars hold."""
    ms = {name: float(np.median(times)) for name, times in (cheap | dear).items()}
    print(f"MobileNetV2 at {side}, one film, one thread; torch {torch.__version__}")
    print(f"{'':34}{'ms per film':>12}{'x reading':>11}")
    for name, value in ms.items():
        print(f"{name:34}{value:12.2f}{value / ms[PLAIN]:11.2f}")
    added = float(np.median(cheap[WITH_MAP] - cheap[PLAIN]))  # in pairs: both fall on the same moment
    share, times = added / ms[PLAIN], ms[CAPTUM] / max(added, NOISE * ms[PLAIN])
    print(f"\nThe map adds {added:.2f} ms to a reading, {100 * share:+.1f} % (bar: {100 * (DEAREST - 1):+.0f} %).")
    print(f"captum's Grad-CAM adds {ms[CAPTUM]:.2f} ms, {times:.0f} times as much (bar: {LEAST:g};")
    print(f"what adds less than {NOISE:.0%} of a reading counts as {NOISE:.0%}: it is noise).")
    print(f"Reading and map together: {ms[BOTH] / ms[WITH_MAP]:.2f} times as long by captum on the same network,")
    print(f"{ms[UNFOLDED] / ms[WITH_MAP]:.2f} times as long by captum on the network as trained.")
    return 0 if share <= DEAREST - 1 and times >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
