"""Callbacks for the training of similarity models."""

from keras_similarity.callbacks.diagnosis import Diagnosis, Thresholds
from keras_similarity.callbacks.eval_callback import EvalCallback
from keras_similarity.callbacks.split_validation_loss import SplitValidationLoss
from keras_similarity.callbacks.training_doctor import TrainingDoctor

__all__ = [
    "Diagnosis",
    "EvalCallback",
    "SplitValidationLoss",
    "Thresholds",
    "TrainingDoctor",
]
