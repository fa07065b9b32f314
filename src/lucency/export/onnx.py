"""ONNX: one self-contained .onnx file by torch.onnx."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from lucency.errors import ExportError
from lucency.export.litert import first_line
from lucency.native_output import held_stderr

if TYPE_CHECKING:
    from lucency.export.network import Answering

MISSING = "writing ONNX needs onnx and onnxscript; pip install 'lucency[export]'"
OPSET = 18
"""Old enough for phones' and browsers' ONNX Runtime, new enough for what torch.onnx writes without adapters."""
PLAIN = ("", "ai.onnx")
"""The domain of built-in operators."""


def convert(network: Answering, side: int) -> bytes:
    """A float32 .onnx of one film, static shape, answers by name, weights inside the file.

    Raises:
        ExportError: onnx is not installed, or the exporter does not know an operation of the network.
    """
    import torch

    from lucency.export.network import INPUT, blank

    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx needs it and says so at length
    except ImportError as error:
        raise ExportError(f"{MISSING} ({error})") from error
    stream = io.BytesIO()
    try:
        with held_stderr(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                (),
                kwargs={INPUT: blank(side)},
                input_names=[INPUT],
                output_names=list(network.outputs),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
            assert program is not None
            program.save(stream, external_data=False)  # type: ignore[arg-type]  # its code takes a stream too
    except Exception as error:  # torch.onnx wraps whatever it meets in exceptions of its own
        raise ExportError(f"onnx: cannot convert this network ({first_line(error)})") from error
    return written(bare(onnx.load_from_string(stream.getvalue())))


def bare(model: Any) -> Any:
    """The model without the converter's notes: paths and stack traces of the machine that wrote it."""
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
    return model


def written(model: Any) -> bytes:
    """The model as bytes."""
    return bytes(model.SerializeToString())


def check(content: bytes, outputs: tuple[str, ...]) -> None:
    """Refuse a file that ONNX Runtime could not read anywhere.

    Raises:
        ExportError: an operator outside ai.onnx, weights outside the file, a shape left open, or other names.
    """
    import onnx

    model = onnx.load_from_string(content)
    strange = sorted({f"{node.domain}:{node.op_type}" for node in model.graph.node if node.domain not in PLAIN})
    if strange or model.functions:
        raise ExportError(f"onnx: expected operators of ai.onnx only, found {', '.join(strange) or 'functions'}")
    if any(item.data_location == onnx.TensorProto.EXTERNAL for item in model.graph.initializer):
        raise ExportError("onnx: expected one self-contained file, found weights outside of it")
    names = [value.name for value in model.graph.output]
    taken = [value.name for value in model.graph.input]
    if taken != ["film"] or set(names) != set(outputs):
        raise ExportError(f"onnx: expected film → {', '.join(outputs)}, found {taken} → {', '.join(names)}")
    dims = [dim for value in (*model.graph.input, *model.graph.output) for dim in value.type.tensor_type.shape.dim]
    if not all(dim.HasField("dim_value") for dim in dims):
        raise ExportError("onnx: expected a static shape, found one left open")
    onnx.checker.check_model(model)
