"""Latencies that others published, read from checkouts of their repositories; nothing of them ships.

Each table is a page of a repository in a folder that is named: ``DIR/ultralytics``, ``DIR/torch2trt``, ... A
row is kept where its network can be built here: those of timm by name, YOLOv8 by `yolov8`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from yolov8 import SIZES, classifier, detector

GROUPED = ("resnext", "dpn", "dla60x", "dla102x", "regnet", "resnest")
TRANSFORMERS = ("vit_", "deit", "swin", "twins")


@dataclass(frozen=True)
class Table:
    """One column of a published page: where it is, what was measured on, which networks its rows name.

    `column` counts from the name, `after` is what rows come behind, and `per_second` says that the column
    tells networks a second and not milliseconds; `size` is the column of the image, where rows tell it, and
    `apart` says that grouped convolutions and transformers are told apart. `use` says what the figures of the
    model owe to it.
    """

    title: str
    page: str
    target: str
    options: Mapping[str, object]
    column: int
    networks: Mapping[str, str]
    use: str
    per_second: bool = False
    after: str = ""
    size: int | None = None
    apart: bool = False


@dataclass(frozen=True)
class Published:
    """One measured network: its name here, and the milliseconds it took."""

    network: str
    milliseconds: float


def rows_of(table: Table, folder: Path) -> Sequence[Published]:
    """The rows of a table whose networks are known; none where its page is not there."""
    page = folder / table.page
    if not page.is_file():
        return ()
    found: dict[str, Published] = {}
    text = page.read_text(encoding="utf-8")
    for name, cells in _rows(text[text.find(table.after) :]):
        network = table.networks.get(name)
        if network and table.size is not None:
            network += "@" + cells[table.size].partition("x")[0]
        value = _number(cells[table.column]) if len(cells) > table.column else None
        if network and value and network not in found:
            found[network] = Published(network, 1e3 / value if table.per_second else value)
    return tuple(found.values())


def _rows(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each row of the tables of a page: its name without links and marks, and its cells."""
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.strip().startswith("|") and len(cells) > 1:
            name = re.sub(r"<[^>]*>|\*|\[(?=[\w-]+\])|\](\([^)]*\))?", "", cells[0]).strip()
            yield name, cells


def _number(cell: str) -> float | None:
    found = re.fullmatch(r"([\d.]+)\s*(ms)?", cell)
    return float(found.group(1)) if found else None


def build(network: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network in its deployed form, and the shape of its input: ``name`` or ``name@side``."""
    kind, _, size = network.partition(":")
    makers: Mapping[str, Callable[[str], nn.Module]] = {"yolov8": detector, "yolov8-cls": classifier}
    if kind in makers:
        side = 640 if kind == "yolov8" else 224
        return makers[kind](size), (3, side, side)
    import timm
    from timm.utils.model import reparameterize_model

    name, _, side = network.partition("@")
    module = timm.create_model(name).eval()
    shape = (3, int(side), int(side)) if side else module.default_cfg["input_size"]
    return reparameterize_model(module), shape


def group_of(network: str) -> str:
    """What is told apart in a table: grouped convolutions, transformers, and the rest."""
    if network.startswith(TRANSFORMERS):
        return "transformers"
    return "grouped convolutions" if any(part in network for part in GROUPED) else ""


def _lowered(names: str) -> dict[str, str]:
    return {name: name.lower() for name in names.split()}


YOLO = {f"YOLOv8{size}": f"yolov8:{size}" for size in SIZES}
YOLO_CLASSIFIERS = {f"YOLOv8{size}-cls": f"yolov8-cls:{size}" for size in SIZES}
YOLO_LETTERS = {size: f"yolov8:{size}" for size in SIZES}
TORCH2TRT = _lowered(
    "resnet18 resnet34 resnet50 resnet101 resnet152 densenet121 densenet169 densenet201 densenet161 vgg11 "
    "vgg13 vgg16 vgg19"
)
PADDLE = {
    **{f"ResNet{depth}": f"resnet{depth}" for depth in (18, 34, 50, 101, 152)},
    **{f"DenseNet{depth}": f"densenet{depth}" for depth in (121, 161, 201)},
    **{f"HRNet_W{width}_C": f"hrnet_w{width}" for width in (18, 32, 48)},
    **{f"Xception{depth}": f"xception{depth}" for depth in (41, 65, 71)},
    **{f"EfficientNetB{size}": f"tf_efficientnet_b{size}" for size in (0, 1, 4, 7)},
    **{f"VGG{depth}": f"vgg{depth}" for depth in (11, 16, 19)},
    **_lowered("DPN68 DPN92 DPN131 DLA34 DLA60 DLA60x DLA102 DLA102x2 MixNet_S MixNet_L DarkNet53"),
    **_lowered("ResNeXt50_32x4d ResNeXt101_32x4d ResNeXt101_64x4d"),
    **{f"ViT_{size}_patch16_224": f"vit_{size}_patch16_224" for size in ("small", "base", "large")},
    **{f"DeiT_{size}_patch16_224": f"deit_{size}_patch16_224" for size in ("tiny", "small")},
    "ViT_base_patch16_384": "vit_base_patch16_384",
    "DeiT_base_patch16_384": "deit_base_patch16_384",
    **{
        f"SwinTransformer_{size}_patch4_window7_224": f"swin_{size}_patch4_window7_224"
        for size in ("tiny", "base", "large")
    },
    "SwinTransformer_base_patch4_window12_384": "swin_base_patch4_window12_384",
    "pcpvt_small": "twins_pcpvt_small",
    "alt_gvt_small": "twins_svt_small",
    "alt_gvt_large": "twins_svt_large",
    "ResNet50_vd": "resnet50d",
    "ResNeXt101_32x8d_wsl": "resnext101_32x8d",
    "Res2Net50_26w_4s": "res2net50_26w_4s",
    "InceptionV3": "inception_v3",
    "InceptionV4": "inception_v4",
    "RegNetX_4GF": "regnetx_040",
    "ResNeSt50": "resnest50d",
    "ReXNet_1_0": "rexnet_100",
    "ReXNet_3_0": "rexnet_300",
}
MOBILEONE = {f"MobileOne-S{size}": f"mobileone_s{size}" for size in range(5)}
EFFICIENTFORMER = {f"EfficientFormer-L{size}": f"efficientformer_l{size}" for size in (1, 3, 7)}
EFFICIENTFORMER_2 = {
    f"EfficientFormerV2-{size}": f"efficientformerv2_{size.lower()}" for size in ("S0", "S1", "S2", "L")
}


TRANSFORMERS_LIBRARY = {
    "Image Classification/ViT": "vit_base_patch16_224",
    "Image Classification/BeiT": "beit_base_patch16_224",
    "Image Classification/ConvNeXT": "convnext_large",
    "Image Classification/ResNet": "resnet50",
}
EFFICIENTVIT = {f"EfficientViT-B{size}": f"efficientvit_b{size}" for size in (1, 2, 3)}

ROUNDED, SEEN, NONE = "tiles and the step rounded on it", "in sight", "none"
HALF = {"precision": "fp16", "runtime": "tensorrt"}


def _torch2trt(device: str, runtime: str, column: int, use: str) -> Table:
    options = {"precision": "fp16", "runtime": runtime}
    runs = "TensorRT" if runtime == "tensorrt" else runtime
    title = f"Jetson {device.split('-')[-1].capitalize()}, {runs}, fp16, batch 1"
    return Table(title, "torch2trt/README.md", device, options, column, TORCH2TRT, use, per_second=True)


def _efficientvit(device: str, column: int) -> Table:
    title = f"Jetson {device.split('-')[-1].capitalize()}, TensorRT, fp16, batch 1"
    page = "efficientvit/applications/efficientvit_cls/README.md"
    return Table(title, page, device, HALF, column, EFFICIENTVIT, NONE, size=1)


def _paddle(batch: int, column: int) -> Table:
    options = {"precision": "fp32", "runtime": "tensorrt", "batch_size": batch}
    page = "PaddleClas/docs/zh_CN/models/ImageNet1k/model_list.md"
    use = ROUNDED if batch == 1 else SEEN
    return Table(
        f"V100, TensorRT, fp32, batch {batch}", page, "v100", options, column, PADDLE, use, apart=True
    )


def _transformers(device: str, batch: int, runtime: str) -> Table:
    options = {"precision": "fp32", "runtime": runtime, "batch_size": batch}
    title = f"{device.upper()}, {runtime}, fp32, batch {batch}"
    page = "transformers/docs/source/en/perf_torch_compile.md"
    column, use = (2, "what a compiler joins chosen on it") if runtime == "compiled" else (1, SEEN)
    heading = f"### {device.upper()} (batch size: {batch})"
    return Table(title, page, device, options, column, TRANSFORMERS_LIBRARY, use, after=heading)


YOLO_PAGE, YOLO_T4 = "ultralytics/docs/en/models/yolov8.md", "ultralytics/docs/en/compare/yolo11-vs-yolov8.md"
IPHONE = ("iphone12", {"precision": "fp16"})
TABLES = (
    Table(
        "A100, TensorRT, fp16, batch 1: classifiers", YOLO_PAGE, "a100", HALF, 5, YOLO_CLASSIFIERS, ROUNDED
    ),
    Table("A100, TensorRT, fp16, batch 1: detectors", YOLO_PAGE, "a100", HALF, 4, YOLO, ROUNDED),
    Table("T4, TensorRT, fp16, batch 1", YOLO_T4, "t4", HALF, 2, YOLO_LETTERS, SEEN, after="T4 TensorRT"),
    *(_paddle(batch, column) for batch, column in ((1, 3), (4, 4), (8, 5))),
    _torch2trt("jetson-agx-xavier", "tensorrt", 4, SEEN),
    _torch2trt("jetson-nano", "tensorrt", 2, SEEN),
    _efficientvit("jetson-agx-orin", 7),
    _efficientvit("jetson-nano", 6),
    *(
        _transformers(device, batch, runtime)
        for device in ("v100", "t4")
        for runtime in ("eager", "compiled")
        for batch in (1, 4, 16)
    ),
    _torch2trt("jetson-agx-xavier", "eager", 3, "the dispatch of its host rounded on it"),
    _torch2trt("jetson-nano", "eager", 1, SEEN),
    Table("iPhone 12, Core ML", "ml-mobileone/README.md", *IPHONE, 2, MOBILEONE, "its start rounded on it"),
    Table("iPhone 12, Core ML", "EfficientFormer/README.md", *IPHONE, 2, EFFICIENTFORMER, SEEN),
    Table("iPhone 12, Core ML: V2", "EfficientFormer/README.md", *IPHONE, 4, EFFICIENTFORMER_2, SEEN),
)
