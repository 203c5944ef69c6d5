"""Explain why a classifier said one class and not another, as pictures and arrays."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tf_ganmex.cli.common import (
    add_classifier_options,
    add_dataset_options,
    import_tensorflow,
    positive,
    read_classifier,
    read_dataset,
    say,
)
from tf_ganmex.errors import LabelError, OptionError

if TYPE_CHECKING:
    import numpy as np

    from tf_ganmex.classifier import Classifier
    from tf_ganmex.datasets import Dataset

EXAMPLES = """examples:
  ganmex explain model.keras photo.jpg --class-names apple orange --target orange --baseline my_ganmex/
  ganmex explain savedmodel/ a.png b.png --target 3 5 --baseline zero --method deeplift occlusion
  ganmex explain mnist.keras --dataset mnist --indices 0-4 17 --target all --baseline nearest

Writes METHOD_to_TARGET.png and .npz into --out, and with --target all a picture of every image against every class.
"""
DEFAULT_METHOD = "integrated_gradients"
METHODS = ("integrated_gradients", "expected_gradients", "deeplift", "deepshap", "occlusion", "gradient")
WITHOUT_DATA = ("zero", "maximum", "blurred")
FROM_DATA = ("nearest", "random")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command."""
    parser.add_argument("model", help="a .keras or .h5 file or a SavedModel directory")
    parser.add_argument("images", nargs="*", type=Path, help="image files")
    parser.add_argument(
        "--dataset", help="explain test images of this dataset; its training images serve the baselines"
    )
    parser.add_argument("--indices", nargs="+", metavar="I", help="which test images: 3 8 20-25 (default: the first 8)")
    parser.add_argument("--target", nargs="+", required=True, metavar="CLASS",
                        help="classes to compare with, by number or name, or all")  # fmt: skip
    parser.add_argument("--class-names", nargs="+", metavar="NAME", help="of the model's outputs, in their order")
    parser.add_argument("--origin", metavar="CLASS", help="the class to explain (default: what the classifier says)")
    parser.add_argument("--baseline", default="zero", metavar="B",
                        help=f"GANMEX directory, or {', '.join(WITHOUT_DATA + FROM_DATA)} (default: zero)")  # fmt: skip
    parser.add_argument("--method", nargs="+", default=[DEFAULT_METHOD], choices=METHODS, metavar="M",
                        help=f"{', '.join(METHODS)} (default: {DEFAULT_METHOD})")  # fmt: skip
    parser.add_argument(
        "--steps", type=positive, default=200, help="of integrated and expected gradients (default: 200)"
    )
    parser.add_argument("--rule", help="of integrated_gradients: midpoint, right, trapezoid, gauss-legendre")
    parser.add_argument("--rules", help="of deeplift: complete or deepexplain")
    parser.add_argument("--window", type=positive, help="of occlusion, in pixels")
    parser.add_argument(
        "--score", default="probability", choices=["probability", "logit"], help="(default: probability)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of random samples (default: 0)")
    parser.add_argument("--out", type=Path, default=Path("explanations"), metavar="DIR", help="(default: explanations)")
    add_dataset_options(parser)
    add_classifier_options(parser)


def run(options: argparse.Namespace) -> None:
    """Explains, writes, and prints what was found."""
    if options.images and options.indices:
        raise OptionError("Expected image files or --indices. Received: both. Leave one of them out.")
    if not options.images and not options.dataset:
        raise OptionError("Expected image files, or --dataset with --indices. Received: neither. Name what to explain.")
    import_tensorflow()
    data = read_dataset(options, options.dataset) if options.dataset else None
    clf = read_classifier(options, options.class_names, data.class_names if data else None)
    x, names = _images(options, clf, data)
    origin = clf.predict(x) if options.origin is None else [_class(clf, options.origin)] * len(x)
    targets = range(clf.num_classes) if options.target == ["all"] else [_class(clf, name) for name in options.target]
    maps: dict[str, dict[int, Any]] = {method: {} for method in options.method}
    for method in options.method:
        for target in targets:
            explanation = _explain(options, clf, data, x, origin, target, method)
            if explanation is not None:
                maps[method][target] = explanation
    if not any(maps.values()):
        raise LabelError("Expected a target other than the class of every image. Received: images of that class only.")
    if options.target == ["all"]:
        _write_target_grids(options, clf, x, names, origin, maps)


def _images(options: argparse.Namespace, clf: Classifier, data: Dataset | None) -> tuple[np.ndarray, list[str]]:
    """The images to explain in the classifier's value range, and a name for each."""
    import numpy as np

    from tf_ganmex.training import in_value_range

    if options.images:
        images = [_read_image(path, clf.input_shape) for path in options.images]
        return in_value_range(np.stack(images), clf.value_range), [path.stem for path in options.images]
    if data is None:
        raise OptionError("Expected --dataset with --indices. Received: no --dataset.")
    indices = _indices(options.indices or ["0-7"], len(data.x_test))
    return in_value_range(data.x_test[indices], clf.value_range), [f"test_{index}" for index in indices]


def _read_image(path: Path, shape: Sequence[int | None]) -> np.ndarray:
    import numpy as np

    from tf_ganmex.datasets.files import ImageFile
    from tf_ganmex.datasets.images import decode

    grayscale = None if shape[2] is None else shape[2] == 1
    pixels = decode(ImageFile(str(path), path.read_bytes), grayscale=grayscale)
    size = (shape[0] or pixels.shape[0], shape[1] or pixels.shape[1])
    if pixels.shape[:2] != size:
        say(f"{path}: {pixels.shape[0]} x {pixels.shape[1]} pixels, resized and cropped to {size[0]} x {size[1]}")
        pixels = decode(ImageFile(str(path), path.read_bytes), size=size, grayscale=grayscale)
    return pixels.astype(np.float32) / (255 if pixels.dtype == np.uint8 else 1)


def _indices(words: Sequence[str], count: int) -> list[int]:
    """``["3", "8-10"]`` as [3, 8, 9, 10]."""
    found: list[int] = []
    for word in words:
        first, _, last = word.partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise OptionError(f"Expected --indices as numbers and ranges such as 3 8-10. Received: {word!r}.")
        found.extend(range(int(first), int(last or first) + 1))
    beyond = [index for index in found if index >= count]
    if beyond or not found:
        raise OptionError(f"Expected --indices below {count}, the number of test images. Received: {beyond[:5]}.")
    return found


def _class(clf: Classifier, name: str) -> int:
    if name in clf.class_names:
        return clf.class_names.index(name)
    if name.isdigit() and int(name) < clf.num_classes:
        return int(name)
    known = ", ".join(clf.class_names[:20]) + (", ..." if clf.num_classes > 20 else "")
    raise LabelError(
        f"Expected a class by number (0 to {clf.num_classes - 1}) or name ({known}). Received: {name!r}. "
        "Give the model's class names with --class-names."
    )


def _explain(
    options: argparse.Namespace,
    clf: Classifier,
    data: Dataset | None,
    x: np.ndarray,
    origin: Any,
    target: int,
    method: str,
) -> Any:
    """One method against one target, for the images that are not of that class; None if there are none."""
    import numpy as np

    from tf_ganmex import plotting
    from tf_ganmex.explanation import explain

    chosen = np.flatnonzero(np.asarray(origin) != target)
    if len(chosen) < len(x) and options.target != ["all"]:
        name = clf.class_names[target]
        say(f"{len(x) - len(chosen)} of {len(x)} images are {name} already, and are not explained against {name}")
    if not chosen.size:
        return None
    baseline = _baseline(options, clf, data, method)
    explanation = explain(
        clf, x[chosen], target=target, origin=np.asarray(origin)[chosen], baseline=baseline, method=method,
        score=options.score, **_method_options(options, method),
    )  # fmt: skip
    stem = options.out / f"{method}_to_{clf.class_names[target].replace('/', '_').replace(' ', '_')}"
    explanation.save(stem)
    plotting.save_figure(explanation.plot(), stem.with_suffix(".png"))
    before = np.mean([row[c] for row, c in zip(explanation.scores_before, explanation.origin, strict=True)])
    print(f"{stem}.png .npz: {len(chosen)} images, {options.score} of the origin {before:.3f}", end="")
    if explanation.scores_after is not None:
        print(f", of the target for the baseline {explanation.scores_after[:, target].mean():.3f}", end="")
    print()
    return chosen, explanation


def _baseline(options: argparse.Namespace, clf: Classifier, data: Dataset | None, method: str) -> Any:
    from tf_ganmex import baselines
    from tf_ganmex.gan import load_ganmex
    from tf_ganmex.training import in_value_range

    if method == "gradient":
        return None
    if options.baseline in WITHOUT_DATA:
        return options.baseline
    if options.baseline not in FROM_DATA:
        if not Path(options.baseline).is_dir():
            raise OptionError(
                f"Expected --baseline to be a GANMEX directory or one of {', '.join(WITHOUT_DATA + FROM_DATA)}. "
                f"Received: {options.baseline!r}."
            )
        return load_ganmex(options.baseline, clf).generate
    if data is None:
        raise OptionError(f"Expected --dataset for the baseline {options.baseline!r}. Received: no --dataset.")
    x_train = in_value_range(data.x_train, clf.value_range)
    if options.baseline == "nearest":
        return baselines.nearest(x_train, data.y_train)
    return baselines.random_sample(x_train, data.y_train, seed=options.seed)


def _method_options(options: argparse.Namespace, method: str) -> dict[str, Any]:
    """The options of the command line that ``method`` takes."""
    taken = {
        "integrated_gradients": ("steps", "rule"),
        "expected_gradients": ("steps", "seed"),
        "deeplift": ("rules",),
        "occlusion": ("window",),
    }.get(method, ())
    return {name: getattr(options, name) for name in taken if getattr(options, name) is not None}


def _write_target_grids(
    options: argparse.Namespace,
    clf: Classifier,
    x: np.ndarray,
    names: Sequence[str],
    origin: Any,
    maps: dict[str, dict[int, Any]],
) -> None:
    """For every image a figure of its baselines and maps against all other classes (GANMEX, Figure 9)."""
    import numpy as np

    from tf_ganmex import plotting

    for row, name in enumerate(names):
        blank = np.zeros((clf.num_classes, *x.shape[1:]), np.float32)
        baselines, found = blank.copy(), {method: blank.copy() for method in maps}
        compared = any(e.baseline is not None for by_target in maps.values() for _, e in by_target.values())
        for method, by_target in maps.items():
            for target, (chosen, explanation) in by_target.items():
                position = np.flatnonzero(chosen == row)
                if position.size:
                    found[method][target] = explanation.attributions[position[0]]
                    if explanation.baseline is not None:
                        baselines[target] = explanation.baseline[position[0]]
        figure = plotting.plot_targets(
            x[row], int(origin[row]), baselines if compared else None, found, range(clf.num_classes),
            class_names=clf.class_names, value_range=clf.value_range,
        )  # fmt: skip
        print(plotting.save_figure(figure, options.out / f"targets_{name}.png"))
