"""Does a store keep the rules?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras_similarity.stores import Store
from keras_similarity.testing.checks import faults_of, raise_faults
from keras_similarity.testing.store_faults import CHECKS


def find_store_faults(
    make: Callable[[], Store], *, skip: Sequence[str] = ()
) -> dict[str, list[str]]:
    """What a store does wrong: sentences, by the name of the check that found them.

    Args:
        make: Makes an empty store; each time another one, in a place of its own.
        skip: Names of checks to leave out, for a store that means to break a rule.

    Returns:
        Empty if nothing was found.

    Raises:
        ValueError: If `skip` names no check.
    """
    return faults_of(CHECKS, skip, lambda _, check: check(make))


def check_store(make: Callable[[], Store], *, skip: Sequence[str] = ()) -> None:
    """Raises an `AssertionError` that says what a store does wrong, if anything.

    For tests, of our stores and of your own; needs no framework.

    - `add`: rows come back by id and by number, in the order that was asked for;
    - `ids`: integers up to the edge of int64 and strings are told apart, count on, and
      are free again when their row is deleted;
    - `labels`: labels up to 2**62, negative ones and missing ones come back;
    - `data`: so does data of all kinds, with its types;
    - `metadata`: so do columns of the six types, missing values, NaN, columns that come
      late or stay away;
    - `filter`: conditions find the rows of which they are true;
    - `delete`: deleted rows are hidden, and `keep` drops them and numbers the rest anew;
    - `update`: label, data and metadata change, and nothing else does;
    - `upsert`: `prepare` and `commit` replace rows;
    - `reset`: nothing is left, and rows of another size may come;
    - `errors`: what is refused changes nothing;
    - `readers`: what was taken before a change answers as it was then; the `reader` of a
      store that lives elsewhere may raise a `RuntimeError` for rows that were dropped;
    - `save`: saved (by copy) and loaded, a store is the same, and goes on;
    - `reopen`: a store that lives elsewhere is there again, made from its config;
    - `threads`: while one thread writes, others find whole rows;
    - `config`: `get_config`, through JSON, makes such a store.

    Args:
        make: As `find_store_faults`; so is `skip`.
        skip: Names of checks to leave out.

    Raises:
        AssertionError: If a check found something.
        ValueError: If `skip` names no check.

    Example:
        >>> from keras_similarity.stores import MemoryStore
        >>> from keras_similarity.testing import check_store
        >>> check_store(MemoryStore)
    """
    found = find_store_faults(make, skip=skip)
    raise_faults("The store", found, CHECKS)
