"""Colours mean what the paper says, and nothing in a figure lies on anything else, whatever the names and sizes."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from tf_ganmex import plotting
from tf_ganmex.errors import ImageError, LabelError, OptionError

NAMES = ["African elephant", "Granny Smith", "German short-haired pointer", "stopsign_bambooforest", "US$ or $x^2", "é"]
RED, BLUE = 0, 2


def images(n: int, size: int = 8, channels: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (n, size, size, channels)).astype(np.float32)


def pixels(figure: Figure) -> np.ndarray:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def texts(figure: Figure) -> list[str]:
    return [text.get_text().replace("\n", " ") for text in figure.texts]


def drawn(figure: Figure) -> list[np.ndarray]:
    """The pictures in the order they were drawn, without the colour scale."""
    pictures = [np.asarray(axes.images[0].get_array()) for axes in figure.axes]
    return [p for p in pictures if p.shape[0] > 1]


# --- colours ----------------------------------------------------------------------------------------------------------


def test_zero_is_white_positive_is_blue_and_negative_is_red():
    colours = plotting.attribution_image(np.array([[0.0, 0.3, 1.0], [0.0, -0.3, -1.0]]))
    np.testing.assert_array_equal(colours[:, 0], 1.0)
    assert (colours[0, 1:, BLUE] > colours[0, 1:, RED] + 0.2).all()
    assert (colours[1, 1:, RED] > colours[1, 1:, BLUE] + 0.2).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_larger_attributions_are_darker(sign):
    colours = plotting.attribution_image(sign * np.linspace(0, 1, 50)[np.newaxis], limit=1)
    assert (np.diff(colours.sum(axis=-1)) < 0).all()


def test_both_signs_share_one_limit():
    one_sided = np.full((10, 10), 1e-3)
    one_sided[:5] = -1.0
    colours = plotting.attribution_image(one_sided)
    np.testing.assert_allclose(colours[5:], 1.0, atol=0.01)  # a thousandth of the negative values is all but white
    assert plotting.attribution_limit(one_sided) == plotting.attribution_limit(-one_sided) == 1.0


def test_channels_are_summed():
    a = images(1, channels=3)[0] - 0.5
    np.testing.assert_allclose(plotting.attribution_image(a), plotting.attribution_image(a.sum(-1)), atol=1e-6)
    np.testing.assert_array_equal(plotting.attribution_image(np.array([[[1.0, -3.0, 2.0]]])), 1.0)


def test_an_outlier_does_not_bleach_the_map():
    a = np.ones((28, 28))
    a[0, 0] = 40.0
    assert plotting.attribution_limit(a) == pytest.approx(1.0)
    assert plotting.attribution_limit(a, percentile=100) == 40.0


def test_rounding_errors_of_a_sparse_map_stay_white():
    a = np.random.default_rng(0).normal(0, 1e-9, (100, 100))
    a[50, 50] = 1.0
    colours = plotting.attribution_image(a)
    assert colours[0].min() > 0.99
    assert colours[50, 50, BLUE] > colours[50, 50, RED] + 0.2


def test_a_map_of_zeros_is_white():
    np.testing.assert_array_equal(plotting.attribution_image(np.zeros((4, 4, 3))), 1.0)


def test_images_are_gray_rgb_or_the_channel_mean():
    gray, rgb, many = images(1)[0], images(1, channels=3)[0], images(1, channels=5)[0]
    np.testing.assert_allclose(plotting.image_rgb(gray), np.repeat(gray, 3, -1))
    np.testing.assert_allclose(plotting.image_rgb(rgb), rgb)
    np.testing.assert_allclose(plotting.image_rgb(many)[..., 1], many.mean(-1), rtol=1e-6)
    np.testing.assert_allclose(plotting.image_rgb(gray[..., 0]), plotting.image_rgb(gray))


def test_the_value_range_is_black_to_white():
    x = images(1)[0]
    np.testing.assert_allclose(plotting.image_rgb(2 * x - 1, value_range=(-1, 1)), plotting.image_rgb(x), atol=1e-6)
    np.testing.assert_array_equal(plotting.image_rgb(np.array([[-7.0, 300.0]]), value_range=(0, 255))[0, :, 0], [0, 1])
    as_bytes = (x * 255).astype(np.uint8)
    np.testing.assert_allclose(plotting.image_rgb(as_bytes, value_range=(0, 255)), plotting.image_rgb(x), atol=0.01)


# --- figures ----------------------------------------------------------------------------------------------------------


def test_an_explanation_is_image_baseline_map():
    x, b = images(2)
    a = x - b
    figure = plotting.plot_explanation(x, b, a, origin=0, target=6)
    expected = [plotting.image_rgb(x), plotting.image_rgb(b), plotting.attribution_image(a)]
    for got, want in zip(drawn(figure), expected, strict=True):
        np.testing.assert_allclose(got, want)
    assert texts(figure) == ["0", "→ 6", "why 0, not 6", "against 0", "for 0"]


def test_each_image_has_a_row_with_its_own_classes():
    x = images(3)
    figure = plotting.plot_explanation(
        x, x[0], x - 0.5, origin=np.array([0, 4, 5]), target=[1, 1, 3], class_names=NAMES
    )
    assert len(drawn(figure)) == 9
    assert [t for t in texts(figure) if t.startswith("→")] == ["→ Granny Smith"] * 2 + ["→ stopsign_bambooforest"]
    for row in range(3):
        np.testing.assert_allclose(drawn(figure)[3 * row + 1], plotting.image_rgb(x[0]))


@pytest.mark.parametrize(("target", "question"), [(None, "why 2"), ("average", "why 2, not another")])
def test_one_vs_all_and_methods_without_a_baseline(target, question):
    x = images(1)
    assert texts(plotting.plot_explanation(x, None, x, origin=2, target=target))[:2] == ["2", question]
    assert texts(plotting.plot_explanation(x, x, x, origin=2, target=target))[:3] == ["2", "baseline", question]


def test_the_column_of_the_own_class_is_empty():
    x, baselines = images(1)[0], images(4, seed=1)
    figure = plotting.plot_targets(x, 2, baselines, {"IG": x - baselines, "DeepLIFT": baselines - x}, range(4))
    assert len(drawn(figure)) == 1 + 3 * 3
    assert [t for t in texts(figure) if t.startswith("→")] == ["→ 0", "→ 1", "→ 3"]
    positions = {round(axes.get_position().x0, 6) for axes in figure.axes[:-1]}
    steps = np.diff(sorted(positions))
    assert steps.max() == pytest.approx(2 * steps.min(), rel=1e-3)  # one column wide gap


def test_the_average_is_over_the_other_classes():
    x, maps = images(1)[0], images(4, seed=1) - 0.5
    figure = plotting.plot_targets(x, 2, None, maps, range(4), average=True)
    np.testing.assert_allclose(drawn(figure)[-1], plotting.attribution_image(maps[[0, 1, 3]].mean(0)), atol=1e-5)


def test_several_images_make_blocks():
    x, baselines = images(2), images(6, seed=1).reshape(2, 3, 8, 8, 1)
    figure = plotting.plot_targets(x, [0, 1], baselines, x[:, np.newaxis] - baselines, range(3))
    assert [t for t in texts(figure) if t.startswith("→")] == ["→ 1", "→ 2", "→ 0", "→ 2"]
    np.testing.assert_allclose(drawn(figure)[5], plotting.image_rgb(x[1]))


def test_a_shared_limit_keeps_the_maps_of_a_row_comparable():
    weak, strong = 0.1 * np.ones((8, 8)), np.ones((8, 8))
    row = [[("map", weak), ("map", strong)]]
    alone, shared = plotting.plot_grid(row), plotting.plot_grid(row, share_limit=True)
    np.testing.assert_allclose(*drawn(alone))
    np.testing.assert_allclose(drawn(shared)[0], plotting.attribution_image(weak, limit=1.0))


def test_the_legend_is_there_only_with_maps():
    assert texts(plotting.plot_grid([[images(1)[0]]])) == []
    assert texts(plotting.plot_grid([[("map", images(1)[0])]])) == ["negative", "positive"]
    scale = plotting.plot_grid([[("map", images(1)[0])]]).axes[-1].images[0].get_array()
    assert scale[0, 0, RED] > scale[0, 0, BLUE]
    assert scale[0, -1, BLUE] > scale[0, -1, RED]


def test_show_image_draws_into_axes():
    axes = Figure().add_subplot()
    plotting.show_image(axes, images(1)[0] * 255, value_range=(0, 255))
    np.testing.assert_allclose(axes.images[0].get_array(), plotting.image_rgb(images(1)[0]), atol=1e-6)
    assert len(axes.get_xticks()) == 0


# --- layout -----------------------------------------------------------------------------------------------------------


def explanation(size: int, channels: int) -> Figure:
    x = images(3, size, channels)
    return plotting.plot_explanation(
        x, 1 - x, x - 0.5, origin=[0, 2, 4], target=[1, 3, 2], class_names=NAMES, title="A title " * 15
    )


def target_grid(columns: int) -> Figure:
    x, baselines = images(1)[0], images(columns, seed=1)
    names = list(itertools.islice(itertools.cycle(NAMES), columns))
    methods = {"Integrated gradients": x - baselines, "IntGrad + GANMEX, 200 steps, and more": x - baselines}
    return plotting.plot_targets(x, 0, baselines, methods, range(columns), class_names=names, average=True)


LAYOUTS = {
    "8x8": lambda: explanation(8, 1),
    "224x224x3": lambda: explanation(224, 3),
    "wide": lambda: plotting.plot_explanation(
        images(1)[:, :3], None, images(1)[:, :3], origin=0, target=2, class_names=NAMES
    ),
    "10 targets": lambda: target_grid(10),
    "18 targets": lambda: target_grid(18),
    "one map": lambda: plotting.plot_grid([[("map", images(1)[0])]], ["column"], ["row"], title="T"),
    "unbroken name": lambda: plotting.plot_grid([[images(1)[0]] * 12], ["W" * 90] * 12, ["W" * 90]),
    "ragged": lambda: plotting.plot_grid([[images(1)[0]], [None, images(1, 28)[0]]], ["a", "b"], ["c", "d"]),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_nothing_overlaps_or_leaves_the_page(name):
    figure = LAYOUTS[name]()
    pixels(figure)
    assert figure.get_figwidth() <= 12
    renderer = figure.canvas.get_renderer()
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in figure.texts if text.get_text()]
    boxes += [("picture", axes.get_window_extent(renderer)) for axes in figure.axes]
    for what, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert inside, f"{what!r} leaves the page"
    for (what, box), (other, box2) in itertools.combinations(boxes, 2):
        common = Bbox.intersection(box, box2)
        assert common is None or common.width * common.height < 1, f"{what!r} lies on {other!r}"
    assert min(text.get_fontsize() for text in figure.texts) >= 6.5


def test_a_dollar_sign_is_no_formula():
    broken_formula = r"$\frac{1$"
    figure = plotting.plot_explanation(*images(2), images(1)[0], origin=0, target=1, class_names=[broken_formula, "b"])
    pixels(figure)
    assert texts(figure)[0] == broken_formula


def test_the_users_style_does_not_reach_the_figure():
    def draw() -> np.ndarray:
        return pixels(plotting.plot_explanation(*images(2), images(1)[0], origin=0, target=1))

    plain = draw()
    dark = {"figure.facecolor": "black", "text.color": "white", "figure.autolayout": True}
    with matplotlib.rc_context(dark), warnings.catch_warnings():
        warnings.simplefilter("error")  # tight layout warns of axes that it cannot move
        np.testing.assert_array_equal(draw(), plain)


def test_threads_draw_the_same_figures():
    def draw(seed: int) -> np.ndarray:
        x = images(2, seed=seed)
        return pixels(plotting.plot_explanation(x[0], x[1], x[0] - x[1], origin=0, target=1, class_names=NAMES))

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, range(8)))
    for seed, figure in enumerate(together):
        np.testing.assert_array_equal(figure, draw(seed))


def test_neither_pyplot_nor_tensorflow_is_imported():
    code = (
        "import sys, numpy as np; from tf_ganmex import plotting; x = np.ones((8, 8, 1));"
        "png = plotting.plot_explanation(x, x, x, origin=0, target=1)._repr_png_();"
        "assert png.startswith(b'\\x89PNG');"
        "print([m for m in ('matplotlib.pyplot', 'tensorflow', 'keras') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extension", "start"), [("png", b"\x89PNG"), ("PNG", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")]
)
def test_save_makes_folders_and_the_format_of_the_extension(tmp_path, extension, start):
    path = tmp_path / "a" / "b" / f"figure.{extension}"
    assert plotting.save_figure(plotting.plot_grid([[images(1)[0]]]), path) == path
    assert path.read_bytes().startswith(start)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    figure = plotting.plot_grid([[images(1)[0]]])
    plotting.save_figure(figure, path)
    before = path.read_bytes()

    def fails_halfway(target, **options):
        target.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(figure, "savefig", fails_halfway)
    with pytest.raises(OSError, match="no space"):
        plotting.save_figure(figure, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_dpi_is_dots_per_inch(tmp_path):
    from PIL import Image

    figure = plotting.plot_grid([[images(1)[0]]])
    path = plotting.save_figure(figure, tmp_path / "figure.png", dpi=200)
    assert Image.open(path).width == pytest.approx(200 * figure.get_figwidth(), abs=1)


# --- bad input --------------------------------------------------------------------------------------------------------

X = images(2)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ImageError, lambda: plotting.attribution_image(np.full((4, 4), np.nan))),
        (ImageError, lambda: plotting.attribution_image(np.zeros((2, 4, 4, 1)))),
        (ImageError, lambda: plotting.image_rgb(np.zeros((0, 4, 3)))),
        (ImageError, lambda: plotting.image_rgb("cat.png")),
        (ImageError, lambda: plotting.plot_explanation(X[:0], None, X[:0], origin=0, target=1)),
        (ImageError, lambda: plotting.plot_explanation(X, X, X[0], origin=0, target=1)),
        (ImageError, lambda: plotting.plot_explanation(X, X[:, :4], X, origin=0, target=1)),
        (ImageError, lambda: plotting.plot_explanation(X, X, images(2, 4), origin=0, target=1)),
        (ImageError, lambda: plotting.plot_targets(X[0], 0, X, X, [0, 1, 2])),
        (LabelError, lambda: plotting.plot_explanation(X, X, X, origin=0, target=6, class_names=["a", "b"])),
        (LabelError, lambda: plotting.plot_explanation(X, X, X, origin=[0, 1, 2], target=6)),
        (LabelError, lambda: plotting.plot_explanation(X, X, X, origin=0.5, target=6)),
        (LabelError, lambda: plotting.plot_explanation(X, X, X, origin=0, target="mean")),
        (OptionError, lambda: plotting.attribution_limit(X[0], percentile=0)),
        (OptionError, lambda: plotting.attribution_limit()),
        (OptionError, lambda: plotting.attribution_image(X[0], limit=-1.0)),
        (OptionError, lambda: plotting.attribution_image(X[0], limit=float("nan"))),
        (OptionError, lambda: plotting.image_rgb(X[0], value_range=(1, 0))),
        (OptionError, lambda: plotting.plot_grid([])),
        (OptionError, lambda: plotting.plot_grid([[X[0]]], ["a", "b"])),
        (OptionError, lambda: plotting.plot_grid([[X[0]]], (), ["a", "b"])),
        (OptionError, lambda: plotting.plot_grid([[X[0]] * 40])),
        (OptionError, lambda: plotting.plot_targets(X[0], 0, None, {}, [0, 1])),
        (OptionError, lambda: plotting.plot_targets(X[0], 0, None, X[:0], [])),
        (OptionError, lambda: plotting.save_figure(plotting.plot_grid([[X[0]]]), "figure.xyz")),
        (OptionError, lambda: plotting.save_figure(plotting.plot_grid([[X[0]]]), "figure")),
    ],
)
def test_bad_input_is_named(error, call):
    with pytest.raises(error, match="Received"):
        call()
