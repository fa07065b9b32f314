"""Keras writes the networks, on PyTorch; without it these tests are skipped."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
