"""What every block promises, for a spread of knobs, widths, strides and odd sizes."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from nas_base_cases import BLOCKS, LAYERS, MAP, NAMES, label, randomised, use
from torch import Tensor, nn

from nas.blocks import build_element, fuse
from nas.spaces.architecture import Layer, Network
from nas.spaces.fitting import output_signature

torch.set_num_threads(1)
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=label)


def built(layer: Layer) -> nn.Module:
    return randomised(build_element(layer, MAP, BLOCKS, classes=5).double())


def picture(batch: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn((batch, *MAP.shape), generator=generator, dtype=torch.float64)


def test_every_block_is_tried_with_several_knobs() -> None:
    tried = {layer.block.use for layer in LAYERS}
    assert tried == set(NAMES)
    assert len(LAYERS) > 3 * len(NAMES)


@every_layer
def test_the_output_has_the_declared_shape(layer: Layer) -> None:
    declared = output_signature(Network(MAP, (layer,), 5), BLOCKS)
    assert built(layer)(picture()).shape == (3, *declared.shape)


@every_layer
def test_every_parameter_gets_a_finite_gradient(layer: Layer) -> None:
    module = built(layer).train()
    x = picture().requires_grad_()
    y = module(x)
    if layer.block.use == "zero":
        assert not y.requires_grad
        return
    y.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@every_layer
def test_the_deployed_form_agrees_with_randomised_statistics(layer: Layer) -> None:
    module = built(layer).train()
    expected = copy.deepcopy(module).eval()(picture())
    deployed = fuse(module)
    torch.testing.assert_close(deployed(picture()), expected, rtol=1e-9, atol=1e-9)
    assert module.training
    assert not any(part.training for part in deployed.modules())
    # What stands in front of an activation, a pool, a sum or a padding has no convolution to go into.
    if layer.block.use not in ("metaformer", "pool_linear", "downsample"):
        assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())


@pytest.mark.parametrize("mixer", ["separable_conv", "attention"])
def test_the_batch_norms_of_a_metaformer_are_folded_where_a_convolution_reads_them(mixer: str) -> None:
    knobs = {"head_dim": 8} if mixer == "attention" else {}
    layer = Layer(use("metaformer", mixer=use(mixer, **knobs), norm="batch"))
    module = built(layer)
    deployed = fuse(module)
    torch.testing.assert_close(deployed(picture()), module.eval()(picture()), rtol=1e-9, atol=1e-9)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in deployed.modules())


@every_layer
def test_one_sample_does_not_see_the_others_in_eval(layer: Layer) -> None:
    module = built(layer).eval()
    together = module(picture(4))
    others = picture(4)
    others[1:] = 7 * others[1:] + 3
    torch.testing.assert_close(module(others)[0], together[0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(module(picture(4)[:1])[0], together[0], rtol=1e-9, atol=1e-9)


@every_layer
def test_forward_draws_no_random_number_and_repeats(layer: Layer) -> None:
    module = built(layer).train()
    before = torch.random.get_rng_state()
    twin = copy.deepcopy(module)
    assert torch.equal(module(picture()), twin(picture()))
    assert torch.equal(torch.random.get_rng_state(), before)


@every_layer
def test_state_and_pickle_round_trip(layer: Layer) -> None:
    module = built(layer).eval()
    other = build_element(layer, MAP, BLOCKS, classes=5).double().eval()
    other.load_state_dict(module.state_dict())
    unpickled = pickle.loads(pickle.dumps(module))
    assert torch.equal(other(picture()), module(picture()))
    assert torch.equal(unpickled(picture()), module(picture()))


@every_layer
def test_works_channels_last_and_under_autocast(layer: Layer) -> None:
    module = built(layer).float().eval()
    x = picture().float()
    expected = module(x)
    last = copy.deepcopy(module).to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x.to(memory_format=torch.channels_last)), expected, rtol=1e-3, atol=1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert module(x).shape == expected.shape


@every_layer
def test_lives_on_the_meta_device(layer: Layer) -> None:
    with torch.device("meta"):
        module = build_element(layer, MAP, BLOCKS, classes=5)
    assert all(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    deployed = fuse(module)
    assert deployed(torch.empty((2, *MAP.shape), device="meta")).shape[0] == 2
