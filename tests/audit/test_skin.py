"""The faults that DermaMNIST is known for (Abhishek et al. 2024, arXiv:2401.14497): copies on both sides of a split."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lucency.cli import run

SIDE = 96


def draw_lesion(rng: np.random.Generator) -> Image.Image:
    """A blotch of its own shape and texture on skin."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    field = ndimage.gaussian_filter(rng.normal(0, 1, (SIDE, SIDE)), 6)
    middle = rng.integers(36, 60, 2)
    near = np.exp(-((rows - middle[0]) ** 2 + (columns - middle[1]) ** 2) / (2 * rng.uniform(12, 22) ** 2))
    spot = (near + 6 * field > 0.5)[..., None]
    picture = np.where(spot, rng.integers(40, 140, 3), (225, 180, 160)) + 40 * field[..., None]
    return Image.fromarray((picture + rng.normal(0, 6, picture.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, dict[str, set[tuple[str, ...]]]]:
    """The exit code, and the groups of films that each finding names."""
    root, rng = tmp_path_factory.mktemp("derma"), np.random.default_rng(4)
    drawn = {}
    for split, each in (("train", 14), ("test", 6)):
        for label in ("mel", "nv"):
            (root / split / label).mkdir(parents=True)
            for number in range(each):
                drawn[split, label, number] = picture = draw_lesion(rng)
                picture.save(root / split / label / f"{label}{number}.png")
    drawn["train", "mel", 0].save(root / "test" / "mel" / "same.png")
    drawn["train", "mel", 1].save(root / "test" / "mel" / "saved-again.jpg", quality=85)
    drawn["train", "nv", 2].save(root / "test" / "mel" / "other-label.png")
    code = run(["audit", str(root), "--modality", "skin", "--out", str(root / "audit")])
    printed = json.loads((root / "audit" / "audit.json").read_text())
    return code, {one["key"]: {tuple(sorted(group)) for group in one["groups"]} for one in printed["findings"]}


def test_copies_on_both_sides_of_the_split_make_results_invalid(
    found: tuple[int, dict[str, set[tuple[str, ...]]]],
) -> None:
    code, groups = found
    assert code == 4
    assert groups["duplicates across splits"] == {
        ("test/mel/same.png", "train/mel/mel0.png"),
        ("test/mel/saved-again.jpg", "train/mel/mel1.png"),
        ("test/mel/other-label.png", "train/nv/nv2.png"),
    }
    assert groups["label conflicts"] == {("test/mel/other-label.png", "train/nv/nv2.png")}
    assert "duplicates" not in groups
