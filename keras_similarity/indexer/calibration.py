"""What calibrating an index found: cutpoints, thresholds, and the metric used."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from keras_similarity import classification_metrics
from keras_similarity.classification_metrics import ClassificationMetric
from keras_similarity.evaluators.calibration import TARGET_FAR
from keras_similarity.types import CalibrationResults, FalseAccepts

logger = logging.getLogger(__name__)

_FILE = "thresholds.npz"


@dataclass(frozen=True)
class Calibration:
    """The results of a calibration, in the units of the index' distance.

    Attributes:
        metric: The calibration metric.
        results: Cutpoints and thresholds.
        made_with: The `matcher` (as text), `k`, and how many `examples` the index had;
            empty for one that an earlier version saved.
    """

    metric: ClassificationMetric
    results: CalibrationResults
    made_with: Mapping[str, Any] = field(default_factory=dict)

    @property
    def distances(self) -> dict[str, float]:
        """Name of each cutpoint -> the distance up to which a neighbour is a match."""
        return {name: cut["distance"] for name, cut in self._cutpoints()}

    def offsets_of(self, cutpoint: str) -> Mapping[int, float]:
        """Label -> what its distance is above that of a cutpoint."""
        return {} if cutpoint == TARGET_FAR else self.results.class_offsets

    def cutpoints_by_offsets(self) -> list[tuple[Mapping[int, float], list[str]]]:
        """Offsets of classes, and the names of the cutpoints that they go with."""
        names: dict[bool, list[str]] = {False: [], True: []}
        for name in self.distances:
            names[name == TARGET_FAR].append(name)
        return [(self.offsets_of(group[0]), group) for group in names.values() if group]

    def write(self, folder: Path) -> dict[str, Any]:
        """Puts the thresholds into a file; returns the rest as plain data."""
        columns, promise = self.results.thresholds, self.results.false_accepts
        offsets = self.results.class_offsets
        np.savez(
            folder / _FILE,
            # By position: a metric's name may be no name of a file.
            *(np.asarray(column) for column in columns.values()),
            offset_labels=np.array(list(offsets), "int64"),
            offsets=np.array(list(offsets.values()), "float64"),
        )
        return {
            "metric": classification_metrics.serialize(self.metric),
            "cutpoints": {name: dict(cut) for name, cut in self._cutpoints()},
            "cutpoint_names": list(self.results.cutpoints),  # Their order.
            "columns": list(columns),
            "false_accepts": asdict(promise) if promise else None,
            "made_with": dict(self.made_with),
        }

    @classmethod
    def read(cls, folder: Path, config: Mapping[str, Any]) -> Self:
        """The calibration of which `write` returned `config`."""
        with np.load(folder / _FILE, allow_pickle=False) as file:
            columns = [file[f"arr_{place}"] for place in range(len(config["columns"]))]
            offsets = _saved_offsets(file)
        promise = config.get("false_accepts")
        return cls(
            metric=classification_metrics.deserialize(config["metric"]),
            results=CalibrationResults(
                cutpoints=_in_order(config),
                thresholds=dict(zip(config["columns"], columns, strict=True)),
                false_accepts=FalseAccepts(**promise) if promise else None,
                class_offsets=offsets,
            ),
            made_with=config.get("made_with", {}),
        )

    def warn_unless_made_with(self, matcher: str, k: int) -> None:
        """Logs if the false-accept rate was promised for another matcher or `k`."""
        made = self.made_with
        if self.results.false_accepts and (made["matcher"], made["k"]) != (matcher, k):
            logger.warning(
                "The cutpoint %r keeps its rate of false accepts with %s and k=%d, not "
                "with %s and k=%d.",
                *(TARGET_FAR, made["matcher"], made["k"], matcher, k),
            )

    def text(self, rounding: int) -> str:
        """`table`, and what there is to say of classes and of false accepts."""
        lines = [self.table(rounding)]
        offsets = self.results.class_offsets
        if offsets:
            least, most = min(offsets.values()), max(offsets.values())
            lines.append(
                f"Thresholds of {len(offsets):,} classes: {least:+.4g} to {most:+.4g}."
            )
        if self.results.false_accepts:
            lines.append(str(self.results.false_accepts))
        return "\n".join(lines)

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


def _in_order(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Cutpoints and their values in the order that they had when they were saved."""
    cutpoints = config["cutpoints"]
    names = config.get("cutpoint_names", cutpoints)
    places = {key: place for place, key in enumerate(("name", *config["columns"]))}
    return {
        # Those of another evaluator, which are no columns, at the end.
        name: dict(
            sorted(cutpoints[name].items(), key=lambda c: places.get(c[0], len(places)))
        )
        for name in names
    }


def _saved_offsets(file: Mapping[str, Any]) -> dict[int, float]:
    if "offsets" not in file:  # Saved by an earlier version.
        return {}
    labels, offsets = file["offset_labels"].tolist(), file["offsets"].tolist()
    return dict(zip(labels, offsets, strict=True))


def negated(results: CalibrationResults) -> CalibrationResults:
    """Results on costs as results on the similarity, whose sign costs turn around."""
    return replace(
        results,
        cutpoints={
            name: {**cut, "distance": -cut["distance"]}
            for name, cut in results.cutpoints.items()
        },
        class_offsets={k: -offset for k, offset in results.class_offsets.items()},
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
