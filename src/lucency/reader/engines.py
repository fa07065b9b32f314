"""The engines that run a network: LiteRT, ONNX Runtime and, for a run before its export, PyTorch."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lucency.bundle import Bundle, Card
from lucency.errors import BundleError
from lucency.native_output import held_stderr
from lucency.preprocess import as_input
from lucency.reader.outputs import Engine, Floats, Outputs, Squares, calibrated

Row = tuple[Floats, Floats, Floats]
"""logits (f,), maps (f, h, w), doubts (k,) of one film."""
NO_DOUBT = np.zeros(0, dtype=np.float32)
"""Of a network without a gate."""
One = Callable[[Squares], Row]
"""uint8 (side, side), or (side, side, 3), → Row. Serves one call at a time."""


def interpreter_pool(card: Card, make: Callable[[int], One], threads: int) -> Engine:
    """An engine over copies of `make(threads_inside_a_film)`, made when first needed.

    A static shape of one film makes the fastest file for a phone; a batch is read film by film, side by side.
    """
    first = make(1)  # so that a broken file shows when it is opened, not at the first film
    narrow = _copies(lambda: make(1), [first, *[None] * (threads - 1)])
    wide = _copies(lambda: make(threads), [None]) if threads > 1 else narrow
    pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def batch(squares: Squares) -> Outputs:
        if len(squares) == 1:
            return _stacked(card, [wide(squares[0])])
        return _stacked(card, list(map(narrow, squares) if pool is None else pool.map(narrow, squares)))

    def submit(squares: Squares) -> Outputs:
        return _stacked(card, [narrow(square) for square in squares])

    return Engine(batch, submit)


def _copies(make: Callable[[], One], copies: list[One | None]) -> One:
    """A function that any thread may call, over `copies`; a call waits for an idle one.

    None is a copy not made yet: it costs memory and time that a single film need not pay.
    """
    idle: queue.LifoQueue[One | None] = queue.LifoQueue()
    for copy in reversed(copies):
        idle.put(copy)

    def one(square: Squares) -> Row:
        copy = idle.get()
        try:
            copy = copy or make()
            return copy(square)
        finally:
            idle.put(copy)

    return one


def _stacked(card: Card, rows: list[Row]) -> Outputs:
    logits, maps, doubts = (np.stack(column) for column in zip(*rows, strict=True))
    return Outputs(logits, calibrated(card, logits), maps, doubts)


def _outputs(card: Card) -> tuple[str, ...]:
    """What is asked of an exported network; not its `probability`, so that a bundle can be calibrated again."""
    return ("logit", "map", "doubt") if card.gate.checks else ("logit", "map")


def _row(logit: Floats, cells: Floats, doubt: Floats = NO_DOUBT) -> Row:
    return logit, np.moveaxis(cells, -1, 0), doubt


def _unfit(bundle: Bundle, error: Exception) -> BundleError:
    needed = ", ".join(_outputs(bundle.card))
    return BundleError(
        f"{bundle.path}: {bundle.card.model.file} is not a network with the input film and the outputs {needed} "
        f"({error}); export it again"
    )


def open_litert(bundle: Bundle, threads: int) -> Engine:
    """Open a bundle whose format is `litert`: a .tflite file, run by XNNPACK on the CPU.

    Raises:
        BundleError: LiteRT is not installed, or the file is not what docs/bundle.md says.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise BundleError(
            f"{bundle.path}: needs LiteRT; pip install ai-edge-litert, or read the ONNX edition of this bundle"
        ) from error
    content, asked = bundle.read(bundle.card.model.file), _outputs(bundle.card)

    def make(inside: int) -> One:
        try:
            with held_stderr():
                interpreter = Interpreter(model_content=content, num_threads=inside)
                interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
            taken = runner.get_input_details()["film"]["index"]
            given = [runner.get_output_details()[name]["index"] for name in asked]
        except (ValueError, RuntimeError, KeyError) as error:
            raise _unfit(bundle, error) from error

        def one(square: Squares) -> Row:
            interpreter.set_tensor(taken, as_input(square[None]))
            interpreter.invoke()
            return _row(*(interpreter.get_tensor(index)[0] for index in given))

        return one

    return interpreter_pool(bundle.card, make, threads)


def open_onnx(bundle: Bundle, threads: int) -> Engine:
    """Open a bundle whose format is `onnx`: one self-contained file, run by ONNX Runtime on the CPU.

    Raises:
        BundleError: ONNX Runtime is not installed, or the file is not what docs/bundle.md says.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise BundleError(f"{bundle.path}: needs ONNX Runtime; pip install 'lucency[onnx]'") from error
    content, asked = bundle.read(bundle.card.model.file), _outputs(bundle.card)

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
            raise _unfit(bundle, error) from error

        def one(square: Squares) -> Row:
            film = as_input(square[None])
            return _row(*(found[0] for found in session.run(asked, {"film": film})))

        return one

    return interpreter_pool(bundle.card, make, threads)


CHUNK = 32
"""Films per forward pass: more only costs memory."""


def open_torch(bundle: Bundle, threads: int) -> Engine:
    """The engine of a run. PyTorch's own number of threads is left as it is found.

    Raises:
        BundleError: PyTorch is not installed, or the weights do not fit the card.
    """
    try:
        import torch

        from lucency.models.classifier import fuse_batchnorm
        from lucency.models.ood_detector import load_ood_detector
        from lucency.models.run import keep_freed_memory, load_run
    except ImportError as error:
        raise BundleError(
            f"{bundle.path}: a run needs PyTorch; pip install 'lucency[train]', or read the bundle exported from it"
        ) from error
    keep_freed_memory()
    run = load_run(bundle)
    classifier = fuse_batchnorm(run.classifier).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    gate = load_ood_detector(bundle)

    def answer(squares: Squares) -> Outputs:
        parts = []
        for start in range(0, len(squares), CHUNK):
            with torch.inference_mode():
                films = torch.from_numpy(as_input(squares[start : start + CHUNK])).permute(0, 3, 1, 2)
                cropped = classifier.crop_input(films)
                logits, maps, pooled = classifier.forward_cropped(cropped)
                doubts = films.new_zeros(len(films), 0) if gate is None else gate(films, pooled, cropped)
                answers = (logits, maps, doubts)
                parts.append([part.numpy() for part in answers])
        logits, maps, doubts = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Outputs(logits, calibrated(bundle.card, logits), maps, doubts)

    return Engine(batch=answer, submit=answer)
