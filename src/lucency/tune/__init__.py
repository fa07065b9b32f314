"""A registered search over recipes: the score is fixed beforehand, every trial is recorded, the cost is told."""
