"""Callbacks for the training of similarity models."""

from keras_similarity.callbacks.eval_callback import EvalCallback

__all__ = ["EvalCallback"]
