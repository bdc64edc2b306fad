"""What `torch.autocast` does to operators on CUDA: which it runs in half and which in single precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from nas.costs.autocast_state import is_autocast_on
from nas.costs.call import bind, tensors_of

LOWER = "lower"
FP32 = "fp32"
FP32_RESULT = "fp32 result"
PROMOTE = "promote"
LOWER_PRECISION = (
    "_convolution _convolution.deprecated conv1d conv2d conv3d conv_tbc conv_transpose1d"
    " conv_transpose2d.input conv_transpose3d.input convolution prelu addmm addmv addr matmul einsum mm mv"
    " linalg_vecdot linear addbmm baddbmm bmm chain_matmul linalg_multi_dot scaled_dot_product_attention"
    " lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell lstm.input gru.input rnn_tanh.input rnn_relu.input"
)
"""The recurrent layers stand for the kernels of cuDNN, whose weights and inputs autocast casts."""
SINGLE_PRECISION = (
    "acos asin cosh erfinv exp expm1 log log10 log2 log1p reciprocal rsqrt sinh tan pow.Tensor_Scalar"
    " pow.Tensor_Tensor pow.Scalar softplus layer_norm native_layer_norm rms_norm group_norm"
    " frobenius_norm.dim nuclear_norm nuclear_norm.dim cosine_similarity dist pdist cdist renorm logsumexp"
    " upsample_nearest1d _upsample_nearest_exact1d upsample_nearest2d _upsample_nearest_exact2d"
    " upsample_nearest3d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d"
    " _upsample_bilinear2d_aa upsample_trilinear3d upsample_bicubic2d _upsample_bicubic2d_aa"
)
SINGLE_PRECISION_RESULT = (
    "prod prod.dim_int softmax.int log_softmax.int cumprod cumsum linalg_vector_norm linalg_matrix_norm"
    " linalg_matrix_norm.str_ord sum sum.dim_IntList"
)
"""They read what they are given and write single precision."""
WIDEST = "addcdiv addcmul atan2 bilinear cross dot vdot grid_sampler index_put tensordot scatter_add"
POLICIES: Mapping[str, str] = {
    name: policy
    for names, policy in (
        (LOWER_PRECISION, LOWER),
        (SINGLE_PRECISION, FP32),
        (SINGLE_PRECISION_RESULT, FP32_RESULT),
        (WIDEST, PROMOTE),
    )
    for name in names.split()
}
"""The lists of torch 2.13, ``ATen/autocast_mode.h``, without losses."""
HALF_SOFTMAX = {
    torch.ops.aten.softmax.int: torch.ops.aten._softmax.default,
    torch.ops.aten.log_softmax.int: torch.ops.aten._log_softmax.default,
}
"""The kernels that read half precision and write single precision, which torch takes on CUDA alone."""


def policy_of(operator: Any) -> str | None:
    """What autocast does to the arguments of an operator; None where it leaves them alone."""
    if operator.namespace != "aten":
        return None
    name, overload = operator._opname, operator._overloadname
    return POLICIES.get(name if overload == "default" else f"{name}.{overload}")


class Autocast:
    """One pass under autocast: it casts the arguments of operators, each trained weight once.

    `cast` is asked for each cast that autocast executes: (tensor, dtype) to the new tensor.
    """

    def __init__(self, dtype: torch.dtype, cast: Callable[[torch.Tensor, torch.dtype], torch.Tensor]) -> None:
        self._dtype = dtype
        self._cast = cast
        self._cached: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._suspended = 0

    @property
    def kept(self) -> list[torch.Tensor]:
        """The cast weights, which stay in memory until the pass ends."""
        return [copy for _, copy in self._cached.values()]

    @property
    def is_active(self) -> bool:
        """Whether it acts here: not within an operator that it called, nor where the module disables it."""
        return not self._suspended and is_autocast_on()

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Operators that an operator is made of are left alone once that has been cast itself."""
        self._suspended += 1
        try:
            yield
        finally:
            self._suspended -= 1

    def apply(
        self, operator: Any, policy: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        """The operator that runs in place of one, with its arguments."""
        if policy == FP32_RESULT:
            return self._with_fp32_result(operator, args, kwargs)
        dtype = self._dtype if policy == LOWER else torch.float32
        if policy == PROMOTE:
            found = tensors_of((*args, *kwargs.values()))
            dtype = torch.float32 if any(t.dtype == torch.float32 for t in found) else self._dtype
        converted = {name: self._converted(value, dtype) for name, value in kwargs.items()}
        return operator, self._converted(args, dtype), converted

    def _with_fp32_result(
        self, operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
        given = bind(operator, args, kwargs)
        source = args[0] if args else None
        if not isinstance(source, torch.Tensor) or not _is_eligible(source) or given["dtype"] is not None:
            return operator, args, kwargs
        if operator in HALF_SOFTMAX and source.dtype != torch.float32 and source.is_meta:
            return HALF_SOFTMAX[operator], (source, given["dim"], True), {}
        return operator, args, {**kwargs, "dtype": torch.float32}

    def _converted(self, value: Any, dtype: torch.dtype) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(self._converted(item, dtype) for item in value)
        if not isinstance(value, torch.Tensor) or not _is_eligible(value) or value.dtype == dtype:
            return value
        if dtype != self._dtype or not _is_cached(value):
            return self._cast(value, dtype)
        if id(value) not in self._cached:
            self._cached[id(value)] = value, self._cast(value, dtype)
        return self._cached[id(value)][1]


def _is_eligible(tensor: torch.Tensor) -> bool:
    return tensor.dtype.is_floating_point and tensor.dtype != torch.float64


def _is_cached(tensor: torch.Tensor) -> bool:
    """Whether autocast keeps the cast of a tensor: of weights that are trained."""
    return tensor.dtype == torch.float32 and tensor.requires_grad and tensor.is_leaf and not tensor._is_view()
