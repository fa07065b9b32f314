"""From labelled films to a trained, judged run."""

from lucency.train.crossval import cross_validate
from lucency.train.run import train_run

__all__ = ["cross_validate", "train_run"]
