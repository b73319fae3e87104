"""The benchmarks fail where a claim does not hold."""

import pytest

from benchmarks import lookup
from benchmarks.learning import OURS, PEER, is_behind


def lines(ours, peer, std):
    return [
        {"library": OURS, "seed": "mean", "recall@1": ours},
        {"library": OURS, "seed": "std", "recall@1": 0.1},
        {"library": PEER, "seed": "mean", "recall@1": peer},
        {"library": PEER, "seed": "std", "recall@1": std},
    ]


@pytest.mark.parametrize(("ours", "behind"), [(0.95, False), (0.89, False), (0.87, True)])
def test_recall_may_be_a_standard_deviation_below_the_peers(ours, behind):
    assert is_behind(lines(ours, peer=0.9, std=0.02)) is behind


def test_without_the_peer_nothing_is_behind():
    assert not is_behind(lines(0.1, 0.9, 0.02)[:2])
    assert not is_behind([])


@pytest.mark.parametrize(
    ("limits", "status"), [((1e9, 1e9), 0), ((0.0, 1e9), 1), ((1e9, 0.0), 1)]
)
def test_a_lookup_over_a_limit_fails(limits, status, monkeypatch):
    monkeypatch.setattr(lookup, "ROWS", 256)
    monkeypatch.setattr(lookup, "INDEXED", 300)
    monkeypatch.setattr(lookup, "write_report", lambda *args, **settings: None)
    monkeypatch.setattr(lookup, "BULK_LIMIT", limits[0])
    monkeypatch.setattr(lookup, "SINGLE_LIMIT", limits[1])
    assert lookup.main() == status
