"""Bulk reading: a manifest in, Parquet out. Needs lucency[score]; the engine `ray` needs lucency[ray]."""

from lucency.score.engines import ENGINES
from lucency.score.manifest import Manifest, open_manifest
from lucency.score.pipeline import score
from lucency.score.shards import Shards, Summary
from lucency.score.table import SCHEMA, score_batch

__all__ = ["ENGINES", "SCHEMA", "Manifest", "Shards", "Summary", "open_manifest", "score", "score_batch"]
