"""POST /v1/networks/describe: the shapes of a network, or why it does not fit its dataset."""

from collections.abc import Iterator

import pytest
import requests

from tests.unit.gateway.gateway_process import running_gateway


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(tmp_path_factory.mktemp("gateway")) as url:
        yield f"{url}/v1/networks/describe"


def test_the_shapes_and_sizes_of_a_preset_are_those_of_the_paper(url: str) -> None:
    found = requests.post(url, json={"network": "lenet5", "dataset": "mnist"}, timeout=10).json()
    assert [layer["output_shape"] for layer in found["layers"]] == [
        *([28, 28, 6], [14, 14, 6], [10, 10, 16], [5, 5, 16], [400], [120], [84], [10]),
    ]
    # LeCun et al. 1998: C1 has 156 parameters, C5 48,120 and F6 10,164. C3 is connected completely here.
    assert [layer["parameters"] for layer in found["layers"]] == [156, 0, 2416, 0, 0, 48_120, 10_164, 850]
    assert found["parameters"] == 61_706


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("unknown", "unknown network"),
        ({"input_shape": [28, 28, 1], "layers": [{"kind": "dense", "units": 10}]}, "layers.0"),
        ({"input_shape": [8, 8, 1], "layers": [{"kind": "flatten"}, {"kind": "dense", "units": 10}]}, "input_shape"),
        ({"input_shape": [28, 28, 1], "layers": [{"kind": "flatten"}, {"kind": "dense", "units": 3}]}, "10 classes"),
        ({"input_shape": [28, 28, 1], "layers": []}, "layers"),
        (3, "network"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_with_the_layer(url: str, network: object, message: str) -> None:
    response = requests.post(url, json={"network": network, "dataset": "mnist"}, timeout=10)
    assert response.status_code == 422
    assert message in response.json()["detail"]
