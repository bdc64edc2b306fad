"""The deployed form: what may be merged is, what may not is left alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nas.blocks import fold_batch_norm, fuse

torch.set_num_threads(1)


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in module.double().state_dict().items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64) + 0.1)
    return module


def norms(module: nn.Module) -> int:
    return sum(
        isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) for part in module.modules()
    )


def agrees(module: nn.Module, x: Tensor, *, left: int) -> nn.Module:
    """The deployed form, which must agree and keep so many norms; the module must stay as it was."""
    module = randomised(module)
    before = copy.deepcopy(module.state_dict())
    deployed = fuse(module)
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    torch.testing.assert_close(deployed(x), module.eval()(x), rtol=1e-9, atol=1e-9)
    assert norms(deployed) == left
    return deployed


def picture(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


IMAGE = (2, 4, 6, 5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_and_its_norm_become_one(bias: bool, affine: bool, groups: int) -> None:
    conv = nn.Conv2d(4, 8, 3, 2, 1, groups=groups, bias=bias)
    deployed = agrees(
        nn.Sequential(conv, nn.BatchNorm2d(8, affine=affine), nn.ReLU()), picture(*IMAGE), left=0
    )
    assert deployed[0].bias is not None
    assert deployed[0].weight.is_contiguous()


def test_other_dimensions() -> None:
    agrees(nn.Sequential(nn.Conv1d(4, 3, 3), nn.BatchNorm1d(3)), picture(2, 4, 9), left=0)
    agrees(nn.Sequential(nn.Conv3d(4, 3, 2), nn.BatchNorm3d(3)), picture(2, 4, 3, 3, 3), left=0)


def test_folding_alone_leaves_both_parts_as_they_are() -> None:
    conv, norm = randomised(nn.Sequential(nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3))).eval()
    weight = conv.weight
    merged = fold_batch_norm(conv, norm)
    torch.testing.assert_close(merged(picture(*IMAGE)), norm(conv(picture(*IMAGE))))
    assert conv.weight is weight
    assert merged.weight is not weight
    assert isinstance(merged.weight, nn.Parameter)


class Attributes(nn.Module):
    """A module as most people write one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 1)
        self.bn2 = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + x)


def test_a_module_whose_parts_meet_in_forward() -> None:
    agrees(nn.Sequential(Attributes(), Attributes()), picture(*IMAGE), left=0)


class Branching(nn.Module):
    """Cannot be traced: what it does depends on its input."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Attributes()
        self.conv = nn.Conv2d(4, 4, 1)
        self.bn = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return x
        return self.bn(self.conv(self.inner(x)))


def test_where_a_module_cannot_be_traced_its_parts_are() -> None:
    agrees(Branching(), picture(*IMAGE), left=1)


class TwoReaders(Attributes):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        return self.bn1(y) + y + self.bn2(x)


class CalledTwice(Attributes):
    def forward(self, x: Tensor) -> Tensor:
        return self.bn1(self.conv1(x)) + self.conv1(x.flip(2)) + self.bn2(x)


class OneNormForTwo(Attributes):
    def forward(self, x: Tensor) -> Tensor:
        return self.bn1(self.conv1(x)) + self.bn1(self.conv2(x)) + self.bn2(x)


class AsksShape(Attributes):
    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(x)
        N, C, H, W = y.shape
        return self.bn1(y).reshape(N, C * H, W) + self.bn2(self.conv2(x)).reshape(y.size(0), C * H, -1)


def test_who_asks_for_the_shape_alone_does_not_hinder() -> None:
    agrees(AsksShape(), picture(*IMAGE), left=0)


class LooksInside(Attributes):
    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)) * self.conv1.weight.sum()
        return y + self.bn2(self.conv2(x)) * self.bn2.bias.sum()


@pytest.mark.parametrize(
    "module", [TwoReaders(), CalledTwice(), OneNormForTwo(), LooksInside()], ids=lambda m: type(m).__name__
)
def test_what_something_else_reads_is_left_alone(module: nn.Module) -> None:
    agrees(module, picture(*IMAGE), left=2)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_norm_in_front_of_an_unpadded_convolution_is_folded_into_it(bias: bool, groups: int) -> None:
    conv = nn.Conv2d(4, 8, (3, 2), stride=2, groups=groups, bias=bias)
    agrees(nn.Sequential(nn.BatchNorm2d(4), conv, nn.ReLU()), picture(*IMAGE), left=0)


@pytest.mark.parametrize("padding", [1, (0, 1), "same"])
def test_a_norm_in_front_of_a_padded_convolution_is_left_alone(padding: int | tuple[int, int] | str) -> None:
    conv = nn.Conv2d(4, 4, 3, padding=padding)
    agrees(nn.Sequential(nn.BatchNorm2d(4), conv), picture(*IMAGE), left=1)


@pytest.mark.parametrize("padding", ["valid", 0])
def test_no_padding_has_two_names(padding: int | str) -> None:
    agrees(nn.Sequential(nn.BatchNorm1d(4), nn.Conv1d(4, 2, 3, padding=padding)), picture(2, 4, 9), left=0)


def test_a_norm_between_two_convolutions_goes_into_one_of_them() -> None:
    parts = [nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 5, 1), nn.BatchNorm2d(5), nn.BatchNorm2d(5)]
    agrees(nn.Sequential(*parts, nn.Conv2d(5, 3, 1)), picture(*IMAGE), left=0)


def test_norms_on_both_sides_of_a_convolution_go_into_it() -> None:
    parts = [nn.BatchNorm2d(4), nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6), nn.ReLU()]
    agrees(nn.Sequential(*parts), picture(*IMAGE), left=0)


def test_a_norm_in_front_whose_input_passes_by_is_folded() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm2d(4)
            self.conv = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(self.norm(x))

    agrees(Residual(), picture(*IMAGE), left=0)


def test_a_norm_without_statistics_is_left_alone() -> None:
    norm = nn.BatchNorm2d(4, track_running_stats=False)
    agrees(nn.Sequential(nn.Conv2d(4, 4, 1), norm), picture(*IMAGE), left=1)


def test_a_norm_that_is_its_own_kind_is_left_alone() -> None:
    class Doubled(nn.BatchNorm2d):
        def forward(self, x: Tensor) -> Tensor:
            return 2 * super().forward(x)

    agrees(nn.Sequential(nn.Conv2d(4, 4, 1), Doubled(4)), picture(*IMAGE), left=1)


@pytest.mark.parametrize("padding", [0, None, (0, 0)])
def test_a_convolution_of_its_own_kind_is_left_alone_whatever_its_padding_is(padding: object) -> None:
    class PadsItself(nn.Conv2d):
        def __init__(self) -> None:
            super().__init__(4, 4, 3)
            self.padding = padding  # type: ignore[assignment]

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv2d(nn.functional.pad(x, (1, 1, 1, 1)), self.weight, self.bias)

    agrees(nn.Sequential(nn.BatchNorm2d(4), PadsItself()), picture(*IMAGE), left=1)


def test_a_convolution_with_a_hook_is_left_alone() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    module[0].register_forward_hook(lambda part, given, output: output + 1)
    agrees(module, picture(*IMAGE), left=1)


def test_a_parametrised_convolution_is_left_alone() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 1))
    agrees(nn.Sequential(conv, nn.BatchNorm2d(4)), picture(*IMAGE), left=1)


class Remembering(Attributes):
    """Leaves a trace of each call in itself."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.last = super().forward(x)
        return self.last


def test_tracing_leaves_no_marks() -> None:
    deployed = fuse(Remembering())
    assert deployed.last is None
    deployed(torch.randn(1, 4, 6, 5))
    assert isinstance(deployed.last, Tensor)


class Merged(nn.Module):
    """Two parallel convolutions that are one in their deployed form, which holds a foldable part itself."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 1, bias=False)
        self.two = nn.Conv2d(4, 4, 1, bias=False)
        self.rest = Attributes()

    def forward(self, x: Tensor) -> Tensor:
        return self.rest(self.one(x) + self.two(x))

    def fused(self) -> nn.Module:
        merged = nn.Conv2d(4, 4, 1, bias=False, dtype=self.one.weight.dtype)
        merged.weight = nn.Parameter((self.one.weight + self.two.weight).detach())
        return nn.Sequential(merged, self.rest)


def test_the_deployed_form_that_a_module_offers_is_taken() -> None:
    deployed = agrees(nn.Sequential(Merged(), nn.ReLU()), picture(*IMAGE), left=0)
    assert not any(isinstance(part, Merged) for part in deployed.modules())
    assert sum(isinstance(part, nn.Conv2d) for part in deployed.modules()) == 3


def test_the_outermost_module_may_offer_it_too() -> None:
    assert isinstance(fuse(Merged()), nn.Sequential)


def test_a_part_that_is_shared_stays_shared() -> None:
    part = Merged()
    deployed = agrees(nn.Sequential(part, nn.ReLU(), part), picture(*IMAGE), left=0)
    assert deployed[0] is deployed[2]


def test_a_pair_that_stands_in_two_places_is_folded_in_both() -> None:
    conv, norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
    agrees(nn.Sequential(nn.Sequential(conv, norm), nn.Sequential(conv, norm)), picture(*IMAGE), left=0)


class Itself(nn.Module):
    """Says that it is its own deployed form."""

    def forward(self, x: Tensor) -> Tensor:
        return x + 1

    def fused(self) -> nn.Module:
        return self


def test_a_module_may_be_its_own_deployed_form() -> None:
    agrees(nn.Sequential(Itself(), Attributes()), picture(*IMAGE), left=0)


def test_fusing_twice_changes_nothing_more() -> None:
    once = fuse(randomised(Attributes()))
    twice = fuse(once)
    assert torch.equal(once(picture(*IMAGE)), twice(picture(*IMAGE)))


def test_half_precision_stays_half_precision() -> None:
    module = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)).to(torch.bfloat16)
    assert all(parameter.dtype == torch.bfloat16 for parameter in fuse(module).parameters())


def test_on_the_meta_device_the_form_is_the_same_without_values() -> None:
    with torch.device("meta"):
        module = nn.Sequential(nn.Conv2d(4, 8, 3, bias=False), nn.BatchNorm2d(8))
    deployed = fuse(module)
    assert deployed[0].bias.shape == (8,)
    assert all(tensor.is_meta for tensor in deployed.state_dict().values())
    assert norms(deployed) == 0


class Halves(nn.Module):
    """Its forward cannot be traced symbolically: it iterates over what it splits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return torch.cat([part * (number + 1) for number, part in enumerate(x.split(2, 1))], 1)


class AroundHalves(nn.Module):
    """A part that can be traced around one that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.expand = nn.Conv2d(4, 4, 1)
        self.halves = Halves(4)
        self.conv = nn.Conv2d(4, 4, 1)
        self.behind = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.behind(self.conv(self.halves(self.expand(self.norm(x)))))


def test_a_part_that_cannot_be_traced_does_not_keep_its_surroundings_from_being_folded() -> None:
    module = randomised(AroundHalves().double())
    x = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    expected = copy.deepcopy(module).eval()(x)
    deployed = fuse(module)
    torch.testing.assert_close(deployed(x), expected, rtol=1e-10, atol=1e-10)
    left = [name for name, part in deployed.named_modules() if isinstance(part, nn.BatchNorm2d)]
    assert left == ["halves.norm"]


def test_a_module_can_be_used_up() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()
    x = torch.randn(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = module(x)
    kept = fuse(module)
    assert isinstance(module[1], nn.BatchNorm2d)
    used = fuse(module, in_place=True)
    assert used is module
    assert not isinstance(module[1], nn.BatchNorm2d)
    assert torch.equal(used(x), kept(x))
    assert (used(x) - expected).abs().max() < 1e-6
