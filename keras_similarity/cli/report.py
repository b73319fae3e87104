"""The demo's figures, its table and its example queries."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.backend import import_optional
from keras_similarity.cli.judge import Verdict
from keras_similarity.cli.split import Split
from keras_similarity.datasets import Dataset
from keras_similarity.visualization import (
    plot_calibration,
    plot_confusion,
    plot_neighbors,
    plot_projection,
)

_DPI = 130
_NEIGHBORS = 6
_CONFUSED_CLASSES = 20
_PROJECTED = 1500


def make_table(values: Mapping[str, Any]) -> str:
    """The values of a verdict as text: one line each, and what it means."""
    rows = [
        ("recall@1", f"{values['recall@1']:.3f}", "the nearest picture is right"),
        ("recall@5", f"{values['recall@5']:.3f}", "one of the 5 nearest is right"),
        ("map@R", f"{values['map@R']:.3f}", "1: all pictures of the class come first"),
        ("threshold", f"{values['threshold']:.4f}", "calibrated: up to here, a match"),
        ("precision", f"{values['precision']:.3f}", "share of the matches that is right"),
        ("recall", f"{values['recall']:.3f}", "share of the right ones that matches"),
        ("F1", f"{values['f1']:.3f}", "of precision and recall"),
        ("index size", f"{values['index_size']:,}", "pictures"),
        ("lookups", f"{values['lookups_per_second']:,.0f}", "pictures a second"),
    ]
    title = f"{values['unseen_classes']:,} unseen classes, {values['queries']:,} queries"
    if values["stranger_queries"]:
        title += f"; for matches {values['stranger_queries']:,} more, of other classes"
    lines = [f"  {name:<11}{value:>9}   {meaning}" for name, value, meaning in rows]
    rule = "-" * max(len(line) for line in (title, *lines))
    return "\n".join([title, rule, *lines, rule])


def draw_figures(
    folder: Path, model: Any, dataset: Dataset, split: Split, verdict: Verdict, seed: int
) -> None:
    """Draws the demo's four figures into a folder."""
    random = np.random.default_rng(seed)
    figures = {
        "neighbors": _draw_neighbors(model, dataset, split, verdict, random),
        "calibration": plot_calibration(
            verdict.calibration, distance_name="cosine distance"
        ),
        "confusion_matrix": _draw_confusion(model, dataset, split),
        "projection": _draw_projection(model, dataset, split, random),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=_DPI)


def write_queries(
    folder: Path, dataset: Dataset, split: Split, seed: int
) -> list[dict[str, str]]:
    """Writes query pictures to try, and returns the file and the class of each."""
    pillow = import_optional("PIL.Image", extra="cli", needed_by="ksim demo")
    random = np.random.default_rng(seed)
    folder.mkdir()
    written = []
    for kind, rows, number in (
        ("known", split.evaluation, 4),
        ("stranger", split.evaluation_strangers, 2),
    ):
        chosen = random.permutation(rows)[:number]
        for place, row in enumerate(chosen.tolist(), start=1):
            pixels = dataset.preprocessing.to_pixels(dataset.x_test[row])
            name = f"{kind}-{place}.png"
            picture = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
            pillow.fromarray(picture).save(folder / name)
            label = dataset.class_names[int(dataset.y_test[row])]
            written.append({"file": f"{folder.name}/{name}", "class": label})
    return written


def _draw_neighbors(
    model: Any, dataset: Dataset, split: Split, verdict: Verdict, random: Any
) -> Any:
    """Random queries, the last rows those that found a wrong picture first."""
    queries = random.permutation(split.evaluation)
    labels = dataset.y_test[queries]
    k = min(_NEIGHBORS, model.index_size())
    lookups = model.lookup(dataset.x_test[queries], k=k, verbose=0)
    is_right = lookups.labels[:, 0] == labels
    wrong = np.flatnonzero(~is_right)[:3]
    right = np.flatnonzero(is_right)[: 8 - len(wrong)]
    chosen = [*right.tolist(), *wrong.tolist()]
    title = "Pictures of classes never seen in training, and their nearest neighbours"
    if len(wrong):
        title += (
            f"\n(random: {len(right)} that found their class first, "
            f"then {len(wrong)} that did not)"
        )
    return plot_neighbors(
        list(dataset.preprocessing.to_pixels(dataset.x_test[queries[chosen]])),
        labels[chosen],
        [lookups[row] for row in chosen],
        dataset.class_names,
        threshold=verdict.values["threshold"],
        title=title,
    )


def _draw_confusion(model: Any, dataset: Dataset, split: Split) -> Any:
    y_true = dataset.y_test[split.evaluation]
    y_pred = np.asarray(model.match(dataset.x_test[split.evaluation]))
    total = len(np.unique(y_true))
    which = f"{total}"
    if total > _CONFUSED_CLASSES:
        which = f"{_CONFUSED_CLASSES} most confused of {total}"
    return plot_confusion(
        y_pred,
        y_true,
        dataset.class_names,
        max_classes=_CONFUSED_CLASSES,
        title=f"Matches of the {which} unseen classes",
    )


def _draw_projection(model: Any, dataset: Dataset, split: Split, random: Any) -> Any:
    """Up to `_PROJECTED` pictures; the twelve largest classes have names."""
    rows = np.concatenate([split.index, split.evaluation])
    if len(rows) > _PROJECTED:
        # Whole classes: a tenth of each would leave little to see.
        labels = dataset.y_test[rows]
        order = random.permutation(np.unique(labels))
        rank = np.empty(int(order.max()) + 1, "int64")
        rank[order] = np.arange(len(order))
        rows = rows[np.argsort(rank[labels], kind="stable")[:_PROJECTED]]
    axes = plot_projection(
        model.embed(dataset.x_test[rows]),
        dataset.y_test[rows],
        dataset.class_names,
        method="tsne",
        title="Pictures of unseen classes by their embeddings, in two dimensions (t-SNE)",
    )
    return axes.figure
