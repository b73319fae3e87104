"""What calibrating an index found: cutpoints, thresholds, and the metric used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_similarity import classification_metrics
from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.types import CalibrationResults

_FILE = "thresholds.npz"


@dataclass(frozen=True)
class Calibration:
    """The results of a calibration, in the units of the index' distance.

    Attributes:
        metric: The calibration metric.
        results: Cutpoints and thresholds.
    """

    metric: ClassificationMetric
    results: CalibrationResults

    @property
    def distances(self) -> dict[str, float]:
        """Name of each cutpoint -> the distance up to which a neighbour is a match."""
        return {name: cut["distance"] for name, cut in self._cutpoints()}

    def write(self, folder: Path) -> dict[str, Any]:
        """Puts the thresholds into a file; returns the rest as plain data."""
        columns = self.results.thresholds
        # By position: a metric's name may be no name of a file.
        np.savez(folder / _FILE, *(np.asarray(column) for column in columns.values()))
        return {
            "metric": classification_metrics.serialize(self.metric),
            "cutpoints": {name: dict(cut) for name, cut in self._cutpoints()},
            "columns": list(columns),
        }

    @classmethod
    def read(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """The calibration of which `write` returned `config`."""
        with np.load(folder / _FILE, allow_pickle=False) as file:
            columns = [file[f"arr_{place}"] for place in range(len(config["columns"]))]
        return cls(
            metric=classification_metrics.deserialize(config["metric"]),
            results=CalibrationResults(
                cutpoints=config["cutpoints"],
                thresholds=dict(zip(config["columns"], columns, strict=True)),
            ),
        )

    def table(self, rounding: int) -> str:
        """The cutpoints as a text table, numbers rounded to `rounding` digits."""
        cutpoints = [cut for _, cut in self._cutpoints()]
        names = list(dict.fromkeys(key for cut in cutpoints for key in cut))
        rows = [names]
        for cut in cutpoints:
            rows.append([_cell(name, cut.get(name), rounding) for name in names])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, ["-" * width for width in widths])
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        )

    def _cutpoints(self) -> list[tuple[str, Mapping[str, Any]]]:
        return list(self.results.cutpoints.items())


def negated(results: CalibrationResults) -> CalibrationResults:
    """Results on costs as results on the similarity, whose sign costs turn around."""
    return replace(
        results,
        cutpoints={
            name: {**cut, "distance": -cut["distance"]}
            for name, cut in results.cutpoints.items()
        },
        thresholds={
            **results.thresholds,
            "distance": -np.asarray(results.thresholds["distance"]),
        },
    )


def _cell(name: str, value: Any, rounding: int) -> str:
    if not isinstance(value, float):
        return str(value)
    # Distances have no scale of their own.
    return f"{value:.4g}" if name == "distance" else f"{value:.{rounding}f}"
