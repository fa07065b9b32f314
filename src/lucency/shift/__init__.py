"""Tests whether a reader depends on disease or on acquisition: re-acquired films, probes, left-out blocks."""
