"""Our values are TensorFlow Similarity's."""

import pytest

from tests.golden.runners import params


# Cases of the half that needs no Keras are marked `keras_free`, one by one.
@pytest.mark.parametrize("case, run", params("tfsim"))
def test_case(case, run):
    run(case)
