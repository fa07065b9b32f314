"""A registered search over recipes: the score is fixed beforehand, and every trial and the cost are recorded."""
