"""lucency reads chest films for pneumonia. Research use only; not a medical device.

    >>> import lucency
    >>> reader = lucency.load()
    >>> reading = reader.read(film)                     # path, bytes, file, PIL image, array, pydicom data set
    >>> reading
    <Reading pneumonia 0.990: pneumonia (0.89 or more)>
    >>> run = lucency.train("chest_xray", recipe="lecture")     # doctest: +SKIP

The names in `__all__` are public, documented in `lucency.api` and in each class; anything else may change.
"""

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # as typing's, whose import takes longer than all of this
if TYPE_CHECKING:
    from lucency.api import Run as Run
    from lucency.api import audit as audit
    from lucency.api import evaluate as evaluate
    from lucency.api import explain as explain
    from lucency.api import export as export
    from lucency.api import import_model as import_model
    from lucency.api import load as load
    from lucency.api import train as train
    from lucency.data import Dataset as Dataset
    from lucency.data import read_dataset as read_dataset
    from lucency.errors import BundleError as BundleError
    from lucency.errors import ExplainError as ExplainError
    from lucency.errors import ExportError as ExportError
    from lucency.errors import ExtraError as ExtraError
    from lucency.errors import FilmError as FilmError
    from lucency.errors import LucencyError as LucencyError
    from lucency.errors import OutputError as OutputError
    from lucency.errors import RecipeError as RecipeError
    from lucency.errors import SourceError as SourceError
    from lucency.errors import TrainingError as TrainingError
    from lucency.errors import UsageError as UsageError
    from lucency.errors import WeightsError as WeightsError
    from lucency.film import Film as Film
    from lucency.film import open_film as open_film
    from lucency.reader import Reader as Reader
    from lucency.reader import Reading as Reading

__version__ = "0.1.0"
NOTICE = "Research use only. Not for diagnosis."
"""Stands on every page, picture, table and file of readings."""

_PUBLIC = {
    "api": "Run audit evaluate explain export import_model load train",
    "data": "Dataset read_dataset",
    "errors": "BundleError ExplainError ExportError ExtraError FilmError LucencyError OutputError RecipeError "
    "SourceError TrainingError UsageError WeightsError",
    "film": "Film open_film",
    "reader": "Reader Reading",
}
"""Module → its public names. It is imported when one of them is first used: `import lucency` takes no time."""
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names.split()}

__all__ = ["NOTICE", "__version__", *_MODULE_OF]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'lucency' has no attribute {name!r}")
    value = getattr(import_module(f"lucency.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    if package := sys.modules.get(f"lucency.{name}"):
        value.__dict__ = package.__dict__
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """Keeps the function `lucency.train` when the package of that name is imported, and gives it its content."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)
        elif name in self.__dict__:
            self.__dict__[name].__dict__ = value.__dict__


sys.modules[__name__].__class__ = _Package
