"""Rows as Arrow has them, which is what LanceDB takes and gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from keras_similarity.databases.lance_expressions import field_of
from keras_similarity.stores.encoding import all_to_bytes, from_bytes
from keras_similarity.stores.rows import NewRows
from keras_similarity.types import NO_LABEL, Ints


def _types() -> dict[str, Any]:
    import pyarrow

    return {
        "bool": pyarrow.bool_(),
        "int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "timestamp": pyarrow.timestamp("us"),
        "string": pyarrow.string(),
        "binary": pyarrow.binary(),
    }


def type_names() -> dict[str, str]:
    """Arrow's name of a type -> ours, of those of metadata."""
    return {str(arrow): ours for ours, arrow in _types().items()}


def arrow_schema(dim: int, has_strings: bool, columns: Mapping[str, str]) -> Any:
    """The fields of a table with such metadata."""
    import pyarrow

    types = _types()
    fields = {
        "id": pyarrow.string() if has_strings else pyarrow.int64(),
        "vector": pyarrow.list_(pyarrow.float32(), dim),
        "label": pyarrow.int64(),
        "data": pyarrow.binary(),
        **{field_of(name): types[type_] for name, type_ in columns.items()},
    }
    return pyarrow.schema(list(fields.items()))


def as_arrow(new: NewRows, columns: Mapping[str, str]) -> Any:
    """Rows as a table with such metadata, those that `new` lacks missing."""
    import pyarrow

    count, dim = new.embeddings.shape
    schema = arrow_schema(dim, new.ids.dtype == object, columns)
    flat = pyarrow.array(np.ascontiguousarray(new.embeddings).reshape(-1))
    data = [None] * count if new.data is None else all_to_bytes(new.data)
    arrays = [
        pyarrow.array(new.ids, schema.field("id").type),
        pyarrow.FixedSizeListArray.from_arrays(flat, dim),
        pyarrow.array(new.labels, mask=new.labels == NO_LABEL),
        pyarrow.array(data, schema.field("data").type),
    ]
    for name in columns:
        type_ = schema.field(field_of(name)).type
        column = new.metadata.get(name)
        if column is None:
            arrays.append(pyarrow.nulls(count, type_))
        else:
            mask = ~column.is_present
            arrays.append(pyarrow.array(column.values, type_, mask=mask))
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def labels_of(table: Any) -> Ints:
    """Labels, int64, `types.NO_LABEL` where there is none."""
    return table["label"].fill_null(NO_LABEL).to_numpy()


def parts_in(
    table: Any, parts: Collection[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """The parts of each row, as `Database.fetch` gives them.

    Args:
        table: Has columns for all that is asked for.
        parts: Of `databases.table.PARTS`.
        names: Of the metadata.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(table.num_rows)]
    for part in parts:
        for row, value in zip(rows, _values(table, part, names), strict=True):
            row[part] = value
    return rows


def _values(table: Any, part: str, names: Sequence[str]) -> Any:
    if part == "vector":
        vectors = table["vector"].combine_chunks()
        flat = vectors.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(table.num_rows, -1) if table.num_rows else []
    if part == "label":
        return labels_of(table).tolist()
    if part == "data":
        return [from_bytes(content) for content in table["data"].to_pylist()]
    columns = {name: table[field_of(name)].to_pylist() for name in names}
    return [
        {name: values[row] for name, values in columns.items() if values[row] is not None}
        for row in range(table.num_rows)
    ]
