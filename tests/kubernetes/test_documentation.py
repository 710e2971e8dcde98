"""The overlay on docs/kubernetes.md can be built, and does not point to the examples of this repository."""

import re
from pathlib import Path

import pytest

from tests.kubernetes.manifests import TOOLS, Build, build

PAGE = Path("docs/kubernetes.md")
EXAMPLE = re.compile(r"image: registry\.example/tandem-gateway:")


@pytest.fixture(scope="module")
def documented(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return what `kubectl kustomize` makes of the overlay on the page, with cert-manager's line."""
    if not (TOOLS / "kubectl").exists():
        pytest.skip("kubectl is missing: python3 -m services.stack.environments kubernetes")
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (overlay,) = (block for block in blocks if "kind: Kustomization" in block)
    (issuer,) = (block for block in blocks if "cluster-issuer" in block)
    folder = tmp_path_factory.mktemp("beside")
    (folder / "tandem").symlink_to(Path.cwd())
    (folder / "my-overlay").mkdir()
    (folder / "my-overlay/kustomization.yaml").write_text(overlay + issuer)
    return Build(build(folder / "my-overlay"))


def test_the_documented_overlay_has_one_host_and_the_registry_of_its_user(documented: Build) -> None:
    (ingress,) = documented.of_kind("Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "tandem-tls"}]
    assert rule["host"] == documented.settings["TANDEM_PUBLIC_HOST"]
    assert f"TANDEM_URL=https://{rule['host']} " in PAGE.read_text()
    assert not EXAMPLE.search(documented.text)


def test_the_documented_overlay_keeps_https_only_beside_the_issuer_of_certificates(documented: Build) -> None:
    (ingress,) = documented.of_kind("Ingress")
    assert ingress["metadata"]["annotations"] == {
        "cert-manager.io/cluster-issuer": "my-issuer",
        "traefik.ingress.kubernetes.io/router.entrypoints": "websecure",
    }


def test_the_documented_overlay_names_a_bucket_and_its_region(documented: Build) -> None:
    assert documented.settings["TANDEM_MODEL_STORE"] == "s3://my-bucket/tandem"
    assert documented.settings["AWS_REGION"]
    assert "AWS_ENDPOINT_URL" not in documented.settings
