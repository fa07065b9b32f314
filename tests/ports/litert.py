"""The network behind tests/ports/android/LiteRt.kt: films as big-endian float32 in, named outputs out."""

import struct
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_content=Path(sys.argv[1]).read_bytes(), num_threads=1)
interpreter.allocate_tensors()
run = interpreter.get_signature_runner()
shape = run.get_input_details()["film"]["shape"]
while film := sys.stdin.buffer.read(4 * int(np.prod(shape))):
    outputs = run(film=np.frombuffer(film, ">f4").reshape(shape).astype(np.float32))
    sys.stdout.buffer.write(struct.pack(">i", len(outputs)))
    for name, values in outputs.items():
        sys.stdout.buffer.write(struct.pack(">H", len(name)) + name.encode() + struct.pack(">i", values.size))
        sys.stdout.buffer.write(values.astype(">f4").tobytes())
    sys.stdout.buffer.flush()
