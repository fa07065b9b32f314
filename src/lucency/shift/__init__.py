"""Whether a reader reads disease or how a film was taken: films re-acquired, shortcuts probed, runs compared."""
