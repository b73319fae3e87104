"""Contrastive loss over signal-to-noise ratios."""

from __future__ import annotations

from keras_similarity.distances import Distance, SNRDistance
from keras_similarity.losses.contrastive import ContrastiveLoss
from keras_similarity.losses.metric_loss import register


def _normalized_snr() -> Distance:
    return SNRDistance(normalize_embeddings=True)


@register("signal_to_noise_ratio_contrastive")
class SignalToNoiseRatioContrastiveLoss(ContrastiveLoss):
    """Contrastive loss over the noise-to-signal distance; see `ContrastiveLoss`.

    Args:
        pos_margin: Positives nearer than this cost nothing; in units of the distance.
        neg_margin: Negatives farther than this cost nothing.
        **kwargs: Those of `MetricLoss`: `distance` (an `SNRDistance`; by default one that
            normalises), `miner`, `reducer`, `name`, ...

    Raises:
        ValueError: If `distance` is no `SNRDistance`.

    Reference:
        [Yuan et al., 2019](https://arxiv.org/abs/1904.02616)

    Example:
        >>> import numpy as np
        >>> from keras_similarity.losses import SignalToNoiseRatioContrastiveLoss
        >>> embeddings = np.array([[-1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
        >>> loss = SignalToNoiseRatioContrastiveLoss(neg_margin=2.0)
        >>> round(float(loss(np.array([0, 0, 1]), embeddings)), 3)  # 4 + 2
        6.0
    """

    default_name = "signal_to_noise_ratio_contrastive_loss"
    default_distance = staticmethod(_normalized_snr)

    def _checked_distance(self, distance: Distance) -> Distance:
        if not isinstance(distance, SNRDistance):
            raise ValueError(
                "`distance` of `SignalToNoiseRatioContrastiveLoss` must be an "
                f"`SNRDistance`. Received: distance={distance!r}. `ContrastiveLoss` "
                "takes any."
            )
        return distance
