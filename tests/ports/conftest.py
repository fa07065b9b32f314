"""Every port as a process that answers lines: see Serve.kt, main.swift and serve.mjs."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PORTS = HERE.parents[1] / "ports"
Ask = Callable[[list[str]], list[str]]


def javascript(_: Path) -> list[str]:
    return [_program("node"), str(HERE / "serve.mjs")]


def kotlin(folder: Path) -> list[str]:
    """Compiled by kotlinc, or by the compiler inside the kotlin-jupyter-kernel wheel, which needs only Java."""
    sources = [*PORTS.glob("kotlin/*.kt"), HERE / "Serve.kt", *(HERE / "android").iterdir()]
    java = _program("java")
    wheel = importlib.util.find_spec("run_kotlin_kernel")
    if wheel and wheel.submodule_search_locations:
        jars = Path(next(iter(wheel.submodule_search_locations))) / "jars"
        library = str(next(jars.glob("kotlin-stdlib-*.jar")))
        compiler = [java, "-cp", f"{jars}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
        _build([*compiler, "-no-stdlib", "-no-reflect", "-cp", library, "-d", str(folder), *map(str, sources)])
        return [java, "-cp", f"{folder}:{library}", "ServeKt"]
    jar = str(folder / "serve.jar")
    _build([_program("kotlinc"), "-include-runtime", "-d", jar, *map(str, sources)])
    return [java, "-cp", jar, "ServeKt"]


def swift(folder: Path) -> list[str]:
    binary = str(folder / "serve")
    _build([_program("swiftc"), "-O", "-o", binary, str(PORTS / "swift/Lucency.swift"), str(HERE / "main.swift")])
    return [binary]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed")
    return found


def _build(command: list[str]) -> None:
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


@pytest.fixture(scope="session", params=[javascript, kotlin, swift], ids=lambda port: port.__name__)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Sends lines to a port and gives its answers, one process for them all."""
    command = request.param(tmp_path_factory.mktemp(request.param.__name__))

    def answers(lines: list[str]) -> list[str]:
        told = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        return told.stdout.splitlines()

    return answers
