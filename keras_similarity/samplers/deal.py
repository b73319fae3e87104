"""Dealing things out in hands, as cards: all of them once, before any comes again."""

from __future__ import annotations

import numpy as np

from keras_similarity.samplers.random_order import Keys, make_keys, random_order
from keras_similarity.types import Ints


def deal(turns: Ints, sizes: Ints, hand: int, keys: Keys) -> Ints:
    """The hands that come up in given turns, of several decks at once.

    The `size` things of a deck come one after another in a random order, then in a new
    one, and so on; each turn takes the next `hand` of them. So nothing comes again
    before all have come. Any turn is computed by itself.

    A hand that holds the end of one order and the beginning of the next could hold a
    thing twice. Which of two rules prevents that depends on the room there is:

    - `size >= 2 * hand - 1`: among the first `hand` things of the new order, those that
      stand at the end of the old one step behind the others.
    - `hand <= size < 2 * hand - 1`: the order stays the same until one of its ends is
      the end of a hand too (after `hand` passes at most), and then changes.

    Where `size < hand` a hand must hold things twice; they come pass after pass.

    Args:
        turns: Int `[R]`, the turn of each deck, from 0.
        sizes: Int `[R]`, the number of things in each deck.
        hand: How many things a turn takes.
        keys: `[R]`, name the sequence of orders of each deck.

    Returns:
        Int64 `[R, hand]`, each from 0 to `size - 1`.
    """
    slots = turns[:, None] * hand + np.arange(hand)
    passes, places = np.divmod(slots, sizes[:, None])
    has_little_room = (hand <= sizes) & (sizes < 2 * hand - 1)
    period = np.where(has_little_room, hand // np.gcd(sizes, hand), 1)
    order_keys = make_keys(keys[:, None], passes // period[:, None])
    dealt = random_order(places, sizes[:, None], order_keys)

    # Does the hand touch the first `hand` things of a new order that began within a hand?
    new_pass = passes[:, -1]
    num_before = new_pass * sizes % hand
    is_early = slots[:, 0] - new_pass * sizes < hand
    rows = np.flatnonzero((sizes >= 2 * hand - 1) & (num_before > 0) & is_early)
    if len(rows):
        first = _first_things(new_pass[rows], sizes[rows], hand, keys[rows])
        is_first = (passes[rows] == new_pass[rows, None]) & (places[rows] < hand)
        things = np.take_along_axis(first, np.minimum(places[rows], hand - 1), axis=1)
        dealt[rows] = np.where(is_first, things, dealt[rows])
    return dealt


def _first_things(new_pass: Ints, sizes: Ints, hand: int, keys: Keys) -> Ints:
    """The first `hand` things of an order, after those that must step behind have."""
    places = np.arange(hand)
    num_before = new_pass * sizes % hand
    # With this much room, the end of the old order is not among its own first things.
    old_key, new_key = (make_keys(keys, new_pass - 1), make_keys(keys, new_pass))
    end = random_order(sizes[:, None] - hand + places, sizes[:, None], old_key[:, None])
    is_end = places >= hand - num_before[:, None]
    first = random_order(
        np.tile(places, (len(sizes), 1)), sizes[:, None], new_key[:, None]
    )
    clashes = ((first[:, :, None] == end[:, None, :]) & is_end[:, None, :]).any(axis=2)
    return np.take_along_axis(first, np.argsort(clashes, axis=1, kind="stable"), axis=1)
