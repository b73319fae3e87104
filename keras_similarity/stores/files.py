"""Rows in files: embeddings raw, so that they can be mapped, the rest as arrays and JSON.

`embeddings.npy` holds float32 `[N, D]`, `store.npz` labels and all other columns that are
arrays, `data.json` the data and `details.json` ids and metadata that are text. Up to
0.1.0 the embeddings were in `store.npz`, and there were no details.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity.stores.columns import Column, missing
from keras_similarity.stores.encoding import decode, encode
from keras_similarity.stores.row_table import RowTable
from keras_similarity.types import Bools, Floats, Ids, Ints

EMBEDDINGS = "embeddings.npy"


@dataclass(frozen=True, eq=False)
class SavedRows:
    """Columns `[N]` of all rows, as they are saved.

    Attributes:
        embeddings: Float32 `[N, D]`; mapped where that was asked for.
        ids: Int64, or strings in an object array.
        next_id: The id of the next row.
        labels: Int64.
        is_live: Bool: False for those deleted.
        data: A list.
        metadata: Name -> column.
    """

    embeddings: Floats
    ids: Ids
    next_id: int
    labels: Ints
    is_live: Bools
    data: list[Any]
    metadata: dict[str, Column]

    def table(self) -> RowTable:
        """All but embeddings and data."""
        table = RowTable()
        if len(self.labels):
            table.append(self.ids, self.labels, self.metadata)
            table.hide(np.flatnonzero(~self.is_live))
        table.next_id = self.next_id
        return table


def write_rows(
    folder: Path,
    table: RowTable,
    embeddings: Iterable[Floats],
    data: list[Any],
    *,
    compression: bool,
) -> None:
    """Writes all rows of a table, with embeddings that come in blocks.

    Raises:
        TypeError: If some row's data cannot be saved.
    """
    # First: what makes the blocks may fill `data` on the way.
    _write_embeddings(folder / EMBEDDINGS, embeddings, len(table))
    text, arrays = encode(data)
    details, metadata_arrays = _encode_details(table)
    columns: dict[str, Any] = {
        "labels": table.columns["label"].values,
        "is_live": table.is_live,
        **metadata_arrays,
        **arrays,
    }
    write_arrays = np.savez_compressed if compression else np.savez
    write_arrays(folder / "store.npz", **columns)
    (folder / "data.json").write_text(json.dumps(text))
    (folder / "details.json").write_text(json.dumps(details))


def read_rows(folder: Path, *, mmap: bool = False) -> SavedRows:
    """What `write_rows` wrote.

    Raises:
        ValueError: If the columns do not fit each other.
    """
    with np.load(folder / "store.npz", allow_pickle=False) as file:
        arrays = dict(file)
    if (folder / EMBEDDINGS).exists():
        embeddings = np.load(
            folder / EMBEDDINGS, mmap_mode="r" if mmap else None, allow_pickle=False
        )
        embeddings = np.asarray(embeddings)  # Rows of a `memmap` would be such, too.
    else:
        embeddings = arrays.pop("embeddings")
    labels = arrays.pop("labels")
    is_live = arrays.pop("is_live", np.ones(len(labels), bool))
    details = None
    if (folder / "details.json").exists():  # Saved by 0.1.0, there are none.
        details = json.loads((folder / "details.json").read_text())
    ids, next_id, metadata = _decode_details(details, arrays, len(labels))
    data = decode(json.loads((folder / "data.json").read_text()), arrays)
    lengths = {len(column) for column in (embeddings, labels, data, is_live, ids)}
    lengths |= {len(column) for column in metadata.values()}
    if len(lengths) > 1:
        raise ValueError(
            "The columns of a saved store must be of one length. Received: "
            f"{len(embeddings)} embeddings, {len(labels)} labels, {len(data)} data."
        )
    return SavedRows(embeddings, ids, next_id, labels, is_live, data, metadata)


def _write_embeddings(path: Path, blocks: Iterable[Floats], rows: int) -> None:
    with path.open("wb") as file:
        written = 0
        for block in blocks:
            if not written:
                header = {
                    "descr": "<f4",
                    "fortran_order": False,
                    "shape": (rows, block.shape[1]),
                }
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(block, "<f4").data)
            written += len(block)
        if not written:
            np.save(file, np.zeros((0, 0), "<f4"))


def _encode_details(table: RowTable) -> tuple[dict[str, Any], dict[str, Any]]:
    """What arrays cannot say, as plain data, and arrays, of ids and metadata."""
    arrays: dict[str, Any] = {}
    plain: dict[str, Any] = {"next_id": table.next_id, "ids": None, "metadata": []}
    ids = table.all_ids
    if ids.dtype == object:
        plain["ids"] = ids.tolist()
    else:
        arrays["ids"] = ids
    columns = table.columns.items()
    metadata = [(name, column) for name, column in columns if name != "label"]
    for number, (name, column) in enumerate(metadata):
        saved: dict[str, Any] = {"name": name, "type": column.type, "values": None}
        if column.values.dtype == object:
            values = column.to_list()
            if column.type == "binary":
                values = [_as_text(value) for value in values]
            saved["values"] = values
        else:
            arrays[f"column {number}"] = column.values
        arrays[f"column {number} is present"] = column.is_present
        plain["metadata"].append(saved)
    return plain, arrays


def _as_text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode("ascii")


def _decode_details(
    plain: Mapping[str, Any] | None, arrays: dict[str, Any], rows: int
) -> tuple[Ids, int, dict[str, Column]]:
    """Ids, the next one, and metadata; takes its arrays out of `arrays`."""
    if plain is None:
        return np.arange(rows), rows, {}
    ids = arrays.pop("ids", None)
    if plain["ids"] is not None:
        ids = np.array(plain["ids"], object)
    metadata = {}
    for number, saved in enumerate(plain["metadata"]):
        is_present = arrays.pop(f"column {number} is present")
        values = arrays.pop(f"column {number}", None)
        if saved["values"] is not None:
            values = missing(saved["type"], len(saved["values"])).values
            for row, value in enumerate(saved["values"]):
                if value is not None and saved["type"] == "binary":
                    value = base64.b64decode(value)
                values[row] = value
        metadata[saved["name"]] = Column(saved["type"], values, is_present)
    return ids, plain["next_id"], metadata
