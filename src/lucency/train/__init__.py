"""From labelled films to a trained run."""

from lucency.train.run import cross_validate, train_run

__all__ = ["cross_validate", "train_run"]
