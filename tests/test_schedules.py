"""Learning rates over the epochs, against numbers worked out by hand."""

import pytest

from nbconv.errors import OptionError
from nbconv.train.schedules import constant, cosine, exponential_decay, step_decay


@pytest.mark.parametrize(
    "schedule, rates",
    [
        (constant(0.1), [0.1, 0.1, 0.1]),
        (step_decay(0.1, every=2), [0.1, 0.1, 0.01, 0.01, 0.001]),
        (step_decay(0.8, every=1, factor=0.5), [0.8, 0.4, 0.2]),
        (exponential_decay(0.1, factor=0.5), [0.1, 0.05, 0.025]),
        (cosine(0.1, 4), [0.1, 0.0853553, 0.05, 0.0146447, 0.0, 0.0]),
        (cosine(0.1, 2, final=0.02), [0.1, 0.06, 0.02]),
        (cosine(0.3, 4, warmup=2), [0.1, 0.2, 0.3, 0.15, 0.0]),
        (cosine(0.1, 1, warmup=1), [0.05, 0.1]),
        (cosine(0.1, 1), [0.1]),
    ],
)
def test_rates(schedule, rates):
    assert [schedule(epoch) for epoch in range(len(rates))] == pytest.approx(rates, abs=1e-7)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: step_decay(0.1, every=0), "every must be an integer of at least 1, got 0"),
        (lambda: cosine(0.1, 0), "epochs must be an integer of at least 1, got 0"),
        (lambda: cosine(0.1, 2, warmup=-1), "warmup must be an integer of at least 0, got -1"),
        (lambda: cosine(0.1, 2, final=0.2), "final must be between 0 and lr=0.1, got 0.2"),
    ],
)
def test_a_wrong_option_is_named(make, message):
    with pytest.raises(OptionError, match=message):
        make()
