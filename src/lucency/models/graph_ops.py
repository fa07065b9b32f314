"""The layers of imported networks, channels first; and their derivatives by hand, so that a map needs no autograd."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Shape = tuple[int, ...]
"""Of one film's values: (channels, height, width), or (channels,)."""
Margins = tuple[int, int, int, int]
"""Zeros to add: left, right, top, bottom."""


def same_margins(shape: Shape, kernel: Sequence[int], strides: Sequence[int], dilation: Sequence[int]) -> Margins:
    """What TensorFlow's padding "same" adds: more below and right than above and left.

    >>> same_margins((3, 224, 224), (3, 3), (2, 2), (1, 1))
    (0, 1, 0, 1)
    """
    margins: list[int] = []
    for side, size, stride, reach in zip(shape[:0:-1], kernel[::-1], strides[::-1], dilation[::-1], strict=True):
        total = max((-(-side // stride) - 1) * stride + (size - 1) * reach + 1 - side, 0)
        margins += [total // 2, total - total // 2]
    left, right, top, bottom = margins
    return left, right, top, bottom


class Convolution(nn.Conv2d):
    """A convolution with margins that may differ from side to side."""

    def __init__(
        self,
        shape: Shape,
        *,
        filters: int,
        kernel: Sequence[int],
        strides: Sequence[int],
        dilation: Sequence[int],
        padding: str,
        groups: int,
        bias: bool,
    ) -> None:
        self.margins = same_margins(shape, kernel, strides, dilation) if padding == "same" else (0, 0, 0, 0)
        left, right, top, bottom = self.margins
        even = left == right and top == bottom
        super().__init__(
            shape[0],
            filters,
            (kernel[0], kernel[1]),
            (strides[0], strides[1]),
            (top, left) if even else 0,
            (dilation[0], dilation[1]),
            groups,
            bias,
        )
        self.uneven = not even

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, filters, …)."""
        return super().forward(F.pad(x, self.margins) if self.uneven else x)


class Pool(nn.Module):
    """The largest or the mean of each window; margins of "same" count for neither."""

    def __init__(self, shape: Shape, *, how: str, size: Sequence[int], strides: Sequence[int], padding: str) -> None:
        super().__init__()
        self.largest = how == "max"
        self.size, self.strides = (size[0], size[1]), (strides[0], strides[1])
        self.margins = same_margins(shape, size, strides, (1, 1)) if padding == "same" else (0, 0, 0, 0)
        self.whole = self.size == shape[1:] and not any(self.margins)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) → (n, c, …)."""
        if self.largest:
            return F.max_pool2d(F.pad(x, self.margins, value=-torch.inf), self.size, self.strides)
        mean = F.avg_pool2d(F.pad(x, self.margins), self.size, self.strides)
        if not any(self.margins):
            return mean
        return mean / F.avg_pool2d(F.pad(torch.ones_like(x[:1, :1]), self.margins), self.size, self.strides)


class Global(nn.Module):
    """The mean or the largest over the whole map; of what is pooled already, itself."""

    def __init__(self, _shape: Shape, *, how: str, keep: bool) -> None:
        super().__init__()
        self.largest, self.keep = how == "max", keep

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) or (n, c) → (n, c), or (n, c, 1, 1) to keep the axes."""
        if x.ndim == 4:
            x = x.amax((2, 3)) if self.largest else x.mean((2, 3))
        return x[..., None, None] if self.keep else x


class Reshape(nn.Module):
    """Another shape, in the order of channels last."""

    def __init__(self, shape: Shape, *, target: Sequence[int]) -> None:
        super().__init__()
        self.given, self.target = shape, tuple(target)

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) or (n, c) → the target, whose channels come last, channels first."""
        last = x.permute(0, 2, 3, 1) if x.ndim == 4 else x
        shaped = last.reshape(x.shape[0], *self.target)
        return shaped.permute(0, 3, 1, 2) if shaped.ndim == 4 else shaped

    def back(self, gains: Tensor) -> Tensor:
        """Derivatives (n, f, …) by the output → by the input."""
        last = gains.permute(0, 1, 3, 4, 2) if gains.ndim == 5 else gains
        if len(self.given) == 1:
            return last.reshape(*gains.shape[:2], *self.given)
        channels, height, width = self.given
        return last.reshape(*gains.shape[:2], height, width, channels).permute(0, 1, 4, 2, 3)


class Affine(nn.Module):
    """x · scale + offset, a number each or one a channel."""

    scale: Tensor
    offset: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        spread = (shape[0], *(1,) * (len(shape) - 1))
        self.register_buffer("scale", torch.ones(spread))
        self.register_buffer("offset", torch.zeros(spread))

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        return x * self.scale + self.offset


class Merge(nn.Module):
    """Several tensors to one: their sum, product, difference, mean, or all channels after each other."""

    def __init__(self, *_shapes: Shape, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, *inputs: Tensor) -> Tensor:
        """Tensors that broadcast, or that agree but for channels → one."""
        if self.how == "concat":
            return torch.cat(inputs, 1)
        total = inputs[0]
        for other in inputs[1:]:
            total = MERGES[self.how](total, other)
        return total / len(inputs) if self.how == "mean" else total


MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "mean": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}


class Function(nn.Module):
    """An activation that PyTorch has no module for."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.function = FUNCTIONS[name]

    def forward(self, x: Tensor) -> Tensor:
        """Any shape → the same."""
        return self.function(x)


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exponential": torch.exp,
    "hard_sigmoid_keras2": lambda x: (0.2 * x + 0.5).clamp(0, 1),
}
ACTIVATIONS: dict[str, Callable[..., nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "clipped_relu": lambda alpha: nn.Hardtanh(0.0, alpha),
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU("tanh"),
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "sigmoid": nn.Sigmoid,
    "hard_sigmoid": nn.Hardsigmoid,
    "hard_silu": nn.Hardswish,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    **{name: lambda name=name: Function(name) for name in FUNCTIONS},
}


def _activation(_shape: Shape, *, name: str, alpha: float | None = None) -> nn.Module:
    return ACTIVATIONS[name]() if alpha is None else ACTIVATIONS[name](alpha)


def _batch_norm(shape: Shape, *, eps: float) -> nn.Module:
    return nn.BatchNorm2d(shape[0], eps) if len(shape) == 3 else nn.BatchNorm1d(shape[0], eps)


def _dense(shape: Shape, *, units: int, bias: bool) -> nn.Module:
    if len(shape) != 1:
        raise ValueError(f"expected values in a row, came a map {shape}; put Flatten or a global pool before it")
    return nn.Linear(shape[0], units, bias)


def _pad(_shape: Shape, *, margins: Sequence[int]) -> nn.Module:
    left, right, top, bottom = margins
    return nn.ZeroPad2d((left, right, top, bottom))


def _dropout(_shape: Shape, *, rate: float) -> nn.Module:
    return nn.Dropout(rate)


OPS: dict[str, Callable[..., nn.Module]] = {
    "conv": Convolution,
    "batch_norm": _batch_norm,
    "activation": _activation,
    "pad": _pad,
    "pool": Pool,
    "global_pool": Global,
    "reshape": Reshape,
    "dense": _dense,
    "dropout": _dropout,
    "affine": Affine,
    "merge": Merge,
}
"""What a layer may be: (shapes of its inputs, **settings) → module."""


def _on(mask: Tensor, x: Tensor) -> Tensor:
    return mask.to(x.dtype)


SLOPES: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.ReLU: lambda _, x, y: _on(x > 0, x),
    nn.ReLU6: lambda _, x, y: _on(x > 0, x) * _on(x < 6, x),
    nn.Hardtanh: lambda act, x, y: _on(x > 0, x) * _on(x < act.max_val, x),
    nn.LeakyReLU: lambda act, x, y: _on(x > 0, x) * (1 - act.negative_slope) + act.negative_slope,
    nn.ELU: lambda act, x, y: _on(x > 0, x) + _on(x <= 0, x) * (y + act.alpha),
    nn.SiLU: lambda _, x, y: torch.sigmoid(x) * (1 + x - y),
    nn.Sigmoid: lambda _, x, y: y * (1 - y),
    nn.Tanh: lambda _, x, y: 1 - y * y,
    nn.Softplus: lambda _, x, y: torch.sigmoid(x),
    nn.Hardsigmoid: lambda _, x, y: _on(x > -3, x) * _on(x < 3, x) / 6,
}
"""Activation → its derivative at x, where it gives y."""


def pull_back(module: nn.Module, gains: Tensor, inputs: Sequence[Tensor], output: Tensor) -> list[Tensor]:
    """The chain rule through one layer in evaluation mode.

    Args:
        module: a layer of OPS.
        gains: derivative of each finding by the layer's output, (n, f, …).
        inputs, output: of the layer, (n, …).

    Returns:
        derivatives by each input.

    Raises:
        ValueError: a layer that heads cannot have.
    """
    slope = SLOPES.get(type(module))
    if slope is not None:
        return [gains * slope(module, inputs[0], output)[:, None]]
    if isinstance(module, nn.Linear):
        return [gains @ module.weight]
    if isinstance(module, Convolution) and module.kernel_size == (1, 1) and inputs[0].shape[2:] == (1, 1):
        return [(gains.flatten(2) @ module.weight.flatten(1))[..., None, None]]
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        assert module.running_var is not None
        factor = module.weight * torch.rsqrt(module.running_var + module.eps)
        return [gains * factor.reshape(-1, *(1,) * (gains.ndim - 3))]
    if isinstance(module, Global) or (isinstance(module, Pool) and module.whole):
        return [_pull_pool(module, gains, inputs[0])]
    if isinstance(module, Reshape):
        return [module.back(gains)]
    if isinstance(module, nn.Dropout):
        return [gains]
    if isinstance(module, Affine):
        return [gains * module.scale]
    if isinstance(module, Merge) and module.how in ("add", "mean", "concat"):
        return _pull_merge(module, gains, inputs)
    raise ValueError(f"after the last map, {type(module).__name__} has no map by hand")


def _pull_pool(module: Global | Pool, gains: Tensor, x: Tensor) -> Tensor:
    rows = gains.reshape(*gains.shape[:2], -1)
    if x.ndim == 2:
        return rows
    cells = x.new_ones(x.shape)
    if module.largest:
        cells = _on(x == x.amax((2, 3), keepdim=True), x)
    return rows[..., None, None] * (cells / cells.sum((2, 3), keepdim=True))[:, None]


def _pull_merge(module: Merge, gains: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
    if module.how == "concat":
        return list(torch.split(gains, [x.shape[1] for x in inputs], dim=2))
    return [gains / (len(inputs) if module.how == "mean" else 1)] * len(inputs)
