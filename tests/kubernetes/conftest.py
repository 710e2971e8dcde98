"""The base and the overlays, built once. Without the tools, every test that needs them is skipped."""

import pytest

from tests.kubernetes.manifests import BASE, BUILDS, TOOLS, Build, build


@pytest.fixture(scope="session")
def builds() -> dict[str, Build]:
    """Return the base and each overlay, as `kubectl kustomize` builds them."""
    if not (TOOLS / "kubectl").exists():
        pytest.skip("kubectl is missing: python3 -m services.stack.environments kubernetes")
    return {name: Build(build(name)) for name in BUILDS}


@pytest.fixture(scope="session")
def base(builds: dict[str, Build]) -> Build:
    """Return the base."""
    return builds[BASE]
