"""Filters designed by hand: their matrices, what they do to arrays, and pictures of every kind from file to file."""

from pathlib import Path

import numpy as np
import pytest
from commands import fails, nbconv
from PIL import Image, features

from nbconv import filters
from nbconv.data.pictures import read_picture, write_picture
from nbconv.errors import DataError, FileFormatError, OptionError, ShapeError

DEVICES = ("reference", "cpu")
SMOOTHING = ("box", "gaussian", "sharpen")
ROWS, COLUMNS = np.mgrid[0:9, 0:11].astype(float)

every_device = pytest.mark.parametrize("device", DEVICES)
every_filter = pytest.mark.parametrize("name", filters.FILTERS)


def random_image(*shape):
    return np.random.default_rng(0).random(shape)


def by_hand(image, matrix, mode):
    """Correlation of (H, W) with a matrix, as it is defined."""
    h, w = (size // 2 for size in matrix.shape)
    padded = np.pad(image, ((h, h), (w, w)), mode=mode)
    windows = np.lib.stride_tricks.sliding_window_view(padded, matrix.shape)
    return np.einsum("ijrs,rs->ij", windows, matrix)


# matrices


def test_matrices_from_the_literature():
    np.testing.assert_array_equal(filters.box(3), np.full((3, 3), 1 / 9))
    np.testing.assert_array_equal(8 * filters.sobel_x(), [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    np.testing.assert_array_equal(8 * filters.sobel_y(), [[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    np.testing.assert_array_equal(32 * filters.scharr_x(), [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]])
    np.testing.assert_array_equal(32 * filters.scharr_y(), [[-3, -10, -3], [0, 0, 0], [3, 10, 3]])
    np.testing.assert_array_equal(filters.laplacian(), [[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    np.testing.assert_array_equal(3 * filters.laplacian(diagonal=True), [[1, 1, 1], [1, -8, 1], [1, 1, 1]])
    np.testing.assert_array_equal(filters.sharpen(2), [[0, -2, 0], [-2, 9, -2], [0, -2, 0]])


@every_filter
def test_a_flat_area_keeps_its_brightness_or_becomes_zero(name):
    matrix = filters.FILTERS[name]()
    assert matrix.dtype == np.float64
    assert matrix.sum() == pytest.approx(float(name in SMOOTHING), abs=1e-14)


def test_gaussian_has_its_width():
    for sigma in 1.0, 2.5:
        matrix = filters.gaussian(sigma, size=61)
        offsets = np.arange(61) - 30
        assert (matrix.sum(axis=0) * offsets**2).sum() == pytest.approx(sigma**2, rel=1e-6)
        np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12)
    assert filters.gaussian(1.5).shape == (11, 11) and filters.gaussian(2, size=5).shape == (5, 5)


def test_gabor_answers_to_its_direction_and_width():
    def stripes(wavelength, angle):
        y, x = np.mgrid[0:64, 0:64]
        angle = np.deg2rad(angle)
        return np.cos(2 * np.pi * (x * np.cos(angle) - y * np.sin(angle)) / wavelength)

    def strength(image, angle):
        answers = filters.apply(image, filters.gabor(8, angle))
        return np.abs(answers[16:-16, 16:-16]).max()  # the mirrored border has stripes of its own

    for angle in 0, 30, 90, 135:
        mine = strength(stripes(8, angle), angle)
        assert mine > 5 * strength(stripes(8, angle), angle + 90)
        assert mine > 2 * strength(stripes(20, angle), angle)
    assert np.abs(filters.gabor(6, 20, phase=40)).sum() == pytest.approx(2)


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: filters.box(4), "odd"),
        (lambda: filters.gaussian(0), "sigma must be positive"),
        (lambda: filters.gaussian(1, size=2), "odd"),
        (lambda: filters.sharpen(-1), "amount"),
        (lambda: filters.gabor(1), "wavelength"),
        (lambda: filters.gabor(8, size=1), "at least 3"),
        (lambda: filters.laplacian(diagonal=1), "True or False"),
    ],
)
def test_options_out_of_range(make, says):
    with pytest.raises(OptionError, match=says):
        make()


# arrays


@every_device
@pytest.mark.parametrize("name, ramp", [("sobel", ROWS), ("scharr", COLUMNS), ("sobel_x", COLUMNS), ("scharr_y", ROWS)])
def test_derivatives_are_per_pixel(name, ramp, device):
    inside = filters.apply(3 * ramp, name, device=device)[1:-1, 1:-1]
    np.testing.assert_allclose(inside, 3, rtol=1e-14)


def test_the_laplacian_is_the_second_derivative():
    for diagonal in False, True:
        inside = filters.apply(COLUMNS**2 + 2 * ROWS**2, filters.laplacian(diagonal))[1:-1, 1:-1]
        np.testing.assert_allclose(inside, 2 + 4, rtol=1e-12)


@every_device
@pytest.mark.parametrize("border, mode", filters.BORDERS.items())
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (13, 2), (20, 31)], ids=str)
def test_against_the_definition(shape, border, mode, device):
    image = random_image(*shape)
    skewed = np.random.default_rng(1).standard_normal((3, 5))
    for matrix in skewed, filters.gaussian(2), filters.gabor(5, 30):  # the Gaussian is applied as a column and a row
        got = filters.apply(image, matrix, border=border, device=device)
        np.testing.assert_allclose(got, by_hand(image, matrix, mode), rtol=1e-12, atol=1e-13)


@every_filter
def test_colours_are_filtered_one_by_one(name):
    image = random_image(8, 9, 3)
    got = filters.apply(image, name)
    for c in range(3):
        np.testing.assert_array_equal(got[..., c], filters.apply(image[..., c], name))
    np.testing.assert_array_equal(filters.apply(image[..., :1], name)[..., 0], got[..., 0])


@pytest.mark.parametrize("dtype, wanted", [("uint8", "float32"), ("uint16", "float32"), ("float16", "float32")])
def test_dtypes(dtype, wanted):
    image = (255 * random_image(6, 7)).astype(dtype)
    got = filters.apply(image, "sobel_x")
    assert got.dtype == wanted
    np.testing.assert_allclose(got, filters.apply(image.astype(float), "sobel_x"), atol=1e-4)
    assert filters.apply(image.astype(float), "box").dtype == np.float64


def test_what_is_invisible_does_not_show():
    """A blur over red beside transparent green has no green in it."""
    image = np.zeros((5, 6, 4), np.uint8)
    image[:, :3] = (200, 0, 0, 255)
    image[:, 3:] = (0, 250, 0, 0)
    got = filters.apply(image, "gaussian")
    assert (got[..., 1] == 0).all()
    np.testing.assert_allclose(got[:, :4, 0], 200, rtol=1e-5)
    np.testing.assert_allclose(got[..., 3], filters.apply(image[..., 3], "gaussian"), rtol=1e-5, atol=1e-4)
    edges = filters.apply(image, "sobel")
    np.testing.assert_array_equal(edges[..., 3], image[..., 3])
    assert (edges[..., 1] == 0).all() and edges[2, 3, 0] == pytest.approx(100)


def test_opaque_alpha_changes_nothing():
    image = random_image(7, 8, 4)
    image[..., 3] = 1
    for name in "box", "laplacian":
        got = filters.apply(image, name)
        np.testing.assert_allclose(got[..., :3], filters.apply(image[..., :3], name), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(got[..., 3], 1, rtol=1e-14)


def test_nan_stays_where_it_belongs():
    image = random_image(40, 40)
    image[20, 20] = np.nan
    for kernel in "sobel_x", filters.gaussian(2):
        bad = np.isnan(filters.apply(image, kernel))
        reach = np.shape(kernel)[0] // 2 if not isinstance(kernel, str) else 1
        wanted = np.zeros((40, 40), bool)
        wanted[20 - reach : 21 + reach, 20 - reach : 21 + reach] = True
        np.testing.assert_array_equal(bad, wanted)


@pytest.mark.parametrize(
    "image, kernel, border, error, says",
    [
        (np.ones((3, 3)), "blur", "reflect", OptionError, "there are box, gaussian, sharpen, sobel"),
        (np.ones((3, 3)), "box", "mirror", OptionError, "'reflect', 'edge', 'zeros', 'circular'"),
        (np.ones((3, 20, 20)), "box", "reflect", ShapeError, r"image.transpose\(1, 2, 0\)"),
        (np.ones(3), "box", "reflect", ShapeError, r"\(H, W\)"),
        (np.ones((0, 3)), "box", "reflect", DataError, "empty"),
        (np.ones((3, 3), complex), "box", "reflect", DataError, "complex"),
        (np.ones((3, 3)), np.ones((2, 3)), "reflect", ShapeError, "odd"),
        (np.ones((3, 3)), np.full((3, 3), np.nan), "reflect", DataError, "finite"),
    ],
)
def test_errors_of_arrays(image, kernel, border, error, says):
    with pytest.raises(error, match=says):
        filters.apply(image, kernel, border=border)


# files

MODES = {
    "grey": ("L", (31, 22)),
    "colour": ("RGB", (31, 22, 3)),
    "alpha": ("RGBA", (31, 22, 4)),
    "grey and alpha": ("LA", (31, 22, 2)),
    "bits": ("1", (31, 22)),
    "palette": ("P", (31, 22, 3)),
    "print": ("CMYK", (31, 22, 3)),
}


def save_picture(path, mode):
    image = Image.fromarray((255 * random_image(31, 22, 3)).astype(np.uint8)).convert(mode)
    image.save(path)


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("name", ["gaussian", "sobel", "laplacian"])
def test_every_kind_of_picture(tmp_path, kind, name):
    mode, shape = MODES[kind]
    source, target = tmp_path / ("in.tif" if mode == "CMYK" else "in.png"), tmp_path / "out.png"
    save_picture(source, mode)
    (line,) = nbconv("filter", name, source, target, "--device", "reference")
    assert line.startswith(f"saved {target}: 22 x 31, ")
    assert read_picture(source).shape == read_picture(target).shape == shape
    if mode == "L" and name == "gaussian":
        want = filters.apply(read_picture(source), name)
        assert np.abs(read_picture(target) - want).max() <= 0.5 + 1e-4


def test_sixteen_bits_stay_sixteen(tmp_path):
    pixels = (65535 * random_image(9, 8)).astype(np.uint16)
    write_picture(tmp_path / "in.png", pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "in.png"), pixels)
    nbconv("filter", "box", tmp_path / "in.png", tmp_path / "out.png", "--device", "reference")
    out = read_picture(tmp_path / "out.png")
    assert out.dtype == np.uint16
    np.testing.assert_allclose(out, filters.apply(pixels, "box"), atol=0.51)


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2100, 1900)], ids=str)
def test_every_size(tmp_path, size):
    write_picture(tmp_path / "in.png", np.full(size, 77, np.uint8))
    for name, value in ("gaussian", 77), ("sobel", 0), ("sobel_x", 128):
        nbconv("filter", name, tmp_path / "in.png", tmp_path / "out.png")
        assert (read_picture(tmp_path / "out.png") == value).all()


def test_what_brightness_means(tmp_path):
    """A step of 100 in 255 has a slope of 50 per pixel on both sides, under a mean of three rows that are alike."""
    step = np.zeros((5, 8), np.uint8)
    step[:, 4:] = 100
    write_picture(tmp_path / "in.png", step)
    (line,) = nbconv("filter", "sobel_x", tmp_path / "in.png", tmp_path / "out.png")
    assert line.endswith("black is -0.196, middle grey is 0, white is 0.196 of full brightness")
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png")[0], [128, 128, 128, 255, 255, 128, 128, 128])
    (line,) = nbconv("filter", "sobel", tmp_path / "in.png", tmp_path / "out.png")
    assert "(replaced)" in line and line.endswith("black is 0, white is 0.196 of full brightness")
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png")[0], [0, 0, 0, 255, 255, 0, 0, 0])
    (line,) = nbconv("filter", "sharpen", tmp_path / "in.png", tmp_path / "out.png", "--amount", 0)
    assert line.endswith("brightness as in the source")
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png"), step)


def test_grey(tmp_path):
    save_picture(tmp_path / "in.png", "RGB")
    nbconv("filter", "box", tmp_path / "in.png", tmp_path / "out.png", "--grey", "--size", 1)
    want = np.asarray(Image.open(tmp_path / "in.png").convert("L"), int)
    assert np.abs(read_picture(tmp_path / "out.png") - want).max() <= 1


def test_pictures_are_upright(tmp_path):
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by 90 degrees
    image.save(tmp_path / "turned.png", exif=exif)
    assert read_picture(tmp_path / "turned.png").shape == (3, 2)


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "in.png"
    save_picture(path, "RGBA")
    return path


def test_errors_of_the_command(tmp_path, picture):
    out = tmp_path / "out.png"
    text = tmp_path / "text.png"
    text.write_text("no picture")
    Image.fromarray(np.ones((3, 3), np.float32)).save(tmp_path / "float.tif")
    assert "no filter 'blurr'; there are box, gaussian, " in fails("filter", "blurr", picture, out)
    assert "there is no such file" in fails("filter", "box", tmp_path / "none.png", out)
    assert "is no image" in fails("filter", "box", text, out)
    assert "range is not known" in fails("filter", "box", tmp_path / "float.tif", out)
    assert "there is no folder" in fails("filter", "box", picture, tmp_path / "none" / "out.png")
    assert "it is a folder" in fails("filter", "box", picture, tmp_path)
    assert "no format" in fails("filter", "box", picture, tmp_path / "out.xyz")
    assert "no format" in fails("filter", "box", picture, tmp_path / "out")
    assert ".png can hold every picture" in fails("filter", "box", picture, tmp_path / "out.jpg")
    assert "write to another file" in fails("filter", "box", picture, picture)
    assert "takes no sigma; it takes size" in fails("filter", "box", picture, out, "--sigma", 2)
    assert "takes no size; it takes no options" in fails("filter", "sobel", picture, out, "--size", 3)
    assert "size must be odd" in fails("filter", "box", picture, out, "--size", 2)
    assert "not available" in fails("filter", "box", picture, out, "--device", "cuda:99")
    assert not out.exists() and not list(tmp_path.glob(".*"))


def test_a_damaged_picture_is_named(tmp_path, picture):
    picture.write_bytes(picture.read_bytes()[:200])
    with pytest.raises(DataError, match="in.png"):
        read_picture(picture)
    with pytest.raises(FileFormatError, match="no folder"):
        write_picture(tmp_path / "no" / "out.png", np.ones((2, 2), np.uint8))


@pytest.mark.parametrize("ending", [".png", ".apng", ".tif", ".tiff", ".pgm", ".pnm", ".jp2"])
def test_sixteen_bits_stay_sixteen_bits(tmp_path, ending):
    pixels = (np.arange(6 * 70, dtype=np.uint16) * 157).reshape(6, 70)
    write_picture(tmp_path / f"grey{ending}", pixels)
    with Image.open(tmp_path / f"grey{ending}") as image:
        np.testing.assert_array_equal(np.asarray(image).astype(np.int64), pixels)


@pytest.mark.parametrize(
    "ending", [".webp", ".gif", ".im", ".pdf", ".eps", ".jpg", ".bmp", ".pcx", ".sgi", ".avif", ".dds", ".tga"]
)
def test_formats_without_sixteen_bits_are_refused(tmp_path, ending):
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    with pytest.raises(FileFormatError, match=f"16 bits per pixel, which {ending} cannot hold; use .png or .tif"):
        write_picture(tmp_path / f"grey{ending}", np.full((4, 5), 300, np.uint16))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".ico", ".icns"])
def test_icons_would_change_the_size(tmp_path, ending):
    with pytest.raises(FileFormatError, match="would change the size; .png can hold every picture"):
        write_picture(tmp_path / f"icon{ending}", np.zeros((40, 50, 3), np.uint8))


def test_what_pillow_refuses_is_named(tmp_path):
    with pytest.raises(FileFormatError, match=r"cannot write .*blp: .*; .png can hold every picture"):
        write_picture(tmp_path / "x.blp", np.zeros((4, 5, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def test_a_function_is_no_kernel_and_a_name_no_picture():
    with pytest.raises(DataError, match=r"got the function gaussian: call it, as in gaussian\(\)"):
        filters.apply(random_image(5, 5), filters.gaussian)
    for name in "photo.png", Path("photo.png"):
        with pytest.raises(DataError, match="got the name 'photo.png': read it with nbconv.data.pictures.read_picture"):
            filters.apply(name, "sobel")


@pytest.mark.parametrize(
    "command, matrix",
    [
        (("laplacian", "--diagonal"), filters.laplacian(diagonal=True)),
        (("laplacian",), filters.laplacian()),
        (("gabor", "--aspect", 2.0), filters.gabor(aspect=2.0)),
    ],
    ids=str,
)
def test_options_of_the_command(tmp_path, command, matrix):
    pixels = (255 * random_image(12, 14)).astype(np.uint8)
    write_picture(tmp_path / "in.png", pixels)
    name, *options = command
    nbconv("filter", name, tmp_path / "in.png", tmp_path / "out.png", *options)
    want = filters.apply(pixels, matrix)
    scaled = 255 * (1 + want / np.abs(want).max()) / 2
    assert np.abs(read_picture(tmp_path / "out.png") - scaled).max() <= 0.5 + 1e-3


def test_the_command_refuses_options_of_other_filters(tmp_path, picture):
    assert "takes no diagonal" in fails("filter", "box", picture, tmp_path / "out.png", "--diagonal")
    assert "takes no aspect" in fails("filter", "gaussian", picture, tmp_path / "out.png", "--aspect", 2)


def test_the_command_refuses_a_format_before_it_computes(tmp_path, monkeypatch):
    write_picture(tmp_path / "in.png", np.full((4, 5), 300, np.uint16))
    monkeypatch.setattr("nbconv.filters.picture.apply", None)
    assert ".webp cannot hold; use .png or .tif" in fails("filter", "box", tmp_path / "in.png", tmp_path / "out.webp")
