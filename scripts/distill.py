"""Train a run on, by the mean answer of several.

    python scripts/distill.py recipes/lungs.toml runs/fold-? --start runs/fold-4 --data mixed --out runs/student

The target of each augmented view is the teachers' prediction on the plain film (distillation, Hinton et al. 2015):
the student learns their mean, and that moving, stretching or exposing a film changes nothing. Painted opacities keep
their label. The frozen blocks, shared by all, are not run again: views come from the cache of `lucency train`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lucency.bundle import Card
from lucency.data import read_dataset
from lucency.data.dataset import Dataset
from lucency.data.learned import LEARNED, learned_bytes
from lucency.data.splits import Fold
from lucency.evaluate.metrics import ranking
from lucency.models.run import open_run, save_run
from lucency.progress import track
from lucency.recipe import Recipe, read_recipe
from lucency.train.cached_views import PAINTED, ViewNetwork, Views, cached_views, plan_views
from lucency.train.dataloader import Batch
from lucency.train.losses import ForwardOutput, LocalLoss

BATCH = 64
TAUGHT = 0.7
"""Share of the teachers' probability in the target; the rest is the label."""
PULL = 0.1
"""Weight of the Huber distance between the student's logit and the teachers' mean."""
EMA = 0.99


@torch.no_grad()
def logits_of(network: ViewNetwork, views: Views) -> Tensor:
    """Logits of all views, (v,)."""
    network.eval()
    parts = torch.arange(len(views)).split(BATCH)
    return torch.cat([network(views[part])[:, 0] for part in track(parts, "reading views", len(parts))])


def loss(logits: Tensor, labels: Tensor, taught: Tensor, painted: Tensor) -> Tensor:
    """Cross-entropy with labels and teachers, and the pull towards the teachers' logits; all (b,)."""
    target = torch.where(painted, labels, TAUGHT * taught.sigmoid() + (1 - TAUGHT) * labels)
    pull = F.smooth_l1_loss(logits[~painted], taught[~painted])
    return F.binary_cross_entropy_with_logits(logits, target) + PULL * pull


def train(
    network: ViewNetwork, views: Views, plan: Tensor, taught: Tensor, steps: int, rate: float, recipe: Recipe
) -> None:
    """Train on views, of which `plan` (v, 2) names film and kind; the average of the weights is kept."""
    local = LocalLoss(recipe.finetune.local)
    average = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(EMA), use_buffers=True
    )
    optimiser = torch.optim.AdamW(network.train().parameters(), rate, weight_decay=recipe.finetune.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.2)
    epochs = -(-steps * BATCH // len(views))
    order = torch.cat([torch.randperm(len(views)) for _ in range(epochs)]).split(BATCH)[:steps]
    labels = torch.from_numpy(views.labels)
    for chosen in track(order, "distilling", steps):
        inputs, painted = views[chosen], plan[chosen, 1] == PAINTED
        with torch.autocast("cpu", torch.bfloat16):
            logits, maps, pooled = network.forward_all(inputs)
        batch = Batch(inputs, labels[chosen])
        found = loss(logits[:, 0].float(), labels[chosen].float(), taught[plan[chosen, 0]], painted)
        optimiser.zero_grad()
        (found + local(ForwardOutput(batch, logits, maps, pooled))).backward()
        optimiser.step()
        schedule.step()
        average.update_parameters(network)
    network.load_state_dict(average.module.state_dict())


def student_card(card: Card, learned: Dataset, fold: int, teachers: int) -> Card:
    """The card of the run that was trained on, with what has changed."""
    patients = len({sample.patient for sample in learned.samples})
    training = card.training.model_copy(update={"films": len(learned), "patients": patients})
    limit = (
        f"Taught by {teachers} networks; the films of fold {fold} were not learned from, "
        "but all of the networks except that fold's own had learned from them."
    )
    limits = tuple(one for one in card.limits if "chose the checkpoint" not in one)
    return card.model_copy(update={"training": training, "limits": (*limits, limit)})


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the teachers' answers, train the student, print its AUROC on the held-out fold, write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("teachers", type=Path, nargs="+", help="runs of the recipe")
    parser.add_argument("--data", required=True)
    parser.add_argument("--start", type=Path, required=True, help="the run that is trained on")
    parser.add_argument("--fold", type=int, default=4, help="the fold that --start never learned from")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--cache", type=Path, default=Path("cache"))
    parser.add_argument("--out", type=Path, required=True)
    settings = parser.parse_args(arguments)
    torch.manual_seed(0)
    recipe, films = read_recipe(settings.recipe), read_dataset(settings.data)
    learn, held = Fold(settings.fold, settings.folds).split(films)
    start = open_run(settings.start)

    def views(of: Dataset, augmented: bool) -> Views:
        return cached_views(start.classifier, of, recipe, settings.cache, augmented)

    plain = views(learn, augmented=False)
    teachers = [ViewNetwork(open_run(path).classifier, recipe) for path in settings.teachers]
    taught = torch.stack([logits_of(teacher, plain) for teacher in teachers]).mean(0)
    student = ViewNetwork(start.classifier, recipe)
    varied, plan = views(learn, augmented=True), torch.tensor(plan_views(learn, recipe))
    if len(plan) != len(varied):
        parser.error(f"{settings.data}: expected films that can all be read, {len(varied.unreadable)} cannot")
    train(student, varied, plan, taught, settings.steps, settings.rate, recipe)
    unseen = views(held, augmented=False)
    scores = logits_of(student, unseen).double().numpy()
    area = ranking(unseen.labels == 1, scores, np.ones((1, len(scores))))[0][0]
    card = student_card(start.card, learn, settings.fold, len(teachers))
    save_run(settings.out, start.classifier.eval(), card, {LEARNED: learned_bytes(learn, learn.subset([]))})
    print(f"{settings.out}: AUROC {area:.4f} on the {len(unseen)} films of fold {settings.fold}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
