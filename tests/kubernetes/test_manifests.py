"""The manifests: valid, without findings of the policy check, and consistent in themselves."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel

from services.gateway.cluster_secrets import ClusterSecrets
from services.gateway.schemas.catalog import BackendStatus
from services.gateway.scopes import READ
from shared.settings import Settings, variable_of
from tests.kubernetes.compose_file import to_bytes
from tests.kubernetes.keda import SCHEMAS
from tests.kubernetes.manifests import BUILDS, FOLDER, TOOLS, Build

KUBERNETES = ("1.32", "1.37")  # the oldest and the newest version that we check against
BACKENDS = ("tensorflow", "pytorch")
EXCEPTIONS = Path("tests/kubernetes/policy_exceptions.yaml")
MADE_BY_HAND = {"tandem-tls", "object-store-trainer", "object-store-gateway", "object-store-reader"}


@pytest.fixture(scope="module")
def files(builds: dict[str, Build], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("manifests")
    for name, build in builds.items():
        (folder / f"{Path(name).name}.yaml").write_text(build.text)
    return sorted(map(str, folder.iterdir()))


@pytest.mark.parametrize("version", KUBERNETES)
def test_every_manifest_is_valid_and_has_no_unknown_field(files: list[str], version: str) -> None:
    command = [str(TOOLS / "kubernetes-validate"), "--strict", "--quiet", "-k", version, *files]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    complaints = (answer.stdout + answer.stderr).splitlines()
    assert [line for line in complaints if not re.search(r"scaledobject|triggerauthentication", line, re.I)] == []


def test_the_validation_can_fail(builds: dict[str, Build], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(builds["base"].text.replace("readOnlyRootFilesystem", "readOnlyRootFileSystem", 1))
    command = [str(TOOLS / "kubernetes-validate"), "--strict", "--quiet", "-k", KUBERNETES[-1], str(wrong)]
    assert "readOnlyRootFileSystem" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize("name", BUILDS)
def test_the_objects_of_keda_fit_its_schema(builds: dict[str, Build], name: str) -> None:
    found = list(builds[name].of_kind(*SCHEMAS))
    assert len(found) == (0 if name == "overlays/local" else 6)
    for manifest in found:
        schema: type[BaseModel] = SCHEMAS[manifest["kind"]]
        schema.model_validate(manifest)


def test_every_finding_of_checkov_is_fixed_or_explained(files: list[str]) -> None:
    named = [part for file in files for part in ("-f", file)]
    command = [str(TOOLS / "checkov"), *named, "--framework", "kubernetes", "--skip-download", "--quiet", "-o", "json"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    report = json.loads(answer.stdout)
    assert report["summary"]["passed"] > 1000
    assert report["summary"]["parsing_errors"] == 0
    found = {(finding["check_id"], finding["resource"]) for finding in report["results"]["failed_checks"]}
    explained = yaml.safe_load(EXCEPTIONS.read_text())
    assert all(len(entry["reason"]) > 40 for entry in explained)
    patterns = [(entry["check"], re.compile(entry["resources"])) for entry in explained]
    for check, resource in found:
        assert any(check == known and pattern.fullmatch(resource) for known, pattern in patterns), (check, resource)
    for known, pattern in patterns:
        assert any(check == known and pattern.fullmatch(resource) for check, resource in found), f"{known} is fixed"


@pytest.mark.parametrize("name", BUILDS)
def test_no_manifest_contains_a_secret_and_each_pod_mounts_its_own_only(builds: dict[str, Build], name: str) -> None:
    build = builds[name]
    assert not list(build.of_kind("Secret"))
    made = ClusterSecrets({}, BACKENDS).found.keys() | MADE_BY_HAND
    for service, work in build.workloads.items():
        secrets = set(work.secrets.values())
        assert secrets <= made
        assert {secret for secret in secrets if secret.endswith("-redis")} <= {f"{service}-redis"}
        assert "keda-token" not in secrets
        assert ("job-key" in secrets) == (not re.fullmatch(r"redis|datasets|\w+-predictor", service))
        references = json.dumps([work.pod.get("initContainers"), work.container])
        assert "secretKeyRef" not in references
        assert "secretRef" not in references


@pytest.mark.parametrize("name", BUILDS)
def test_each_container_has_the_strictest_rights(builds: dict[str, Build], name: str) -> None:
    for work in builds[name].workloads.values():
        assert work.pod["automountServiceAccountToken"] is False
        assert work.pod["securityContext"]["runAsNonRoot"]
        assert work.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & work.pod.keys()
        for container in [*work.pod.get("initContainers", []), work.container]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"].keys() == {"requests", "limits"}


def test_the_files_of_the_backends_differ_in_their_name_only() -> None:
    one, other = ((FOLDER / f"base/{backend}.yaml").read_text().splitlines()[2:] for backend in BACKENDS)
    assert [line.replace(*BACKENDS) for line in one] == other


def test_the_scalers_of_the_backends_differ_in_their_name_only(base: Build) -> None:
    for kind in ("trainer", "predictor"):
        one, other = (base.named("ScaledObject", f"{backend}-{kind}")["spec"] for backend in BACKENDS)
        assert json.loads(json.dumps(one).replace(*BACKENDS)) == other


def test_who_is_scaled_has_no_fixed_number_of_replicas(base: Build) -> None:
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in base.of_kind("ScaledObject")}
    deployments = {one["metadata"]["name"]: one["spec"] for one in base.of_kind("Deployment")}
    assert {name for name, spec in deployments.items() if "replicas" not in spec} == scaled


def test_keda_reads_figures_that_the_gateway_reports_with_a_token_that_may_read_them(base: Build) -> None:
    for backend in BACKENDS:
        (trigger,) = base.named("ScaledObject", f"{backend}-trainer")["spec"]["triggers"]
        first, named, field = trigger["metadata"]["valueLocation"].split(".")
        assert (first, named) == ("backends", backend)
        assert field in BackendStatus.model_fields
        service = base.named("Service", "gateway")
        address = f"http://gateway.tandem.svc.cluster.local:{service['spec']['ports'][0]['port']}/v1/status"
        assert trigger["metadata"]["url"] == address
    (reference,) = base.named("TriggerAuthentication", "gateway-status")["spec"]["secretTargetRef"]
    assert reference == {"parameter": "token", "name": "keda-token", "key": "token"}
    assert READ == [{"bearer": ["read"]}]


def test_every_setting_exists_and_a_trainer_uses_the_cores_that_it_requests(builds: dict[str, Build]) -> None:
    known = {variable_of(setting) for setting in Settings.model_fields.values()}
    for name, build in builds.items():
        unknown = {variable for variable in build.settings if variable.startswith("TANDEM_")} - known
        assert unknown == set(), name
        Settings.from_env(build.settings)
    trainer = builds["base"].workloads["pytorch-trainer"]
    requested = trainer.container["resources"]["requests"]["cpu"]
    assert builds["base"].settings["TANDEM_THREADS"] == requested


@pytest.mark.parametrize("name", [one for one in BUILDS if one != "overlays/local"])
def test_the_ingress_has_the_public_host_and_tls(builds: dict[str, Build], name: str) -> None:
    (ingress,) = builds[name].of_kind("Ingress")
    (rule,) = ingress["spec"]["rules"]
    assert rule["host"] == builds[name].settings["TANDEM_PUBLIC_HOST"]
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]], "secretName": "tandem-tls"}]
    # Else Traefik serves the same on port 80, without TLS.
    assert ingress["metadata"]["annotations"] == {"traefik.ingress.kubernetes.io/router.entrypoints": "websecure"}


def test_predictors_have_a_headless_service_with_the_name_in_the_setting(base: Build) -> None:
    for backend in BACKENDS:
        host, port = re.fullmatch(
            r"http://(.*):(\d+)", base.settings["TANDEM_PREDICTOR_URL"].format(backend=backend)
        ).groups()  # type: ignore[union-attr]
        spec = base.named("Service", host)["spec"]
        assert spec["clusterIP"] == "None"
        assert spec["ports"][0]["port"] == int(port)


def test_old_predictors_stay_until_dns_has_forgotten_them(base: Build) -> None:
    """CoreDNS keeps an answer for 30 s, if it is not told otherwise."""
    for backend in BACKENDS:
        predictor = base.named("Deployment", f"{backend}-predictor")["spec"]
        assert predictor["minReadySeconds"] > 30
        (_, waits_s) = predictor["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert int(waits_s) > 30


def test_the_overlay_s3_names_no_server_that_does_not_exist(builds: dict[str, Build]) -> None:
    settings = builds["overlays/s3"].settings
    assert not {name for name in settings if name.startswith("AWS_")} - {"AWS_REGION", "AWS_SHARED_CREDENTIALS_FILE"}


def test_every_service_with_several_replicas_has_a_disruption_budget_that_lets_nodes_be_drained(base: Build) -> None:
    scaled = {one["metadata"]["name"]: one["spec"]["minReplicaCount"] for one in base.of_kind("ScaledObject")}
    budgets = {one["metadata"]["name"]: one["spec"] for one in base.of_kind("PodDisruptionBudget")}
    assert budgets.keys() == scaled.keys()
    for name, budget in budgets.items():
        assert budget.get("maxUnavailable") == 1 or budget["minAvailable"] < scaled[name]
        assert budget["selector"]["matchLabels"].items() <= base.workloads[name].labels.items()


def test_models_are_shared_in_the_base_and_lie_in_the_object_store_in_s3(builds: dict[str, Build]) -> None:
    shared = {"models", "uploads", "data", "tokens"}
    modes = {
        name: {one["metadata"]["name"]: one["spec"]["accessModes"] for one in build.of_kind("PersistentVolumeClaim")}
        for name, build in builds.items()
    }
    for name in ("base", "overlays/gpu"):
        assert {claim for claim, mode in modes[name].items() if mode == ["ReadWriteMany"]} == shared
    assert not shared & modes["overlays/s3"].keys()
    store = builds["overlays/s3"]
    assert not any(shared & set(work.claims.values()) for work in store.workloads.values())
    members = {name for name, work in store.workloads.items() if "object-store" in work.networks}
    assert members == {name for name in store.workloads if name not in ("redis", "pipelines")}


def test_the_overlay_gpu_gives_each_trainer_a_gpu_and_nobody_else(builds: dict[str, Build]) -> None:
    for name, work in builds["overlays/gpu"].workloads.items():
        is_trainer = name.endswith("-trainer")
        assert work.container["resources"]["limits"].get("nvidia.com/gpu") == (1 if is_trainer else None)
        assert ("-cuda:" in work.container["image"]) == is_trainer
        device = builds["overlays/gpu"].environment_of(name).get("TANDEM_DEVICE")
        assert device == ("cuda" if is_trainer else None if name == "redis" else "cpu")


def test_the_trainers_of_the_overlay_gpu_agree_with_composes_override_file(builds: dict[str, Build]) -> None:
    file = Path("docker-compose.gpu.yml")
    if not file.exists():
        pytest.skip("there is no docker-compose.gpu.yml")
    services = yaml.safe_load(file.read_text())["services"]
    for backend in BACKENDS:
        service, container = (
            services[f"{backend}-trainer"],
            builds["overlays/gpu"].workloads[f"{backend}-trainer"].container,
        )
        assert container["image"].partition(":")[0] == f"registry.example/{service['image']}"
        assert to_bytes(container["resources"]["limits"]["memory"]) == to_bytes(service["mem_limit"])
        assert service["environment"]["TANDEM_DEVICE"] == "${TANDEM_DEVICE:-cuda}"
