"""Chooses the registry that the settings ask for."""

from shared.models.registry import ModelRegistry
from shared.models.stored_registry import StoredModelRegistry
from shared.object_store import cache_folder, open_object_store
from shared.settings import Settings


def open_registry(settings: Settings) -> ModelRegistry:
    """Return the models of an object store if TANDEM_MODEL_STORE names one, else those of the model volume."""
    url = settings.model_store
    if url is None:
        return ModelRegistry(settings.model_dir)
    copies = cache_folder(settings.model_dir, url)
    ModelRegistry(copies).remove_abandoned_drafts()  # copies of drafts that were never published, and parts of copies
    return StoredModelRegistry(open_object_store(url), copies)
