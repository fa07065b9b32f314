"""Core ML: an ML program of full precision by coremltools, which writes on any system and runs on Apple's."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lucency.errors import ExportError
from lucency.export.litert import first_line
from lucency.files import scratch
from lucency.native_output import held_stderr

if TYPE_CHECKING:
    from lucency.export.network import ExportNetwork

MISSING = "writing Core ML needs coremltools; pip install 'lucency[coreml]'"
PACKAGE = "model.mlpackage"
"""A folder; a bundle holds it as a .zip of stored files, so that it stays one file with one hash."""
NOTHING = ("alias", "clone", "detach", "lift_fresh_copy")
"""What torch.export writes and Core ML does not need."""


def convert(network: ExportNetwork, side: int) -> bytes:
    """A zipped .mlpackage of one film, static shape, outputs by name, float32 throughout, for iOS 16 and macOS 13 on.

    Raises:
        ExportError: coremltools is not installed, or does not support an operation of the network.
    """
    import torch

    from lucency.export.network import INPUT, example_film

    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of untested versions of PyTorch
            import coremltools as ct
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    try:
        with held_stderr(), warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.export.export(network, (), {INPUT: example_film(side)}).run_decompositions({})
            _simplify(program)
            model = ct.convert(
                program,
                outputs=[ct.TensorType(name=name) for name in network.outputs],
                minimum_deployment_target=ct.target.iOS16,
                compute_precision=ct.precision.FLOAT32,
                skip_model_load=True,
            )
            return _zipped(model)
    except Exception as error:  # the converter's own exceptions share no other base
        raise ExportError(f"coreml: cannot convert this network ({first_line(error)})") from error


def _simplify(program: Any) -> None:
    """Rewrite what coremltools 9 cannot read of torch.export's graph: copies, and pools without a stride."""
    import torch

    aten = torch.ops.aten
    same = {getattr(aten, name).default for name in NOTHING}
    for node in list(program.graph.nodes):
        if node.target in same:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
        elif node.target is aten.max_pool2d.default and len(node.args) == 2:
            node.args = (*node.args, node.args[1])
    program.graph_module.recompile()


def _zipped(model: Any) -> bytes:
    """The package with neither dates nor random names: the same network gives the same bytes."""
    from coremltools.proto import Model_pb2

    stream = io.BytesIO()
    with scratch() as folder:
        root = Path(folder, PACKAGE)
        model.save(str(root))
        _name_items(root / "Manifest.json")
        path = root / "Data" / "com.apple.CoreML" / "model.mlmodel"
        spec = Model_pb2.Model()
        spec.ParseFromString(path.read_bytes())
        spec.description.metadata.userDefined.clear()  # the date, and versions that the card has
        path.write_bytes(spec.SerializeToString(deterministic=True))
        with zipfile.ZipFile(stream, "w") as archive:
            for path in sorted(root.rglob("*")):
                if path.is_file():
                    name = path.relative_to(folder).as_posix()
                    archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), path.read_bytes())
    return stream.getvalue()


def _name_items(manifest: Path) -> None:
    """The items of a package are named by random numbers; here by what they hold."""
    stated = json.loads(manifest.read_text(encoding="utf-8"))
    items = {random: item["name"] for random, item in stated["itemInfoEntries"].items()}
    stated["itemInfoEntries"] = {items[random]: item for random, item in stated["itemInfoEntries"].items()}
    stated["rootModelIdentifier"] = items[stated["rootModelIdentifier"]]
    manifest.write_text(json.dumps(stated, indent=4, sort_keys=True), encoding="utf-8")


def check(content: bytes, outputs: tuple[str, ...]) -> None:
    """Refuse a file that Core ML could not read as docs/bundle.md says.

    Raises:
        ExportError: not a package, a dynamic shape, other names of input and outputs, or weights that are missing.
    """
    from lucency.reader.coreml import load_spec

    with scratch() as folder:
        description = load_spec(content, folder).description
    inputs, names = [item.name for item in description.input], {item.name for item in description.output}
    if inputs != ["film"] or names != set(outputs):
        raise ExportError(f"coreml: expected film → {', '.join(outputs)}, found {inputs} → {', '.join(sorted(names))}")
    if not all(item.type.multiArrayType.shape for item in (*description.input, *description.output)):
        raise ExportError("coreml: expected a static shape, found a dynamic one")
