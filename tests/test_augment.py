"""Normalisation, random flips and crops by themselves: literal numbers, and what is drawn for which image."""

import numpy as np
import pytest
from devices import DEVICES, WITH_CUDA
from numpy.testing import assert_array_equal

import nbconv as nc
import nbconv.functional as F
from nbconv.errors import DataError, OptionError, ShapeError
from nbconv.reference.dropout import philox4x32

on_every_device = pytest.mark.parametrize("device", WITH_CUDA)
every_dtype = pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])


def pictures(*shape):
    return np.random.default_rng(0).integers(1, 256, shape).astype(np.uint8)


def numbered(count, height, width):
    """Images (N, 1, H, W) whose pixels say where they are: 1 + row * width + column."""
    return np.broadcast_to(1.0 + np.arange(height * width).reshape(1, 1, height, width), (count, 1, height, width))


class TestNormalize:
    @on_every_device
    def test_by_hand(self, device):
        x = np.array([0, 51, 255], np.uint8).reshape(1, 3, 1, 1)
        y = F.normalize(x, mean=(0.5, 0.1, 0.0), std=(0.25, 0.5, 2.0), device=device)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.ravel(), [-2.0, 0.2, 0.5], rtol=1e-6)

    @on_every_device
    def test_of_numbers_and_its_gradient(self, device):
        x, dy = np.array([[-1.0, 3.0]]), np.array([[1.0, -8.0]])
        options = {"mean": (1.0, 2.0), "std": (2.0, 4.0), "scale": 3.0, "device": device}
        assert F.normalize(x, **options).tolist() == [[-2.0, 1.75]]
        assert F.normalize_backward(dy, x, **options).tolist() == [[1.5, -6.0]]

    @on_every_device
    def test_bytes_become_what_is_asked_for(self, device):
        x = pictures(2, 3, 5, 4)
        y = F.normalize(x, 0.3, dtype="float64", device=device)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, x / 255 - 0.3, rtol=1e-14)
        with pytest.raises(OptionError, match="dtype must be one of"):
            F.normalize(x, dtype="uint8")

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"std": 0.0}, "std must be positive and finite, got 0.0"),
            ({"std": (1.0, -1.0)}, "each number of std must be positive and finite, got -1.0"),
            ({"mean": (0.5, np.nan)}, "each number of mean must be a finite number, got nan"),
            ({"mean": "grey"}, "mean must be a finite number, got 'grey'"),
            ({"mean": ()}, "mean must be a number or one number per channel"),
            ({"std": np.ones((1, 3))}, "std must be a number or one number per channel"),
            ({"scale": np.inf}, "scale must be a finite number"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(OptionError, match=message):
            nc.Normalize(**options)

    def test_arrays_and_lists_are_tuples(self):
        op = nc.Normalize(np.array([0.5, 0.25]), [1, 2])
        assert op == nc.Normalize((0.5, 0.25), (1.0, 2.0))
        assert repr(op) == "Normalize((0.5, 0.25), std=(1.0, 2.0))"

    def test_one_number_per_channel(self):
        with pytest.raises(ShapeError, match=r"layer 1 \(Normalize\): std has 2 numbers, but the input has 3 channels"):
            nc.Sequential(nc.ReLU(), nc.Normalize(std=(1.0, 2.0)), input_shape=(3, 4, 4))


class TestFlip:
    @on_every_device
    @every_dtype
    def test_left_and_right(self, device, dtype):
        x = np.array([[[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [0, 1, 2]]]], dtype)
        y = F.random_horizontal_flip(x, 1.0, device=device)
        assert y.dtype == dtype and y.tolist() == [[[[3, 2, 1], [6, 5, 4]], [[9, 8, 7], [2, 1, 0]]]]
        for options in {"p": 0.0}, {"p": 1.0, "training": False}:
            assert_array_equal(F.random_horizontal_flip(x, **options, device=device), x)

    @on_every_device
    def test_which_images(self, device):
        """Image n is turned if the first word of counter (n, 0, step, node) is less than p * 2**32."""
        seed, step, count = 2**40 + 3, 9, 50
        words = np.array([int(philox4x32((n, 0, step, 0), (3, 2**8))[0]) for n in range(count)])
        x = numbered(count, 1, 2)
        y = F.random_horizontal_flip(x, 0.4, seed=seed, step=step, device=device)
        assert_array_equal(y[:, 0, 0, 0] == 2, words < 0.4 * 2**32)

    def test_as_many_as_asked_for(self):
        x = numbered(10_000, 1, 2)
        for p in 0.5, 0.2:
            turned = [F.random_horizontal_flip(x, p, step=step)[:, 0, 0, 0] == 2 for step in (1, 2)]
            assert np.mean(turned) == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 20_000))
            assert np.mean(turned[0] & turned[1]) == pytest.approx(p**2, abs=0.02), "steps are independent"

    @on_every_device
    def test_the_gradient_is_turned_back(self, device):
        dy = np.random.default_rng(0).standard_normal((20, 3, 4, 5))
        dx = F.random_horizontal_flip_backward(dy, np.zeros(dy.shape), seed=5, device=device)
        assert_array_equal(dx, F.random_horizontal_flip(dy, seed=5, device=device))

    def test_of_images_only(self):
        with pytest.raises(ShapeError, match=r"layer 0 \(RandomHorizontalFlip\): RandomHorizontalFlip needs images"):
            nc.Sequential(nc.RandomHorizontalFlip(), input_shape=(6,))
        with pytest.raises(OptionError, match=r"p \(the probability of turning an image round\)"):
            nc.RandomHorizontalFlip(1.5)


class TestCrop:
    @on_every_device
    @every_dtype
    def test_the_middle_at_inference(self, device, dtype):
        x = numbered(1, 4, 5).astype(dtype)
        y = F.random_crop(x, (2, 2), training=False, device=device)
        assert y.dtype == dtype and y.tolist() == [[[[7, 8], [12, 13]]]]
        larger = F.random_crop(x[..., :1, :1], (3, 4), padding=2, training=False, device=device)
        assert larger.tolist() == [[[[0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]]]
        assert_array_equal(F.random_crop(x, padding=3, training=False, device=device), x)

    @on_every_device
    @every_dtype
    def test_where(self, device, dtype):
        """A padded image, cut at the place that two words of Philox say."""
        seed, step, height, width = 2**40 + 3, 9, 6, 5
        x = np.ascontiguousarray(pictures(30, 2, height, width).astype(dtype))
        y = F.random_crop(x, (5, 3), padding=(2, 3), seed=seed, step=step, device=device)
        padded = np.pad(x, ((0, 0), (0, 0), (2, 2), (3, 3)))
        for n in range(len(x)):
            words = [int(word) for word in philox4x32((n, 0, step, 0), (3, 2**8))]
            top, left = words[0] * (height + 4 - 5 + 1) >> 32, words[1] * (width + 6 - 3 + 1) >> 32
            assert_array_equal(y[n], padded[n, :, top : top + 5, left : left + 3])

    def test_all_places_are_equally_likely(self):
        """A window of one pixel says where it lies; the 25 counts are those of a fair die."""
        drawn = F.random_crop(numbered(20_000, 5, 5), 1, seed=3)
        places, counts = np.unique(drawn, return_counts=True)
        assert places.tolist() == list(range(1, 26))
        assert np.sum((counts - 800) ** 2 / 800) < 50  # chi-square with 24 degrees of freedom

    @on_every_device
    def test_the_gradient_goes_back_to_what_was_cut_out(self, device):
        """<crop(x), dy> = <x, crop_backward(dy)>, and pixels out of sight have none."""
        rng = np.random.default_rng(0)
        x, dy = rng.standard_normal((20, 3, 6, 7)), rng.standard_normal((20, 3, 5, 4))
        options = {"size": (5, 4), "padding": 1, "seed": 5, "device": device}
        dx = F.random_crop_backward(dy, x, **options)
        assert np.sum(dx * x) == pytest.approx(np.sum(F.random_crop(x, **options) * dy), rel=1e-12)
        seen = F.random_crop_backward(np.ones(dy.shape), x, **options)
        assert set(np.unique(seen)) == {0, 1} and np.all(dx[seen == 0] == 0)

    @pytest.mark.parametrize(
        "layer, shape, error, message",
        [
            (lambda: nc.RandomCrop(padding=-1), (3, 4, 4), OptionError, "padding must be an integer of at least 0"),
            (lambda: nc.RandomCrop((3, 3, 3)), (3, 4, 4), OptionError, "size must be an integer or a pair"),
            (lambda: nc.RandomCrop(0), (3, 4, 4), OptionError, "size must be an integer of at least 1"),
            (
                *(lambda: nc.RandomCrop(9, padding=(4, 2)), (3, 4, 4), ShapeError),
                r"layer 0 \(RandomCrop\): a window of 9 does not fit width 4 with padding 2 \+ 2; .* at least 3",
            ),
            (lambda: nc.RandomCrop(padding=4), (10,), ShapeError, "RandomCrop needs images"),
        ],
    )
    def test_options(self, layer, shape, error, message):
        with pytest.raises(error, match=message):
            nc.Sequential(layer(), input_shape=shape)

    def test_what_it_is_called(self):
        assert repr(nc.RandomCrop(padding=4)) == "RandomCrop(padding=4)"
        assert repr(nc.RandomCrop(32, padding=(4, 2))) == "RandomCrop(32, padding=(4, 2))"


@pytest.mark.parametrize("random", [F.random_horizontal_flip, F.random_crop])
def test_what_is_drawn_depends_on_seed_and_step_alone(random):
    x = pictures(64, 3, 9, 8)
    options = {"size": 5} if random is F.random_crop else {}
    first = random(x, **options, seed=4, step=2)
    for device in DEVICES:
        for dtype in "uint8", "float32", "float64":
            assert_array_equal(random(x.astype(dtype), **options, seed=4, step=2, device=device), first)
            nhwc = random(np.moveaxis(x, 1, -1), **options, seed=4, step=2, device=device, data_format="NHWC")
            assert_array_equal(np.moveaxis(nhwc, -1, 1), first)
    for other in {"seed": 5, "step": 2}, {"seed": 4, "step": 3}, {"seed": 4 + 2**32, "step": 2}:
        assert (random(x, **options, **other) != first).any()
    assert_array_equal(random(x[:10], **options, seed=4, step=2), first[:10], "whatever the size of the batch")


@pytest.mark.parametrize("backward", [F.normalize_backward, F.random_horizontal_flip_backward, F.random_crop_backward])
def test_bytes_have_no_gradient(backward):
    x = pictures(2, 3, 4, 4)
    with pytest.raises(DataError, match="x is uint8, which has no gradient; pass it as floating-point numbers"):
        backward(np.ones(x.shape, np.float32), x)
