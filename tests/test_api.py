"""`import lucency`: light, typed, and its examples run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import lucency
from lucency import api
from lucency.bundle import DEFAULT

SOURCE = Path(lucency.__file__).parent
GOLDEN = DEFAULT / "golden" / "pneumonia.png"
MODULES = sorted(
    ".".join(("lucency", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if ">>> " in path.read_text()
)
FUNCTIONS = [name for name in vars(api) if name in lucency.__all__ and inspect.isfunction(getattr(api, name))]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the examples of the public functions take for granted; `run` is added by the one that trains."""
    return {"lucency": lucency, "film": DEFAULT / "golden" / "pneumonia.png", "folder": tmp_path_factory.mktemp("api")}


@pytest.mark.parametrize("module", [name for name in MODULES if name != api.__name__])
def test_doctests(module: str, names: dict[str, Any]) -> None:
    if module.startswith("lucency.dicom"):
        pytest.importorskip("pynetdicom", reason="needs lucency[dicom]")
    found = importlib.import_module(module)
    assert doctest.testmod(found, extraglobs=names).failed == 0


@pytest.mark.long
@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_public_function_has_an_example_that_runs(name: str, names: dict[str, Any]) -> None:
    """In the order of the file, because `export` takes the run that `train` leaves."""
    test = doctest.DocTestFinder().find(getattr(api, name), name, globs=names)[0]
    assert test.examples
    assert doctest.DocTestRunner().run(test, clear_globs=False).failed == 0
    names.update(test.globs)


def test_import_lucency_imports_no_dependency() -> None:
    program = (
        "import lucency, sys; print(sorted({name.split('.')[0] for name in sys.modules} & "
        "{'numpy', 'PIL', 'torch', 'scipy', 'pydantic', 'typer'}), [n for n in sys.modules if 'lucency.' in n])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] []\n"


def test_all_public_names_exist() -> None:
    assert all(getattr(lucency, name) is not None for name in lucency.__all__)
    assert set(lucency.__all__) <= set(dir(lucency))
    with pytest.raises(AttributeError, match="no attribute 'misspelt'"):
        _ = lucency.misspelt


@pytest.mark.long
def test_a_notebook_shows_the_curves_after_each_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ipython = pytest.importorskip("IPython")
    shown: list[str] = []
    handle = SimpleNamespace(update=lambda html: shown.append(html.data))
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel="a kernel"))
    monkeypatch.setattr(ipython.display, "display", lambda _, display_id: handle)
    model = {"backbone": "mobilenet_v1", "width": 0.25, "depth": 1, "head": "linear"}
    recipe = {"name": "tiny", "data": {"image_size": 32}, "model": model, "head": {"epochs": 3}}
    run = lucency.train("phantom:24", recipe, tmp_path / "run")
    assert len(shown) == len(set(shown)) == len(run.history["head"]) == 3


@pytest.mark.parametrize("first", ["lucency.evaluate", "import lucency.evaluate.metrics"])
def test_a_package_and_the_function_of_its_name_are_both_there(first: str) -> None:
    program = (
        f"import lucency; {first}; import lucency.evaluate.metrics as metrics; import sys; "
        "assert metrics is sys.modules['lucency.evaluate.metrics'] is lucency.evaluate.metrics; "
        "print(lucency.evaluate.__qualname__, lucency.evaluate.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "evaluate lucency.api\n"


def test_a_missing_file_is_an_error_of_the_tree() -> None:
    with pytest.raises(lucency.FilmError) as caught:
        lucency.open_film("no-such-film.png")
    assert (caught.value.code, caught.value.exit_code) == ("film_missing", 3)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: lucency.load(5), lucency.UsageError, "got int"),
        (lambda: lucency.load("no-such-bundle"), lucency.BundleError, "found nothing"),
        (lambda: lucency.train({"name": "x"}, "phantom:24"), lucency.UsageError, "films first"),
        (lambda: lucency.train("phantom:24", "lecturer"), lucency.RecipeError, "lecture"),
        (lambda: lucency.train("phantom:24", 5), lucency.UsageError, "got int"),
        (lambda: lucency.train("phantom:24", resume=True), lucency.UsageError, "as out"),
        (lambda: lucency.evaluate(lucency.load(), 5), lucency.UsageError, "got int"),
        (lambda: lucency.evaluate(lucency.load(), "no-such-folder"), lucency.SourceError, "check the path"),
        (lambda: lucency.explain(lucency.load(), None), lucency.FilmError, "got NoneType"),
        (lambda: lucency.explain(lucency.load(), GOLDEN, "grad_cam"), lucency.ExplainError, "supports"),
        (lambda: lucency.explain(lucency.load(), GOLDEN, finding="hernia"), lucency.UsageError, "pneumonia"),
    ],
)
def test_wrong_arguments_are_errors_of_the_tree(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_reader_says_what_it_is() -> None:
    assert repr(lucency.load()) == f"<Reader {DEFAULT}: lungs (litert), normal or pneumonia>"


def test_a_shipped_bundle_by_name() -> None:
    assert lucency.load("int8").card.model.quantize == "int8"


def test_an_explanation_draws_itself(tmp_path: Path) -> None:
    found = lucency.explain(lucency.load(), GOLDEN)
    assert found._repr_html_().count("<img") == 1
    assert found.plot().axes[0].images
    found.save(tmp_path / "map.png")
    assert (tmp_path / "map.png").stat().st_size > 10_000


def test_a_table_of_figures_for_a_notebook_and_for_pandas() -> None:
    report = lucency.evaluate(lucency.load(), "phantom:24:7", resamples=100)
    assert "auroc" in report._repr_html_()
    assert repr(report).startswith("<Report 24 films")
    pandas = pytest.importorskip("pandas")
    table = report.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert set(table.columns) == {"name", "finding", "value", "low", "high", "reason"}
    assert report.plot().axes
