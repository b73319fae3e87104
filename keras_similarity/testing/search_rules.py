"""Does a search engine keep the rules?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from keras_similarity.search import Search
from keras_similarity.testing.checks import faults_of, raise_faults
from keras_similarity.testing.search_faults import CHECKS
from keras_similarity.testing.search_subject import DIM, SearchSubject

# Those that are tried where it is not said which an engine knows.
_DISTANCES = (
    "cosine",
    "euclidean",
    "squared_euclidean",
    "inner_product",
    "manhattan",
    "snr",
)


def find_search_faults(
    make: Callable[[str, int], Search],
    *,
    recall: float = 1.0,
    distances: Sequence[str] | None = None,
    rows: int = 2000,
    skip: Sequence[str] = (),
) -> dict[str, list[str]]:
    """What an engine does wrong: sentences, by the name of the check that found them.

    Args:
        make: As `check_search`. So are the other arguments.
        recall: What it has to find.
        distances: What it has to know.
        rows: How many embeddings it is given.
        skip: Names of checks to leave out.

    Returns:
        Empty if nothing was found.

    Raises:
        ValueError: If `skip` names no check, or an argument is out of its range.
    """
    if not 0 < recall <= 1 or rows < 1000:
        raise ValueError(
            "`recall` must be above 0, at most 1, and `rows` at least 1000. Received: "
            f"recall={recall}, rows={rows}."
        )
    known = list(_known(make)) if distances is None else list(distances)
    if not known:
        return {"distances": [f"it takes none of the distances {', '.join(_DISTANCES)}"]}
    subject = SearchSubject(make, recall, known, rows)
    return faults_of(CHECKS, skip, lambda _, check: check(subject))


def _known(make: Callable[[str, int], Search]) -> Iterator[str]:
    """The distances that an engine does not refuse."""
    for name in _DISTANCES:
        try:
            make(name, DIM)
        except ValueError:
            continue
        yield name


def check_search(
    make: Callable[[str, int], Search],
    *,
    recall: float = 1.0,
    distances: Sequence[str] | None = None,
    rows: int = 2000,
    skip: Sequence[str] = (),
) -> None:
    """Raises an `AssertionError` that says what an engine does wrong, if anything.

    For tests, of our engines and of your own; no framework is needed.

    - `distances`: neighbours are those of exact search, up to `recall`, at the distances
      that `distance(query, key)` gives, nearest first, none of them twice;
    - `batches`: a query gets as much alone as among others, in int64 and float32;
    - `short`: an empty engine, no queries, and `k` above the number of rows are answered
      with ids -1 and distances NaN;
    - `input`: integers, float64, and arrays in any memory order are what they hold;
    - `refused`: NaN, infinities, another width, bad ids and a bad `k` are errors, and
      nothing changes then;
    - `ids`: come back as they were given, above 2**53, and in any order;
    - `allowed`: only rows that may be found are, as many as there are, and with a recall
      not below that without a filter where 50, 10, 1 and 0.1 % of the rows may;
    - `growing`: rows that are added one by one, or later, are found;
    - `reset`: nothing is left, and ids are free again;
    - `files`: what is saved is loaded, mapped too, and goes on; another distance or width
      and truncated files are refused, and nothing changes then;
    - `config`: `get_config`, through JSON, makes an engine like it;
    - `threads`: lookups while rows are added are right.

    Args:
        make: `make(distance, dim)` gives an empty engine, for the name of a distance and
            an embedding size; it raises a `ValueError` for a distance that it lacks.
        recall: The share of the 10 nearest neighbours that it has to find, above 0; 1 for
            an exact engine.
        distances: Names of the distances that it has to know; by default those for which
            `make` does not raise.
        rows: How many embeddings it is given, at least 1,000. An engine that learns, or
            searches few rows exactly, should be made so that it does with these.
        skip: Names of checks to leave out, for an engine that means to break a rule.

    Raises:
        AssertionError: If a check found something.
        ValueError: If `skip` names no check, or an argument is out of its range.

    Example:
        >>> from keras_similarity.search import LinearSearch
        >>> from keras_similarity.testing import check_search
        >>> check_search(LinearSearch, distances=["cosine"], rows=1000)
    """
    found = find_search_faults(
        make, recall=recall, distances=distances, rows=rows, skip=skip
    )
    raise_faults("The engine", found, CHECKS)
