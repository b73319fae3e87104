"""What the tests have from the package to run on any backend.

`keras_similarity.testing.backend` is the one place that knows which one it is.
"""

from keras_similarity.testing.backend import (
    eager,
    gradient,
    gradients,
    jit,
    variable_gradients,
)

__all__ = ["eager", "gradient", "gradients", "jit", "variable_gradients"]
