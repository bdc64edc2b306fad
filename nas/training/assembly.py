"""From arrays to a TaskData: the split, the statistics and the fingerprint, for every data set the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch

from nas.errors import DataError
from nas.spaces.signature import Signature
from nas.training.split import stratified_split
from nas.training.task import TaskData, channel_axis

Part = tuple[torch.Tensor, torch.Tensor]
CHUNK = 4096
_PLURALS = {"image": "images", "series": "series", "sequence": "sequences", "vector": "vectors"}


def assemble(
    part: Part,
    *,
    class_names: Sequence[str],
    split_seed: int,
    validation: Part | None = None,
    flip: bool = False,
    domain: str = "image",
) -> TaskData:
    """The TaskData of images (N, C, H, W) with labels (N,) from 0 to ``len(class_names) - 1``.

    `part` holds the images, uint8 or float32, and the labels, int64; in another `domain` what stands there
    for images: series (N, C, L), sequences (N, L, C), vectors (N, C). Without a `validation` part a fifth of
    every class is held out, chosen by `split_seed`. `flip` says whether a mirrored image keeps its class.
    Raises DataError where there is too little to learn from.
    """
    if len(class_names) < 2:
        raise DataError(f"the data has {len(class_names)} class; at least 2 are needed")
    if validation is None:
        part, validation = _split(part, split_seed)
    if not (len(part[1]) and len(validation[1])):
        things = _PLURALS.get(domain, "samples")
        raise DataError(
            f"{len(part[1])} {things} to train on and {len(validation[1])} to validate on: "
            "at least 1 of each is needed"
        )
    axis = channel_axis(domain)
    mean, std = channel_statistics(part[0], axis)
    size = list(part[0].shape)
    channels = size.pop(axis)
    return TaskData(
        *part,
        *validation,
        classes=len(class_names),
        input=Signature(domain, channels, tuple(size[1:])),
        mean=mean,
        std=std,
        fingerprint=fingerprint((*part, *validation)),
        class_names=tuple(class_names),
        flip=flip,
    )


def _split(part: Part, seed: int) -> tuple[Part, Part]:
    inputs, labels = part
    training, validation = stratified_split(labels, seed)
    return (inputs[training], labels[training]), (inputs[validation], labels[validation])


def channel_statistics(inputs: torch.Tensor, axis: int = 1) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, 1 if constant; uint8 counts as 0 to 1.

    `axis` counts the channels.
    """
    scale = 255.0 if inputs.dtype == torch.uint8 else 1.0
    count = inputs.numel() // inputs.shape[axis]
    others = tuple(other for other in range(inputs.ndim) if other != axis % inputs.ndim)
    # In pieces: a whole data set as float64 may not fit.
    chunks = [inputs[start : start + CHUNK] for start in range(0, len(inputs), CHUNK)]
    mean = torch.stack([chunk.double().sum(others) for chunk in chunks]).sum(0) / count
    shift = mean.view([-1 if other == axis % inputs.ndim else 1 for other in range(inputs.ndim)])
    squares = torch.stack([(chunk.double() - shift).square().sum(others) for chunk in chunks])
    variance = squares.sum(0) / count
    std = torch.where(variance > 0, variance.sqrt(), torch.full_like(variance, scale))
    return tuple((mean / scale).tolist()), tuple((std / scale).tolist())


def fingerprint(tensors: Sequence[torch.Tensor]) -> str:
    """SHA-256 (hex) over the types, shapes and bytes of tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()
