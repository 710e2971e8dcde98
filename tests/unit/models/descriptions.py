"""Model descriptions for tests that publish models."""

from shared.models.manifest import DataFingerprints, FinalMetrics, ModelDescription
from shared.network.description import Network


def describe(network: Network) -> ModelDescription:
    """Return a description with invented metrics."""
    return ModelDescription(
        request={"network": "article", "dataset": "digits"},
        network=network,
        classes=tuple("0123456789"),
        metrics=FinalMetrics(loss=1.0, accuracy=0.5, test_loss=1.1, test_accuracy=0.4),
        data=DataFingerprints(dataset="digits", train="sha256:1", test="sha256:2"),
    )
