"""The engines that run a network: LiteRT, ONNX Runtime and, for a run before its export, PyTorch.

A .onnx or .tflite network from elsewhere runs as it is; its adapter.json says what it takes and gives.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from lucency.bundle import Bundle, Card
from lucency.errors import BundleError
from lucency.evaluate.calibration import logit
from lucency.files import parse_json
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


ADAPTER = "adapter.json"
Activation = Literal["sigmoid", "softmax", "logits"]
SMALLEST = 1e-7
"""Probabilities nearer to 0 or 1 say no more than this: float32 has no more places beside 1."""


class Adapter(BaseModel):
    """How a film becomes the network's input, and its output logits."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    channels: Literal[1, 3]
    channels_first: bool
    scale: tuple[float, ...]
    """Of each channel: the network takes scale · gray + shift, gray 0..255."""
    shift: tuple[float, ...]
    activation: Activation
    """That the network ends in."""
    fold: tuple[tuple[float, ...], ...]
    """(findings, units): from the units' logits to the card's."""


@dataclass(frozen=True)
class Session:
    """An opened network file with one input and one output."""

    shape: tuple[int | None, ...]
    """Of the input; None where the file leaves a side open."""
    run: Callable[[Floats], Floats]
    """float32 input → float32 output. Serves one call at a time."""


def has_adapter(card: Card) -> bool:
    """Whether the bundle's network is one from elsewhere, as it was saved. Such a network gives no map."""
    return card.model.format != "torch" and card.model.architecture is not None


def open_foreign(bundle: Bundle, threads: int) -> Engine:
    """Open a bundle that `lucency import` wrote of a .onnx or .tflite file. Its map is one cell of zero evidence.

    Raises:
        BundleError: the runtime is not installed, or file and adapter do not fit each other.
    """
    adapter = _adapter(bundle)
    content, side = bundle.read(bundle.card.model.file), bundle.card.preprocess.image_size

    def make(inside: int) -> One:
        try:
            session = open_session(content, bundle.card.model.format, inside)
            answer(session, adapter, np.zeros((side, side), np.uint8))
        except (ValueError, IndexError) as error:
            raise BundleError(f"{bundle.path}: {bundle.card.model.file} does not fit {ADAPTER} ({error})") from error

        def one(square: Squares) -> tuple[Floats, Floats, Floats]:
            logits = answer(session, adapter, square)
            return logits, np.zeros((len(logits), 1, 1), np.float32), np.zeros(0, np.float32)

        return one

    return interpreter_pool(bundle.card, make, threads)


def _adapter(bundle: Bundle) -> Adapter:
    try:
        return Adapter.model_validate(parse_json(bundle.read(bundle.card.model.architecture or ADAPTER)))
    except (ValidationError, ValueError) as error:
        raise BundleError(f"{bundle.path}: {ADAPTER} is not valid; import the network again") from error


def answer(session: Session, adapter: Adapter, square: Squares) -> Floats:
    """Logits float32 (findings,) of a square uint8 (s, s).

    Raises:
        ValueError: the network does not take such a film, or gives another number of values.
    """
    film = as_input(square[None]) * np.array(adapter.scale, np.float32) + np.array(adapter.shift, np.float32)
    film = np.ascontiguousarray(np.broadcast_to(film, (*film.shape[:3], adapter.channels)))
    given = session.run(np.ascontiguousarray(np.moveaxis(film, 3, 1)) if adapter.channels_first else film)
    units = unit_logits(given.reshape(-1), adapter.activation)
    return np.asarray(np.asarray(adapter.fold, np.float32) @ units, np.float32)


def unit_logits(values: Floats, activation: Activation) -> Floats:
    """The logits behind a network's last values (units,)."""
    if activation == "logits":
        return values
    bounded = np.clip(values.astype(np.float64), SMALLEST, 1 - SMALLEST)
    return np.asarray(np.log(bounded) if activation == "softmax" else logit(bounded), np.float32)


def open_session(content: bytes, kind: str, threads: int = 1) -> Session:
    """Open a .onnx (`onnx`) or .tflite (`litert`) file. Nothing in it is run but operators of the runtime.

    Raises:
        BundleError: the runtime is not installed.
        ValueError: broken, several inputs or outputs, or numbers of another type.
    """
    return (_onnx_session if kind == "onnx" else _litert_session)(content, threads)


ONNX_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


def _onnx_session(content: bytes, threads: int) -> Session:
    try:
        import onnxruntime
    except ImportError as error:
        raise BundleError("needs ONNX Runtime; pip install 'lucency[onnx]'") from error
    if b"\x0a\x08location" in content:  # the key of a tensor's external data
        raise ValueError("its weights lie in another file; save the network as one file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own exceptions share no base but this one
        raise ValueError(str(error).partition("\n")[0][:160]) from error
    taken, given = session.get_inputs(), session.get_outputs()
    _require_one(len(taken), len(given))
    if taken[0].type not in ONNX_TYPES:
        raise ValueError(f"its input is a {taken[0].type}; expected {', '.join(ONNX_TYPES)}")
    kind = ONNX_TYPES[taken[0].type]

    def run(film: Floats) -> Floats:
        try:
            found = session.run([given[0].name], {taken[0].name: film.astype(kind)})[0]
        except Exception as error:  # as above
            raise ValueError(str(error).partition("\n")[0][:160]) from error
        return np.asarray(found, np.float32)

    return Session(tuple(side if isinstance(side, int) else None for side in taken[0].shape), run)


def _litert_session(content: bytes, threads: int) -> Session:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise BundleError("needs LiteRT; pip install ai-edge-litert") from error
    try:
        with held_stderr():
            interpreter = Interpreter(model_content=content, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ValueError(str(error).strip().partition("\n")[0][:160]) from error
    taken, given = interpreter.get_input_details(), interpreter.get_output_details()
    _require_one(len(taken), len(given))

    def run(film: Floats) -> Floats:
        interpreter.set_tensor(taken[0]["index"], _as_stored(film, taken[0]))
        interpreter.invoke()
        return _as_numbers(interpreter.get_tensor(given[0]["index"]), given[0])

    stated = taken[0].get("shape_signature", taken[0]["shape"])
    shape = tuple(int(side) if side >= 0 else None for side in stated)
    if None in shape[1:]:
        raise ValueError("the size of its input is open; convert it for one size")
    return Session(shape, run)


def _require_one(inputs: int, outputs: int) -> None:
    if (inputs, outputs) != (1, 1):
        raise ValueError(f"expected one input and one output, found {inputs} and {outputs}")


def _as_stored(film: Floats, detail: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Numbers as the input tensor holds them: whole ones where the file is quantised."""
    kind, (scale, zero) = detail["dtype"], detail["quantization"]
    if not np.issubdtype(kind, np.integer):
        return film.astype(kind)
    whole = np.rint(film / scale) + zero if scale else np.rint(film)
    bounds = np.iinfo(kind)
    return np.asarray(np.clip(whole, bounds.min, bounds.max), kind)


def _as_numbers(values: np.ndarray[Any, Any], detail: dict[str, Any]) -> Floats:
    scale, zero = detail["quantization"]
    plain = np.asarray(values, np.float32)
    return (plain - np.float32(zero)) * np.float32(scale) if scale else plain
