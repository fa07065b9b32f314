"""The ONNX Runtime engine: reads a self-contained .onnx file on the CPU."""

from __future__ import annotations

import numpy as np

from lucency.bundle import Bundle
from lucency.errors import BundleError
from lucency.reader.answers import Engine, Squares
from lucency.reader.fan import NO_DOUBT, One, Row, fan
from lucency.reader.litert import outputs


def open_onnx(bundle: Bundle, threads: int) -> Engine:
    """The engine of a bundle whose format is `onnx`.

    Raises:
        BundleError: ONNX Runtime is not installed, or the file is not what docs/bundle.md says.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BundleError(f"{bundle.path}: needs ONNX Runtime; pip install onnxruntime") from error
    content = bundle.read(bundle.card.model.file)
    asked = outputs(bundle.card)

    def make(inside: int) -> One:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = inside, 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
            named = {item.name for item in session.get_outputs()}
            if [item.name for item in session.get_inputs()] != ["film"] or not named.issuperset(asked):
                raise ValueError(f"its outputs are {', '.join(sorted(named))}")
        except Exception as error:  # ONNX Runtime's own exceptions share no base but this one
            raise BundleError(
                f"{bundle.path}: {bundle.card.model.file} is not a network with the input film and the outputs "
                f"{', '.join(asked)} ({error}); export it again"
            ) from error

        def one(square: Squares) -> Row:
            film = square[None, :, :, None].astype(np.float32)
            logit, cells, *doubt = (found[0] for found in session.run(asked, {"film": film}))
            return logit, np.moveaxis(cells, -1, 0), doubt[0] if doubt else NO_DOUBT

        return one

    return fan(bundle.card, make, threads)
