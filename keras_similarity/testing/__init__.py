"""Checks that a loss keeps the rules, for tests of ours and of your own."""

from keras_similarity.testing.check_loss import check_loss, find_faults

__all__ = ["check_loss", "find_faults"]
