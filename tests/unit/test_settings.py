"""The settings: their defaults, and the error for an invalid value."""

from pathlib import Path

import pytest

from shared.settings import LONGEST_SOCKET_PATH, Accepts, Settings, is_loopback


def test_without_variables_the_defaults_apply() -> None:
    settings = Settings.from_env({})
    assert settings.backends == ("tensorflow", "pytorch")
    assert settings.state_dir == Path(".tandem").absolute()
    assert settings.model_dir == settings.state_dir / "models"
    assert settings.cache_dir == settings.state_dir / "data"
    assert settings.data_dir == Path("data").absolute()
    assert settings.bind_host == "127.0.0.1"
    assert settings.gateway_port == 8080
    assert settings.url_of("pytorch") == "http://127.0.0.1:8102"


def test_an_empty_variable_means_the_default() -> None:
    assert Settings.from_env({"TANDEM_GATEWAY_PORT": ""}).gateway_port == 8080


def test_folders_lie_in_the_state_folder_unless_they_are_set() -> None:
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
        ("TANDEM_PREDICTOR_URL", "http://{"),
        ("TANDEM_GATEWAY_URL", "http://{backend}"),
        ("TANDEM_PREDICTION_TIMEOUT_S", "nan"),
        ("TANDEM_PREDICTION_TIMEOUT_S", "-1"),
        ("TANDEM_JOB_TIMEOUT_S", "0"),
        ("TANDEM_THREADS", "-1"),
        ("TANDEM_PREDICTION_THREADS", "0"),
        ("TANDEM_DEVICE", "tpu"),
        ("TANDEM_LOGS", "xml"),
        ("TANDEM_MODEL_STORE", "s3://bucket"),
        ("TANDEM_MODEL_STORE", "s3://bucket/"),
    ],
)
def test_an_invalid_value_is_an_error_of_one_line_that_names_the_variable(variable: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"^{variable}='.*' is not valid: set it to .+$") as caught:
        Settings.from_env({variable: value})
    assert "\n" not in str(caught.value)


def test_the_error_says_which_values_are_accepted() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        Settings.from_env({"TANDEM_GATEWAY_PORT": "x", "TANDEM_STATE_DIR": "/s"})
    assert str(caught.value) == "TANDEM_GATEWAY_PORT='x' is not valid: set it to a port number from 1 to 65535"


def test_every_setting_that_can_be_invalid_says_what_it_accepts() -> None:
    plain = {
        "redis_url",
        "bind_host",
        "commit",
        "state_dir",
        "model_dir",
        "cache_dir",
        "key_file",
        "data_dir",
        "upload_dir",
        "socket_dir",
    }
    plain |= {"redis_user", "redis_password_file", "public_host", "token_file"}
    for name, setting in Settings.model_fields.items():
        assert name in plain or any(isinstance(part, Accepts) for part in setting.metadata), name


def test_only_the_given_variables_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TANDEM_THREADS", "3")
    assert Settings.from_env().threads == 3
    assert Settings.from_env({}).threads == 0
    assert Settings.from_env({"TANDEM_TREADS": "3", "tandem_threads": "3", "THREADS": "3"}).threads == 0


def test_settings_cannot_be_changed() -> None:
    settings = Settings.from_env({})
    with pytest.raises(ValueError, match="frozen"):
        settings.threads = 3  # type: ignore[misc]


def test_backends_share_the_cores_unless_the_number_of_threads_is_set() -> None:
    assert Settings.from_env({"TANDEM_THREADS": "3"}).threads_per_backend == 3
    many = ",".join(f"b{index}" for index in range(1000))
    assert Settings.from_env({"TANDEM_BACKENDS": many}).threads_per_backend == 1


def test_the_url_of_a_predictor_may_contain_its_backend() -> None:
    settings = Settings.from_env({"TANDEM_PREDICTOR_URL": "http://{backend}-predictor:9000"})
    assert settings.url_of("pytorch") == "http://pytorch-predictor:9000"
    assert settings.port_of("pytorch") == 9000


def test_redis_listens_on_a_socket_in_the_state_folder() -> None:
    assert Settings.from_env({"TANDEM_STATE_DIR": "/s t"}).redis_url == "unix:///s%20t/redis/redis.sock?db=0"
    assert Settings.from_env({"TANDEM_REDIS_URL": "redis://r:1/0"}).redis_url == "redis://r:1/0"
    with pytest.raises(ValueError, match="TANDEM_REDIS_URL='http://r' is not valid: set it to a URL that begins with"):
        Settings.from_env({"TANDEM_REDIS_URL": "http://r"})


def test_a_state_folder_with_a_long_path_has_its_own_socket_elsewhere() -> None:
    urls = {Settings.from_env({"TANDEM_STATE_DIR": f"/{name * 120}"}).redis_url for name in ("a", "b", "a")}
    assert len(urls) == 2
    assert all(len(url.removeprefix("unix://").removesuffix("?db=0")) <= LONGEST_SOCKET_PATH for url in urls)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.3.2.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)],
)
def test_which_addresses_are_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "http://127.0.0.1:8080/"),
        ({"TANDEM_BIND_HOST": "::1", "TANDEM_GATEWAY_PORT": "8090"}, "http://[::1]:8090/"),
        ({"TANDEM_BIND_HOST": "0.0.0.0"}, "http://127.0.0.1:8080/"),
        (
            {"TANDEM_BIND_HOST": "gateway", "TANDEM_PUBLIC_HOST": "127.0.0.1", "TANDEM_PUBLIC_PORT": "8090"},
            "http://127.0.0.1:8090/",
        ),
    ],
)
def test_the_address_for_a_browser_is_the_one_that_clients_reach(environ: dict[str, str], expected: str) -> None:
    assert Settings.from_env(environ).page_url == expected


def test_a_backend_may_have_several_predictors_whose_urls_are_separated_by_commas() -> None:
    """They share a port and no Unix socket, because each would replace the other's."""
    urls = "http://10.0.0.1:{port}, http://10.0.0.2:{port}"
    settings = Settings.from_env({"TANDEM_PREDICTOR_URL": urls})
    assert settings.urls_of("pytorch") == ("http://10.0.0.1:8102", "http://10.0.0.2:8102")
    assert settings.url_of("pytorch") == "http://10.0.0.1:8102"
    assert settings.port_of("pytorch") == 8102
    assert settings.socket_of("pytorch") is None
    assert Settings.from_env({}).socket_of("pytorch") is not None
    with pytest.raises(ValueError, match="TANDEM_PREDICTOR_URL"):
        Settings.from_env({"TANDEM_PREDICTOR_URL": " , "})
