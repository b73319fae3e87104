"""What can be wrong with a search engine: one check each."""

from __future__ import annotations

import itertools
import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from keras_similarity import search
from keras_similarity.persistence import files_in
from keras_similarity.search import Search
from keras_similarity.testing.search_subject import DIM, K, SearchSubject, recall_of
from keras_similarity.types import NO_ID, Floats, Ints

Check = Callable[[SearchSubject], Iterator[str]]

#: What each check is called, in the order in which they run.
CHECKS: dict[str, Check] = {}

# Two float32 computations of one distance.
_SAME = 1e-3
# The share of rows that may be found, and what recall may differ by chance.
_SHARES = (0.5, 0.1, 0.01, 0.001)
_CHANCE = 0.02
# How bad arguments are refused.
_REFUSALS = (ValueError, TypeError)


def check(name: str) -> Callable[[Check], Check]:
    """Registers a check, which yields a sentence for each fault that it finds."""

    def add(function: Check) -> Check:
        CHECKS[name] = function
        return function

    return add


@check("distances")
def neighbours_are_the_nearest(subject: SearchSubject) -> Iterator[str]:
    """Neighbours and distances are those of exact search, up to the recall."""
    for name in subject.distances:
        ids, found = subject.filled(name).batch_lookup(subject.queries, K)
        wrong = _wrong_distances(subject, name, subject.queries, ids, found)
        if wrong:
            yield f"{name}: {wrong}"
            continue
        recall = recall_of(ids, subject.expected(name)[0])
        if recall < subject.recall - (1e-3 if subject.recall == 1 else 0):
            yield (
                f"{name}: it finds {recall:.3f} of the {K} nearest neighbours, below the "
                f"stated {subject.recall:g}: does it compare by another metric?"
            )


@check("batches")
def a_query_gets_as_much_alone(subject: SearchSubject) -> Iterator[str]:
    """Shapes and dtypes are as promised, also for a batch of one."""
    engine = subject.filled()
    ids, found = engine.batch_lookup(subject.queries, K)
    if ids.dtype != np.int64 or found.dtype != np.float32:
        yield (
            f"ids and distances are {ids.dtype} and {found.dtype}, not int64 and float32"
        )
    if ids.shape != (len(subject.queries), K) or found.shape != ids.shape:
        yield f"ids and distances are {ids.shape} and {found.shape}, not [Q, k]"
        return
    alone = [engine.lookup(query, K)[0] for query in subject.queries]
    if any(row.shape != (K,) for row in alone):
        yield f"`lookup` gives ids {alone[0].shape}, not ({K},)"
    elif recall_of(np.stack(alone), ids) < subject.recall - _CHANCE:
        yield "a query finds other neighbours alone than in a batch"


@check("short")
def too_few_rows_are_padded(subject: SearchSubject) -> Iterator[str]:
    """Where there is less than was asked for, ids are -1 and distances NaN."""
    for rows in (0, 1, 3):
        engine = subject.make(subject.distances[0], DIM)
        if rows:
            engine.batch_add(subject.embeddings[:rows], subject.ids[:rows], verbose=0)
        ids, found = engine.batch_lookup(subject.queries, K)
        is_missing = np.broadcast_to(np.arange(K) >= rows, ids.shape)
        if not np.array_equal(ids == NO_ID, is_missing):
            yield f"with {rows} rows and k={K} there are not {rows} ids and then -1"
        elif not np.array_equal(np.isnan(found), is_missing):
            yield f"with {rows} rows and k={K} a missing distance is not NaN"
        elif engine.size() != rows or engine.is_built() != (rows > 0):
            yield f"with {rows} rows `size` is {engine.size()}"
    engine = subject.filled()
    if engine.batch_lookup(subject.queries[:0], K)[0].shape != (0, K):
        yield "no queries are not answered with no rows"
    ids, _ = engine.batch_lookup(subject.queries[:2], subject.rows + 5)
    if ((ids != NO_ID).sum(axis=1) != subject.rows).any():
        yield "with `k` above the number of rows, not all rows are found"


@check("input")
def arrays_are_what_they_hold(subject: SearchSubject) -> Iterator[str]:
    """Dtype and memory order of what comes in change nothing."""
    whole = np.rint(subject.embeddings * 8)
    spread = np.zeros((len(whole), 2 * DIM), "float32")
    spread[:, ::2] = whole
    forms: dict[str, Any] = {
        "integers": whole.astype("int64"),
        "float64": whole.astype("float64"),
        "an array in Fortran order": np.asfortranarray(whole),
        "an array with strides": spread[:, ::2],
    }
    exact = SearchSubject(subject.make, subject.recall, subject.distances, subject.rows)
    exact.embeddings = whole
    queries = exact.queries = np.rint(subject.queries * 8)
    # By distances: whole numbers lie at the same distance often.
    farthest = exact.distance().to_cost(exact.expected()[1][:, -1:])
    for what, embeddings in forms.items():
        engine = subject.make(subject.distances[0], DIM)
        engine.batch_add(embeddings, subject.ids, verbose=0)
        turned = np.asfortranarray(queries) if "order" in what else queries
        costs = engine.distance.to_cost(engine.batch_lookup(turned, K)[1])
        is_near = costs <= farthest + _SAME * (1 + np.abs(farthest))
        if is_near.mean() < subject.recall - 2 * _CHANCE:
            yield f"{what} are not taken for what they hold"


@check("refused")
def bad_input_is_refused(subject: SearchSubject) -> Iterator[str]:
    """What cannot be searched is an error, before anything has changed."""
    good = subject.embeddings[:2]
    new = np.array([subject.rows, subject.rows + 1])
    nan, infinite = good.copy(), good.copy()
    nan[1, 3], infinite[1, 3] = np.nan, np.inf
    engine = subject.filled()
    before = engine.batch_lookup(subject.queries, K)[0]
    adding: dict[str, tuple[Any, Any]] = {
        "a NaN": (nan, new),
        "an infinity": (infinite, new),
        "rows of another width": (np.ones((2, DIM + 1)), new),
        "an id that is used already": (good, [subject.rows, 0]),
        "one id twice": (good, [subject.rows, subject.rows]),
        "a negative id": (good, [subject.rows, -2]),
        "too few ids": (good, new[:1]),
    }
    for what, (embeddings, ids) in adding.items():
        if not _refuses(engine.batch_add, embeddings, ids, verbose=0):
            yield (
                f"`batch_add` does not refuse {what} with a ValueError or TypeError: "
                "leave checks to the base class"
            )
    looking = {
        "a NaN": (nan, K),
        "an infinity": (infinite, K),
        "queries of another width": (np.ones((2, DIM - 1)), K),
        "k=0": (good, 0),
    }
    for what, (queries, k) in looking.items():
        if not _refuses(engine.batch_lookup, queries, k):
            yield f"`batch_lookup` does not refuse {what} with a ValueError or TypeError"
    after = engine.batch_lookup(subject.queries, K)[0]
    if engine.size() != subject.rows:
        yield f"what was refused is counted: `size` is {engine.size()}"
    elif not np.array_equal(before, after):
        yield "what was refused has changed later answers"


@check("ids")
def ids_come_back(subject: SearchSubject) -> Iterator[str]:
    """Ids are the caller's, however large and in whatever order."""
    random = np.random.default_rng(0)
    ids = random.permutation(subject.rows) * 3 + 2**62
    engine = subject.make(subject.distances[0], DIM)
    half = subject.rows // 2
    engine.batch_add(subject.embeddings[:half], ids[:half], verbose=0)
    engine.batch_add(subject.embeddings[half:], ids[half:], verbose=0)
    found = engine.batch_lookup(subject.queries, K)[0]
    recall = recall_of(found, ids[subject.expected()[0]])
    if recall < subject.recall - _CHANCE:
        yield f"of ids above 2**62, in no order, {recall:.3f} are found"


@check("allowed")
def only_allowed_rows_are_found(subject: SearchSubject) -> Iterator[str]:
    """A filter is kept to, and costs no recall."""
    random = np.random.default_rng(0)
    name = subject.distances[0]
    engine = subject.filled(name)
    unfiltered = recall_of(
        engine.batch_lookup(subject.queries, K)[0], subject.expected(name)[0]
    )
    for share in _SHARES:
        allowed = np.zeros(subject.rows, bool)
        count = max(int(share * subject.rows), 1)
        allowed[random.choice(subject.rows, count, replace=False)] = True
        ids, found = engine.batch_lookup(subject.queries, K, allowed=allowed)
        if (ids[ids != NO_ID] >= subject.rows).any() or not allowed[ids[ids >= 0]].all():
            yield f"with {share:.1%} of the rows allowed, others are found"
            continue
        wrong = _wrong_distances(subject, name, subject.queries, ids, found)
        expected = subject.expected(name, allowed=allowed)[0]
        recall = recall_of(ids, expected)
        if wrong:
            yield f"with {share:.1%} of the rows allowed, {wrong}"
        elif ((ids != NO_ID).sum(axis=1) < min(K, count)).any():
            yield f"with {share:.1%} of the rows allowed, a query gets too few of them"
        elif recall < unfiltered - _CHANCE:
            yield (
                f"with {share:.1%} of the rows allowed, recall is {recall:.3f}, below "
                f"{unfiltered:.3f} without a filter: search few rows exactly"
            )
    none = engine.batch_lookup(subject.queries, K, allowed=np.zeros(subject.rows, bool))
    if (none[0] != NO_ID).any() or not np.isnan(none[1]).all():
        yield "with no row allowed, something is found"


@check("growing")
def later_rows_are_found(subject: SearchSubject) -> Iterator[str]:
    """Rows that come later, in one piece or one by one, are found like the others."""
    engine = subject.make(subject.distances[0], DIM)
    cuts = [0, subject.rows * 3 // 4, *range(subject.rows - 20, subject.rows + 1)]
    for start, end in itertools.pairwise(cuts):
        rows = slice(start, end)
        engine.batch_add(subject.embeddings[rows], subject.ids[rows], verbose=0)
    found = engine.batch_lookup(subject.queries, K)[0]
    recall = recall_of(found, subject.expected()[0])
    if recall < subject.recall - _CHANCE:
        yield f"of an engine that was filled bit by bit, recall is {recall:.3f}"
    newest = slice(subject.rows - 20, subject.rows)
    own = engine.batch_lookup(subject.embeddings[newest], K)[0]
    missed = 20 - int((own == subject.ids[newest, None]).any(axis=1).sum())
    # The nearest by inner product need not be the row itself.
    if missed > 20 * (1 - subject.recall) + 1 and not engine.distance.is_similarity:
        yield f"{missed} of the 20 newest rows do not find themselves"


@check("reset")
def nothing_is_left_after_reset(subject: SearchSubject) -> Iterator[str]:
    """A reset engine is like a new one."""
    engine = subject.filled()
    engine.reset()
    ids, _ = engine.batch_lookup(subject.queries, K)
    if engine.size() or (ids != NO_ID).any():
        yield f"after `reset`, `size` is {engine.size()} and rows are found"
    engine.batch_add(subject.embeddings, subject.ids, verbose=0)
    recall = recall_of(engine.batch_lookup(subject.queries, K)[0], subject.expected()[0])
    if recall < subject.recall - _CHANCE:
        yield f"filled again after `reset`, it finds {recall:.3f} of the neighbours"


@check("files")
def saved_engines_are_loaded(subject: SearchSubject) -> Iterator[str]:
    """Files hold the engine, whole, and are refused where they do not."""
    name = subject.distances[0]
    engine = subject.filled(name)
    expected = engine.batch_lookup(subject.queries, K)
    with tempfile.TemporaryDirectory() as folder:
        engine.save(Path(folder, "saved"))
        loaded = subject.make(name, DIM)
        loaded.batch_add(subject.embeddings[:5], subject.ids[:5], verbose=0)
        loaded.load(Path(folder, "saved"))
        yield from _goes_on(subject, loaded, expected, "loaded")
        other = subject.make(name, DIM + 16)
        if not _refuses(other.load, Path(folder, "saved")):
            yield "files of another embedding size are loaded"
        files = Path(folder, "files")
        files.mkdir()
        engine.write(files)
        mapped = subject.make(name, DIM)
        mapped.read(files, mmap=True)
        yield from _goes_on(subject, mapped, expected, "mapped")
        for file in files_in(files):
            content = file.read_bytes()
            file.write_bytes(content[: len(content) // 2])
            if not _refuses(subject.make(name, DIM).read, files, errors=Exception):
                yield f"half of the file {file.name} is read as if it were all"
            file.write_bytes(content)


def _goes_on(
    subject: SearchSubject, engine: Search, expected: tuple[Ints, Floats], how: str
) -> Iterator[str]:
    ids, found = engine.batch_lookup(subject.queries, K)
    is_same = (ids == expected[0]).mean() >= 1 - _CHANCE
    if engine.size() != subject.rows or not is_same:
        yield f"a {how} engine gives other answers than the one that was saved"
    elif not np.allclose(found, expected[1], rtol=_SAME, atol=_SAME, equal_nan=True) and (
        np.array_equal(ids, expected[0])
    ):
        yield f"a {how} engine gives other distances than the one that was saved"
    if not _refuses(engine.add, subject.embeddings[0], 0):
        yield f"a {how} engine takes an id that was used before it was saved"
    engine.add(subject.embeddings[7], subject.rows + 9)
    ids = engine.batch_lookup(subject.embeddings[7:8], subject.rows + 1)[0]
    if subject.rows + 9 not in ids:
        yield f"a {how} engine does not find a row that is added to it"


@check("config")
def the_config_makes_it_again(subject: SearchSubject) -> Iterator[str]:
    """The config is plain data, and the engine made of it is empty and alike."""
    engine = subject.filled()
    try:
        config = json.loads(json.dumps(engine.get_config()))
    except TypeError as error:
        yield f"`get_config` is not plain data ({error})"
        return
    again = type(engine).from_config(config)
    if again.size():
        yield "the engine made of the config is not empty"
    if again.get_config() != engine.get_config():
        yield "the engine made of the config has another config: is an argument lost?"
    if not search.base.is_same_distance(again.distance, engine.distance):
        yield "the engine made of the config has another distance"


@check("threads")
def lookups_run_while_rows_are_added(subject: SearchSubject) -> Iterator[str]:
    """Answers of other threads are right at any moment."""
    name, half = subject.distances[0], subject.rows // 2
    engine = subject.make(name, DIM)
    engine.batch_add(subject.embeddings[:half], subject.ids[:half], verbose=0)
    is_done = threading.Event()
    faults: list[str] = []

    def look() -> None:
        try:
            while not is_done.is_set() and not faults:
                ids, found = engine.batch_lookup(subject.queries, K)
                wrong = _wrong_distances(subject, name, subject.queries, ids, found)
                wrong = "there are too few" if (ids == NO_ID).any() else wrong
                if wrong:
                    faults.append(f"of lookups while rows are added, {wrong}")
        except Exception as error:
            faults.append(f"a lookup while rows are added fails ({error!r})")

    readers = [threading.Thread(target=look, daemon=True) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for start in range(half, subject.rows, 50):
            rows = slice(start, start + 50)
            engine.batch_add(subject.embeddings[rows], subject.ids[rows], verbose=0)
    finally:
        is_done.set()
        for reader in readers:
            reader.join()
    yield from faults[:1]
    recall = recall_of(engine.batch_lookup(subject.queries, K)[0], subject.expected()[0])
    if recall < subject.recall - _CHANCE:
        yield f"filled while it was searched, it finds {recall:.3f} of the neighbours"


def _wrong_distances(
    subject: SearchSubject, name: str, queries: Floats, ids: Ints, found: Floats
) -> str:
    """What is wrong with an answer, whoever was found; nothing if it is empty."""
    distance = subject.distance(name)
    is_found = ids != NO_ID
    if not np.array_equal(is_found, ~np.isnan(found)):
        return "ids and distances are not missing in the same places"
    if ids.max(initial=0) >= subject.rows or ids.min(initial=0) < NO_ID:
        return "an id is found that was never added"
    if any(len(np.unique(row[row >= 0])) < (row >= 0).sum() for row in ids):
        return "an id is found twice by one query"
    rows = np.broadcast_to(np.arange(len(queries))[:, None], ids.shape)[is_found]
    expected = distance.paired(queries[rows], subject.embeddings[ids[is_found]])
    if not np.allclose(found[is_found], expected, rtol=_SAME, atol=_SAME):
        worst = int(np.argmax(np.abs(found[is_found] - expected)))
        return (
            f"a distance is {found[is_found][worst]:.4g} where `distance(query, key)` is "
            f"{float(expected[worst]):.4g}: is it squared, negated, or of a code?"
        )
    costs = np.where(is_found, distance.to_cost(found), np.inf)
    if (costs[:, 1:] < costs[:, :-1]).any():
        return "the nearest do not come first"
    return ""


def _refuses(
    action: Callable[..., Any], *args: Any, errors: Any = _REFUSALS, **kwargs: Any
) -> bool:
    """Does it raise an error that says that the arguments are bad?"""
    try:
        action(*args, **kwargs)
    except errors:
        return True
    except Exception:  # Of something that went wrong further on.
        return False
    return False
