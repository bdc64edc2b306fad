"""What must hold in every space: tried on random small ones."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spaces_toys import BLOCKS, product_size, spaces

from nas.spaces import Graph, Layer, element_signatures

few = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow],
)
seeds = st.integers(0, 2**32 - 1)


def every_vector(space):
    return itertools.product(*(range(len(decision.options)) for decision in space.decisions))


def fits(architecture) -> bool:
    """Whether every block of a network accepts its place, asked one by one and without the engine."""
    for element, signature in element_signatures(architecture.network, BLOCKS):
        if isinstance(element, Graph):
            for edge in element.edges:
                knobs = edge.layer.block.knob_values()
                if not BLOCKS[edge.layer.block.use].accepts(signature, signature.channels, 1, knobs):
                    return False
        elif not block_fits(element, signature):
            return False
    return True


def block_fits(layer: Layer, signature) -> bool:
    block, knobs = BLOCKS[layer.block.use], layer.block.knob_values()
    inside = block.output_signature(signature, layer.width, layer.stride, knobs)
    for value in knobs.values():
        if hasattr(value, "use"):
            held = BLOCKS[value.use]
            place = (signature, layer.width, layer.stride)
            if held.role != "downsample":
                place = (inside, inside.channels, 1)
            if not held.accepts(*place, value.knob_values()):
                return False
    return block.accepts(signature, layer.width, layer.stride, knobs)


@few
@given(spaces(most=1500))
def test_size_is_what_brute_force_finds(space):
    found = [v for v in every_vector(space) if space.is_valid(v) and tuple(space.canonical(v)) == v]
    assert space.size() == len(found)
    listed = [tuple(int(i) for i in v) for v in space.enumerate()]
    assert sorted(listed) == sorted(found)
    assert len(set(listed)) == len(listed)


@few
@given(spaces(), seeds)
def test_samples_are_valid_canonical_and_fit(space, seed):
    for vector in space.sample_vectors(20, np.random.default_rng(seed)):
        assert space.is_valid(vector)
        assert np.array_equal(space.canonical(vector), vector)
        assert fits(space.decode(vector))


@few
@given(spaces(), seeds)
def test_encode_and_decode_are_inverse(space, seed):
    rng = np.random.default_rng(seed)
    for vector in space.sample_vectors(10, rng):
        architecture = space.decode(vector)
        assert np.array_equal(space.encode(architecture), vector)
        again = type(architecture).from_json(architecture.to_json())
        assert np.array_equal(space.encode(again), vector)
        assert again == architecture


@few
@given(spaces(most=100_000), seeds)
def test_a_vector_and_its_canonical_form_are_one_network(space, seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        vector = [int(rng.integers(len(decision.options))) for decision in space.decisions]
        assert space.is_valid(vector) == space.is_valid(space.canonical(vector))
        if space.is_valid(vector):
            assert space.decode(vector).hash == space.decode(space.canonical(vector)).hash
            assert space.instances(vector) == space.instances(space.canonical(vector))


@few
@given(spaces(), seeds)
def test_neighbours_are_valid_distinct_and_one_decision_away(space, seed):
    architecture = space.sample(np.random.default_rng(seed))
    vector = space.encode(architecture)
    neighbours = space.neighbours(architecture)
    assert len({n.hash for n in neighbours} | {architecture.hash}) == len(neighbours) + 1
    active = set(space.active(vector))
    for neighbour in neighbours:
        other = space.encode(neighbour)
        both = active & set(space.active(other))
        changed = [column for column in both if vector[column] != other[column]]
        assert len(changed) == 1
        assert fits(neighbour)


@few
@given(spaces(most=1500))
def test_neighbours_leave_nothing_out(space):
    architecture = space.decode(next(iter(space.enumerate())))
    vector = space.encode(architecture)
    expected = set()
    for other in space.enumerate():
        differing = [i for i in space.active(vector) if other[i] != vector[i]]
        still_active = set(space.active(vector)) <= set(space.active(other)) | set(differing)
        new = set(space.active(other)) - set(space.active(vector))
        if len(differing) == 1 and still_active and not new:
            expected.add(space.decode(other).hash)
    expected.discard(architecture.hash)
    assert expected <= {neighbour.hash for neighbour in space.neighbours(architecture)}


@few
@given(spaces(), seeds)
def test_mutation_gives_another_network_that_fits(space, seed):
    rng = np.random.default_rng(seed)
    architecture = space.sample(rng)
    if space.size() > 1 and any(space.decode(v) != architecture for v in space.sample_vectors(20, rng)):
        child = space.mutate(architecture, rng)
        assert child != architecture
        assert fits(child)
        space.encode(child)


@few
@given(spaces(), seeds)
def test_crossover_mixes_two_parents(space, seed):
    rng = np.random.default_rng(seed)
    one, other = space.sample(rng), space.sample(rng)
    child = space.crossover(one, other, rng)
    assert fits(child)
    choices = child.values()
    for name in set(choices) & set(one.values()) & set(other.values()):
        assert choices[name] in (one.values()[name], other.values()[name])
    assert space.crossover(one, one, rng) == one


@few
@given(spaces(), seeds)
def test_slots_depend_on_their_columns_alone(space, seed):
    rng = np.random.default_rng(seed)
    vectors = space.sample_vectors(8, rng)
    for one, other in itertools.permutations(vectors, 2):
        here = space.instances(one)
        for slot, instance in zip(space.slots, here, strict=True):
            mixed = other.copy()
            mixed[list(slot.columns)] = one[list(slot.columns)]
            if space.is_valid(mixed):
                there = space.instances(mixed)[space.slots.index(slot)]
                assert there == instance


@few
@given(spaces(), seeds)
def test_instances_are_the_elements_of_the_network(space, seed):
    architecture = space.sample(np.random.default_rng(seed))
    instances = [i for i in space.instances(space.encode(architecture)) if i is not None]
    pairs = element_signatures(architecture.network, BLOCKS)
    assert [(i.element, i.signature) for i in instances] == pairs
    names = [i.element.slot for i in instances]
    assert set(names) <= {slot.name for slot in space.slots}
    assert len(set(names)) == len(names)


@few
@given(spaces(most=300))
def test_a_fresh_space_agrees_with_one_that_remembers(space):
    """What a slot remembers must not depend on the order in which vectors were met."""
    valid = list(space.enumerate())[:100]
    forward = [space.instances(v) for v in valid]
    backward = [space.instances(v) for v in reversed(valid)][::-1]
    assert forward == backward
    for vector in itertools.islice(every_vector(space), 300):
        if space.is_valid(vector):
            assert fits(space.decode(vector))


@few
@given(spaces(most=400), seeds)
def test_sampling_reaches_every_network_of_a_small_space(space, seed):
    if space.size() <= 12:
        drawn = {tuple(v) for v in space.sample_vectors(3000, np.random.default_rng(seed)).tolist()}
        assert len(drawn) == space.size()


@few
@given(spaces())
def test_decisions_have_distinct_names_and_several_distinct_options(space):
    names = [decision.name for decision in space.decisions]
    assert len(set(names)) == len(names)
    for decision in space.decisions:
        assert len({(type(o), o) for o in decision.options}) == len(decision.options) > 1
    assert 1 <= space.size() <= product_size(space)
