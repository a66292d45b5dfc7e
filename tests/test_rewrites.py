"""Rewrites: what becomes one node, what must not, and equal results with and without."""

import numpy as np
import pytest

from nbconv import Add, BatchNorm, Conv2d, Dropout, Flatten, Input, Linear, MaxPool2d, Model, ReLU, Sequential
from nbconv.engine.graph import chain, trace
from nbconv.engine.registry import DEVICES
from nbconv.engine.rewrites import folded_parameters, for_inference, for_training
from nbconv.errors import OptionError


def graph_of(*layers, shape=(3, 8, 8)):
    return trace([x := Input(shape)], [chain(x, layers)])


def ops(graph):
    return [graph.nodes[i].op for i in graph.steps]


def test_conv_relu_pool_is_one_node_with_the_name_of_the_convolution():
    graph = for_training(graph_of(ReLU(), Conv2d(4, 3), ReLU(), MaxPool2d(2)))
    assert ops(graph)[1] == Conv2d(4, 3, activation="relu", pool=MaxPool2d(2))
    assert [graph.nodes[i].name for i in graph.steps] == ["0", "1"]


def test_conv_pool_without_relu():
    assert ops(for_training(graph_of(Conv2d(4, 3), MaxPool2d(2)))) == [Conv2d(4, 3, pool=MaxPool2d(2))]


def test_relu_behind_a_fused_pool_stays():
    assert len(ops(for_training(graph_of(Conv2d(4, 3), MaxPool2d(2), ReLU())))) == 2


def test_batch_norm_relu_and_linear_relu():
    graph = for_training(graph_of(BatchNorm(), ReLU(), Flatten(), Linear(5), ReLU()))
    assert ops(graph) == [BatchNorm(activation="relu"), Flatten(), Linear(5, activation="relu")]


def test_batch_norm_relu_pool_is_one_node_in_training():
    graph = graph_of(Conv2d(4, 3), BatchNorm(), ReLU(), MaxPool2d(2), Flatten(), Linear(2))
    training, inference = for_training(graph), for_inference(graph)
    assert ops(training)[:2] == [Conv2d(4, 3, measures=True), BatchNorm(activation="relu", pool=MaxPool2d(2))]
    assert [training.nodes[i].layer_index for i in training.steps] == [0, 1, 4, 5]
    assert [training.nodes[i].name for i in training.steps] == ["0", "1", "4", "5"]
    assert ops(inference)[0] == Conv2d(4, 3, activation="relu", pool=MaxPool2d(2))


def test_batch_norm_without_convolution_is_pooled_at_inference_too():
    graph = for_inference(graph_of(BatchNorm(), ReLU(), MaxPool2d(3, stride=2, padding=1)))
    assert ops(graph) == [BatchNorm(activation="relu", pool=MaxPool2d(3, stride=2, padding=1), training=False)]


def test_batch_norm_is_not_fused_to_a_dilated_pool():
    """Its windows may see nothing but border, whose gradient must not count."""
    dilated = MaxPool2d(2, stride=1, padding=1, dilation=2)
    assert ops(for_training(graph_of(BatchNorm(), dilated))) == [BatchNorm(), dilated]
    with pytest.raises(OptionError, match="must have no dilation.*layer of its own"):
        BatchNorm(pool=dilated)


def test_a_convolution_measures_for_the_batch_norm_that_reads_it_in_training_alone():
    graph = graph_of(Conv2d(4, 3), ReLU(), BatchNorm(), Conv2d(4, 3), BatchNorm(), Flatten(), Linear(2), BatchNorm())
    fused = Conv2d(4, 3, activation="relu")
    assert ops(for_training(graph))[:4] == [fused, BatchNorm(), Conv2d(4, 3, measures=True), BatchNorm()]
    assert not any(getattr(op, "measures", False) for op in ops(for_inference(graph)))
    assert not any(getattr(op, "measures", False) for op in ops(for_training(graph, rewrite=False)))


def test_sum_and_relu_are_one_node_with_both_inputs():
    x = Input((3, 8, 8))
    y = BatchNorm()(Conv2d(3, 3, padding=1)(x))
    graph = for_training(trace([x], [ReLU()(Add()(y, x))]))
    assert ops(graph) == [Conv2d(3, 3, padding=1, measures=True), BatchNorm(), Add(activation="relu")]
    assert graph.nodes[-1].inputs == (2, 0)


def test_batch_norm_is_folded_for_inference_only():
    graph = graph_of(Conv2d(4, 3, bias=False), BatchNorm(), ReLU(), Dropout(0.5), Flatten(), Linear(2))
    assert len(ops(for_training(graph))) == 5
    assert ops(for_inference(graph)) == [Conv2d(4, 3, activation="relu"), Flatten(), Linear(2)]
    assert for_inference(graph).nodes[1].folded[0] == "1"


def test_a_value_that_others_read_is_not_fused_away():
    x = Input((3, 8, 8))
    conv = Conv2d(3, 3, padding=1)(x)
    graph = trace([x], [Add()(ReLU()(conv), conv)])
    assert for_training(graph) == graph


def test_an_output_is_not_fused_away():
    x = Input((3, 8, 8))
    conv = Conv2d(3, 3)(x)
    graph = trace([x], [conv, ReLU()(conv)])
    assert for_training(graph) == graph


def test_the_switch_leaves_everything_but_the_mode():
    graph = graph_of(Conv2d(4, 3), BatchNorm(), ReLU(), Dropout())
    assert for_training(graph, rewrite=False) == graph
    inference = for_inference(graph, rewrite=False)
    assert ops(inference) == [Conv2d(4, 3), BatchNorm(training=False), ReLU(), Dropout(training=False)]


def test_a_deep_net_is_rewritten_without_recursion():
    graph = for_inference(graph_of(*[Conv2d(3, 3, padding=1), BatchNorm(), ReLU(), Dropout()] * 300))
    assert ops(graph) == [Conv2d(3, 3, padding=1, activation="relu")] * 300


def test_folding_against_numbers_by_hand():
    norm = BatchNorm(eps=1.0)
    weight, bias = folded_parameters(
        norm, np.array([[2.0, 4.0]]), np.array([1.0, 1.0]), np.array([3.0, 1.0]), np.array([0.5, 0.0]),
        np.array([0.0, 2.0]), np.array([3.0, 0.0]),
    )  # scales 3 / sqrt(4) and 1 / sqrt(1)  # fmt: skip
    np.testing.assert_allclose(weight, [[3.0, 4.0]])
    np.testing.assert_allclose(bias, [2.0, -1.0])


def branching(rewrite, device, dtype):
    """conv-bn-relu, a residual block, dropout, a second output: everything a rewrite could get wrong."""
    x = Input((3, 9, 7))
    stem = ReLU()(BatchNorm()(Conv2d(6, 3, padding=1, bias=False)(x)))
    block = BatchNorm(affine=False)(Conv2d(6, 3, padding="same")(ReLU()(stem)))
    joined = MaxPool2d(2)(ReLU()(Add()(block, stem)))
    normed = MaxPool2d(3, stride=2, padding=1)(ReLU()(BatchNorm()(Conv2d(8, 3, padding=1)(joined))))
    pooled = MaxPool2d(2, ceil_mode=True)(ReLU()(Conv2d(5, 3, stride=2, padding=1)(Dropout(0.3)(normed))))
    features = ReLU()(Linear(7)(Flatten()(pooled)))
    return Model(x, [Linear(4)(features), joined], device=device, dtype=dtype, seed=3, rewrite=rewrite)


@pytest.mark.parametrize("dtype, tolerance", [("float32", 2e-5), ("float64", 1e-12)])
@pytest.mark.parametrize("device", DEVICES)
def test_results_are_equal_with_and_without(device, dtype, tolerance):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 3, 9, 7)).astype(dtype)
    plain, rewritten = (branching(rewrite, device, dtype) for rewrite in (False, True))
    assert len(rewritten.state_dict()) == len(plain.state_dict())
    results = []
    for model in plain, rewritten:
        out = model.forward(x, training=True, input_gradients=True)
        seeds = tuple(np.random.default_rng(1).standard_normal(o.shape) for o in out)
        results.append((out, model.backward(seeds), model.state_dict(), model.predict(x)))
    (out, grads, state, predicted), (out2, grads2, state2, predicted2) = results
    for got, want in zip((*out2, *predicted2), (*out, *predicted), strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)
    for got, want in (grads2, grads), (state2, state):
        assert got.keys() == want.keys()
        for name in want:
            scale = max(1.0, np.abs(want[name]).max())
            np.testing.assert_allclose(got[name], want[name], rtol=tolerance, atol=tolerance * scale, err_msg=name)


@pytest.mark.parametrize(
    "layers",
    [
        (Conv2d(4, 3), ReLU(), BatchNorm(), MaxPool2d(2), BatchNorm()),
        (Conv2d(4, 3), BatchNorm(), BatchNorm(), ReLU()),
        (BatchNorm(), Conv2d(4, 3), MaxPool2d(2), BatchNorm(), ReLU()),
        (Flatten(), Linear(5), BatchNorm(), ReLU(), Linear(4), ReLU(), BatchNorm(affine=False)),
    ],
    ids=str,
)
def test_only_what_may_be_folded_is(layers):
    plain = Sequential(*layers, input_shape=(3, 8, 8), device="reference", dtype="float64", rewrite=False)
    rewritten = Sequential(*layers, input_shape=(3, 8, 8), device="reference", dtype="float64")
    rng = np.random.default_rng(0)
    state = {name: rng.random(value.shape) + 0.5 for name, value in plain.state_dict().items()}
    for model in plain, rewritten:
        model.load_state_dict(state)
    x = rng.standard_normal((4, 3, 8, 8))
    np.testing.assert_allclose(rewritten.predict(x), plain.predict(x), rtol=1e-12)


def test_folded_weights_follow_further_training():
    layers = Conv2d(3, 3), BatchNorm(), Flatten(), Linear(2)
    model = Sequential(*layers, input_shape=(1, 6, 6), device="reference", seed=1)
    x, y = np.random.default_rng(0).standard_normal((8, 1, 6, 6)), np.arange(8) % 2
    model.compile("sgd")
    before = model.predict(x)
    model.fit(x, y, verbose=0)
    after = model.predict(x)
    unfolded = Sequential(*layers, input_shape=(1, 6, 6), device="reference", rewrite=False)
    unfolded.load_state_dict(model.state_dict())
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_allclose(after, unfolded.predict(x), rtol=1e-5, atol=1e-6)
