"""A registered search over recipes: the score is fixed before the first trial, every trial is recorded."""
