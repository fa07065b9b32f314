"""The LiteRT engine: reads a .tflite file with XNNPACK on the CPU."""

from __future__ import annotations

import numpy as np

from lucency.bundle import Bundle, Card
from lucency.errors import BundleError
from lucency.reader.answers import Engine, Squares
from lucency.reader.fan import NO_DOUBT, One, Row, fan
from lucency.reader.quiet import quiet


def outputs(card: Card) -> tuple[str, ...]:
    """What is asked of an exported network: its `probability` is not, so that a bundle can be calibrated again."""
    return ("logit", "map", "doubt") if card.gate.checks else ("logit", "map")


def open_litert(bundle: Bundle, threads: int) -> Engine:
    """The engine of a bundle whose format is `litert`.

    Raises:
        BundleError: LiteRT is not installed, or the file is not what docs/bundle.md says.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise BundleError(
            f"{bundle.path}: needs LiteRT; pip install ai-edge-litert, or read the ONNX edition of this bundle"
        ) from error
    content = bundle.read(bundle.card.model.file)
    asked = outputs(bundle.card)

    def make(inside: int) -> One:
        try:
            with quiet():
                interpreter = Interpreter(model_content=content, num_threads=inside)
                interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
            taken = runner.get_input_details()["film"]["index"]
            given = [runner.get_output_details()[name]["index"] for name in asked]
        except (ValueError, RuntimeError, KeyError) as error:
            raise BundleError(
                f"{bundle.path}: {bundle.card.model.file} is not a network with the input film and the outputs "
                f"{', '.join(asked)} ({error}); export it again"
            ) from error

        def one(square: Squares) -> Row:
            interpreter.set_tensor(taken, square[None, :, :, None].astype(np.float32))
            interpreter.invoke()
            logit, cells, *doubt = (interpreter.get_tensor(index)[0] for index in given)
            return logit, np.moveaxis(cells, -1, 0), doubt[0] if doubt else NO_DOUBT

        return one

    return fan(bundle.card, make, threads)
