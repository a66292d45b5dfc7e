"""The digits, batches, and files of images and arrays."""

import gc

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from nbconv.data.batches import Batches
from nbconv.data.digits import digits
from nbconv.data.images import read_images, read_labelled
from nbconv.errors import DataError, OptionError

GREY = (1, 4, 6)
COLOUR = (3, 4, 6)


def save_image(path, array, mode=None):
    Image.fromarray(np.asarray(array, np.uint8), mode).save(path)
    return path


def test_digits_are_the_uci_set():
    (x, y), (x_test, y_test) = digits()
    assert x.shape == (1437, 1, 8, 8) and x_test.shape == (360, 1, 8, 8)
    assert x.dtype == x_test.dtype == np.float32 and y.dtype == y_test.dtype == np.int64
    assert x.min() == 0 and x.max() == 1
    assert np.bincount(np.concatenate([y, y_test])).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert set(y_test) == set(range(10))


def test_digits_equal_scikit_learns():
    published = load_digits()
    (x, y), (x_test, y_test) = digits()
    order = np.random.default_rng(0).permutation(1797)
    np.testing.assert_array_equal(np.concatenate([x, x_test])[:, 0] * 16, published.images[order])
    np.testing.assert_array_equal(np.concatenate([y, y_test]), published.target[order])


def test_batches_cover_every_sample_once():
    batches = Batches(100, 32, seed=3)
    parts = list(batches.epoch(0))
    assert [len(p) for p in parts] == [32, 32, 32, 4] and len(batches) == 4
    assert sorted(np.concatenate(parts)) == list(range(100))


def test_an_epoch_is_one_array():
    first, *others = Batches(100, 32).epoch(0)
    assert first.base is not None and all(other.base is first.base for other in others)


def test_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        return np.concatenate(list(Batches(50, 7, seed=seed).epoch(epoch))).tolist()

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2) and order(0, 1) != order(1, 1)


def test_without_shuffle_batches_are_slices():
    assert list(Batches(5, 2, shuffle=False).epoch(9)) == [slice(0, 2), slice(2, 4), slice(4, 5)]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (dict(count=0, batch_size=2), "count must be an integer of at least 1, got 0"),
        (dict(count=5, batch_size=0), "batch_size must be an integer of at least 1, got 0"),
        (dict(count=5, batch_size=2, seed=-1), "seed must be an integer of at least 0, got -1"),
    ],
)
def test_batches_name_a_wrong_option(arguments, message):
    with pytest.raises(OptionError, match=message):
        Batches(**arguments)


@pytest.mark.parametrize("shape", [(2, 1, 4, 6), (2, 4, 6, 1), (2, 4, 6), (1, 4, 6), (4, 6, 1), (4, 6)])
def test_grey_arrays_of_any_layout(tmp_path, shape):
    images = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    np.save(tmp_path / "a.npy", images)
    x = read_images(tmp_path / "a.npy", GREY)
    np.testing.assert_array_equal(x, images.reshape(-1, 1, 4, 6))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (3, 4, 6)])
def test_colour_arrays_of_any_layout(tmp_path, shape):
    images = np.random.default_rng(0).random(shape, np.float32)
    np.save(tmp_path / "first.npy", images)
    np.save(tmp_path / "last.npy", np.moveaxis(images, -3, -1))
    for name in "first.npy", "last.npy":
        x = read_images(tmp_path / name, COLOUR)
        np.testing.assert_array_equal(x, images.reshape(-1, 3, 4, 6))
        assert x.flags.c_contiguous and x.dtype == np.float32


def test_integers_are_pixels_and_floats_stay(tmp_path):
    np.save(tmp_path / "pixels.npy", np.full((1, 4, 6), 51, np.uint8))
    np.save(tmp_path / "floats.npy", np.full((1, 4, 6), -1.5))
    np.save(tmp_path / "mask.npy", np.ones((1, 4, 6), bool))
    assert np.unique(read_images(tmp_path / "pixels.npy", GREY)) == np.float32(0.2)
    assert np.unique(read_images(tmp_path / "floats.npy", GREY)) == -1.5
    assert np.unique(read_images(tmp_path / "mask.npy", GREY, invert=True)) == 0


@pytest.mark.parametrize("names", [["x", "y"], ["other", "images"], ["alone"]])
def test_npz_by_name_or_the_only_one(tmp_path, names):
    np.savez(tmp_path / "a.npz", **{name: np.zeros((2, 4, 6), np.float32) for name in names})
    assert read_images(tmp_path / "a.npz", GREY).shape == (2, 1, 4, 6)


@pytest.mark.parametrize("names", [("x", "y"), ("images", "labels")])
def test_labelled_files(tmp_path, names):
    np.savez(tmp_path / "a.npz", **{names[0]: np.zeros((2, 4, 6), np.float32), names[1]: [3, 1]})
    x, y = read_labelled(tmp_path / "a.npz", GREY)
    assert x.shape == (2, 1, 4, 6) and y.tolist() == [3, 1]


def test_labelled_files_need_both(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 6), np.float32))
    with pytest.raises(DataError, match="holds x; name the array 'y'"):
        read_labelled(tmp_path / "a.npz", GREY)
    with pytest.raises(DataError, match="a.npy must be an .npz file with arrays x and y"):
        read_labelled(tmp_path / "a.npy", GREY)


def write_foreign(path):
    path.write_text("not an array")


def write_truncated(path):
    np.save(path, np.zeros((2, 4, 6)))
    path.write_bytes(path.read_bytes()[:150])


@pytest.mark.parametrize(
    "write, message",
    [
        (lambda p: np.save(p, np.zeros((2, 5, 6))), r"shape \(2, 5, 6\); the model needs \(N, 1, 4, 6\)"),
        (lambda p: np.save(p, np.zeros(24)), r"shape \(24,\); the model needs .* or \(4, 6\)"),
        (lambda p: np.save(p, np.array([["a"]])), "holds <U1 values; save integers from 0 to 255, or floats"),
        (lambda p: np.save(p, np.zeros((4, 6), complex)), "holds complex128 values"),
        (lambda p: np.save(p, np.full((4, 6), 300)), "from 300 to 300, but integers are read as pixels from 0 to 255"),
        (lambda p: np.save(p, np.full((4, 6), -1)), "integers from -1 to -1"),
        (lambda p: np.save(p, np.array([{}, None])), r"an object array, .* save numbers of one shape instead"),
        (write_foreign, "it is no array file, whatever its name says; write it with np.save or np.savez"),
        (write_truncated, "it is damaged or of another kind"),
        (lambda p: None, "there is no such file"),
    ],
)
def test_bad_arrays_are_named(tmp_path, write, message):
    path = tmp_path / "bad.npy"
    write(path)
    with pytest.raises(DataError, match=message) as error:
        read_images(path, GREY)
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_npz_of_unknown_names(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.zeros(2), b=np.zeros(2))
    with pytest.raises(DataError, match="holds a, b; name the array 'x'"):
        read_images(tmp_path / "a.npz", GREY)
    np.savez(tmp_path / "objects.npz", x=np.array([{}, None]))
    with pytest.raises(DataError, match="it holds an object array"):
        read_images(tmp_path / "objects.npz", GREY)


def test_an_npz_of_text_or_cut_short(tmp_path):
    write_foreign(tmp_path / "text.npz")
    with pytest.raises(DataError, match="it is no array file, whatever its name says; write it with np.save"):
        read_images(tmp_path / "text.npz", GREY)
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 4, 6)))
    (tmp_path / "a.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:200])
    with pytest.raises(DataError, match="it is damaged or of another kind"):
        read_images(tmp_path / "a.npz", GREY)
    gc.collect()  # a file left open would warn now


@pytest.mark.parametrize(
    "dtype, message", [("float32", "has a float per pixel"), ("int32", "has a 32-bit integer per pixel")]
)
def test_pixels_of_unknown_range_are_refused(tmp_path, dtype, message):
    Image.fromarray(np.full((4, 6), 1000, dtype)).save(tmp_path / "a.tiff")
    with pytest.raises(DataError, match=f"{message}, whose range is not known; save it with 8 or 16 bits, or as .npy"):
        read_images(tmp_path / "a.tiff", GREY)


def test_arrays_of_the_other_byte_order(tmp_path):
    for dtype in ">f4", ">f8", ">i2":
        np.save(tmp_path / "a.npy", np.full((4, 6), 102, dtype))
        x = read_images(tmp_path / "a.npy", GREY)
        assert x.dtype == np.float32 and x.dtype.isnative
        assert np.unique(x) == (np.float32(0.4) if dtype == ">i2" else 102)


def test_an_empty_directory_is_no_image(tmp_path):
    with pytest.raises(DataError, match="cannot read .*: is a directory"):
        read_images(tmp_path, GREY)


def test_grey_image_of_the_right_size_is_exact(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6))
    x = read_images(save_image(tmp_path / "a.png", pixels), GREY)
    np.testing.assert_array_equal(x, (pixels / np.float32(255)).astype(np.float32)[None, None])
    inverted = read_images(tmp_path / "a.png", GREY, invert=True)
    np.testing.assert_allclose(inverted, 1 - x)


def test_grey_becomes_colour_and_colour_grey(tmp_path):
    red = np.zeros((4, 6, 3))
    red[..., 0] = 255
    x = read_images(save_image(tmp_path / "red.png", red), COLOUR)
    assert x.shape == (1, 3, 4, 6) and x[0, :, 0, 0].tolist() == [1, 0, 0]
    assert read_images(tmp_path / "red.png", GREY)[0, 0, 0, 0] == pytest.approx(0.299, abs=0.005)
    grey = read_images(save_image(tmp_path / "grey.png", np.full((4, 6), 51)), COLOUR)
    np.testing.assert_allclose(grey, 0.2)


def test_large_images_are_averaged_not_sampled(tmp_path):
    stripes = np.zeros((64, 96))
    stripes[:, ::2] = 255
    x = read_images(save_image(tmp_path / "a.jpg", stripes), GREY)
    assert x.shape == (1, 1, 4, 6)
    np.testing.assert_allclose(x, 0.5, atol=0.02)


def test_transparency_is_white(tmp_path):
    pixels = np.zeros((4, 6, 4))
    pixels[0, 0, 3] = 255
    x = read_images(save_image(tmp_path / "a.png", pixels), GREY)
    assert x[0, 0, 0, 0] == 0 and x[0, 0, 1:, 1:].min() == 1


def test_sixteen_bit_images_keep_their_contrast(tmp_path):
    Image.fromarray(np.full((4, 6), 32768, np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_images(tmp_path / "a.png", GREY), 0.5, atol=0.01)


def write_half_a_png(path):
    save_image(path, np.random.default_rng(0).integers(0, 256, (64, 64)))
    path.write_bytes(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "write, shape, message",
    [
        (write_foreign, GREY, "is no image that can be read; give .png, .jpg or another image, .npy or .npz"),
        (write_half_a_png, GREY, "it is damaged or of another kind"),
        (lambda p: None, GREY, "there is no such file"),
        (lambda p: None, (2, 4, 6), r"has 1 or 3 channels, but the model takes 2; give .* of shape \(N, 2, 4, 6\)"),
    ],
)
def test_bad_images_are_named(tmp_path, write, shape, message):
    path = tmp_path / "bad.png"
    write(path)
    with pytest.raises(DataError, match=message) as error:
        read_images(path, shape)
    assert str(path) in str(error.value)
