"""The functions of `import lucency`, in the words of the command line."""

from lucency.api.functions import audit, evaluate, explain, export, import_model, load, train
from lucency.api.run import Run

__all__ = ["Run", "audit", "evaluate", "explain", "export", "import_model", "load", "train"]
