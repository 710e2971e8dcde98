"""The settings: their defaults, and a bad value that names its variable."""

from pathlib import Path

import pytest

from shared.settings import Settings


def test_nothing_set_means_the_defaults() -> None:
    settings = Settings.from_env({})
    assert settings.backends == ("tensorflow", "pytorch")
    assert settings.state_dir == Path(".tandem").absolute()
    assert settings.model_dir == settings.state_dir / "models"
    assert settings.cache_dir == settings.state_dir / "data"
    assert settings.data_dir == Path("data").absolute()
    assert settings.bind_host == "127.0.0.1"
    assert settings.gateway_port == 8080
    assert settings.url_of("pytorch") == "http://127.0.0.1:8102"


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert Settings.from_env({"TANDEM_GATEWAY_PORT": ""}).gateway_port == 8080


def test_folders_follow_the_state_folder_unless_they_are_named() -> None:
    settings = Settings.from_env({"TANDEM_STATE_DIR": "/s", "TANDEM_MODEL_DIR": "/m"})
    assert (settings.model_dir, settings.cache_dir) == (Path("/m"), Path("/s/data"))


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TANDEM_BACKENDS", ","),
        ("TANDEM_BACKENDS", "pytorch,pytorch"),
        ("TANDEM_GATEWAY_PORT", "0"),
        ("TANDEM_GATEWAY_PORT", "70000"),
        ("TANDEM_GATEWAY_PORT", "http"),
        ("TANDEM_PREDICTOR_URL", "http://{host}"),
        ("TANDEM_PREDICTION_TIMEOUT_S", "nan"),
        ("TANDEM_PREDICTION_TIMEOUT_S", "-1"),
        ("TANDEM_JOB_TIMEOUT_S", "0"),
        ("TANDEM_THREADS", "-1"),
        ("TANDEM_PREDICTION_THREADS", "0"),
        ("TANDEM_DEVICE", "tpu"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=variable):
        Settings.from_env({variable: value})


def test_backends_share_the_cores_unless_threads_are_set() -> None:
    assert Settings.from_env({"TANDEM_THREADS": "3"}).threads_per_backend == 3
    many = ",".join(f"b{index}" for index in range(1000))
    assert Settings.from_env({"TANDEM_BACKENDS": many}).threads_per_backend == 1


def test_in_containers_each_predictor_has_a_host_of_its_own() -> None:
    settings = Settings.from_env({"TANDEM_PREDICTOR_URL": "http://{backend}-predictor:9000"})
    assert settings.url_of("pytorch") == "http://pytorch-predictor:9000"
    assert settings.port_of("pytorch") == 9000
