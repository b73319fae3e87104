"""The formulas once more, query by query, for tests to compare with."""

import math


def recall(row, k):
    return float(any(row[:k]))


def precision(row, k, r):
    return sum(row[:k]) / r if r else 0.0


def average_precision(row, k, r):
    total = sum(sum(row[: place + 1]) / (place + 1) for place in range(k) if row[place])
    return total / r if r else 0.0


def ndcg(row, k):
    def gain(matches):
        return sum(match / math.log2(place + 2) for place, match in enumerate(matches))

    found = row[:k]
    ideal = gain(sorted(found, reverse=True))
    return gain(found) / ideal if ideal else 0.0
