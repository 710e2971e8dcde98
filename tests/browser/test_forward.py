"""The browser's forward pass computes what the reference and both backends compute."""

import base64
import json
import struct
from collections.abc import Iterator
from random import Random

import numpy as np
import pytest
from playwright.sync_api import Browser, Error, Page

from shared.network.description import PRESETS, Network
from shared.network.reference import forward
from shared.network.weights import Arrays, initial_weights, to_bytes
from shared.settings import Settings
from tests.backend.random_examples import OPTIONS, options, random_network, random_optimizer, random_split
from tests.backend.random_examples import random_weights as draw_weights
from tests.browser import probabilities
from tests.browser.module_server import ModuleServer, serve_modules

DRAWN_NETWORKS = 100
PICTURES = 3  # of each drawn network
LOAD = """async () => {
    const [forward, safetensors] = await Promise.all([
        import("/network/forward.js"), import("/network/safetensors.js")]);
    Object.assign(window, forward, safetensors);
    window.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}"""
PREDICT = """({network, weights, pictures}) => {
    const model = createModel(network, parseSafetensors(bytes(weights).buffer));
    return pictures.map((picture) => Array.from(model.predict(bytes(picture))));
}"""
# Two Workers share the pictures, as two processors can compute them at the same time.
PREDICT_ALL = """async ({name, network, size}) => {
    const { startModel } = await import("/network/worker.js");
    const read = async (path) => (await fetch(path)).arrayBuffer();
    const pictures = new Uint8Array(await read("/pictures"));
    const weights = await read(`/${name}.safetensors`);
    const count = pictures.length / size, found = new Array(count);
    await Promise.all([0, 1].map(async (first) => {
        const model = await startModel(network, weights);
        for (let i = first; i < count; i += 2) {
            found[i] = await model.predict(pictures.slice(i * size, (i + 1) * size));
        }
        model.close();
    }));
    const bytes = new Uint8Array(Float64Array.from(found.flatMap((each) => Array.from(each))).buffer);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
}"""


@pytest.fixture(scope="module")
def server() -> Iterator[ModuleServer]:
    with serve_modules() as running:
        yield running


@pytest.fixture(scope="module")
def module_page(browser: Browser, server: ModuleServer) -> Iterator[Page]:
    """Yield an empty page that has imported the modules."""
    page = browser.new_page()
    page.goto(server.url)
    page.evaluate(LOAD)
    yield page
    page.close()


def as_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def predict(page: Page, network: Network, weights: Arrays, images: np.ndarray) -> np.ndarray:
    """Return the probabilities [N, classes] that the page computes."""
    question = {
        "network": network.model_dump(mode="json"),
        "weights": as_text(to_bytes(weights)),
        "pictures": [as_text(image.tobytes()) for image in images],
    }
    return np.array(page.evaluate(PREDICT, question))


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_a_network_agrees_with_a_calculation_on_paper(module_page):
    network = Network.model_validate(
        {"input_shape": (1, 1, 1), "layers": [{"kind": "flatten"}, {"kind": "dense", "units": 2}]}
    )
    # A white pixel is 1, so the logits are ln 3 and 0, and the probabilities 3/4 and 1/4.
    weights = {"layers.1.kernel": np.float32([[np.log(3), 0]]), "layers.1.bias": np.zeros(2, np.float32)}
    white = np.full((1, 1, 1, 1), 255, np.uint8)
    assert predict(module_page, network, weights, white)[0] == pytest.approx([0.75, 0.25])


def test_100_drawn_networks_agree_with_the_reference(module_page):
    seen = set()
    for seed in range(DRAWN_NETWORKS):
        chance = Random(seed)
        network = random_network(chance)
        seen.update(options(network, random_optimizer(chance, network)))
        weights = draw_weights(network, seed)
        images = random_split(network, PICTURES, seed).images
        expected = softmax(forward(network, weights, images, training=False)[-1])
        np.testing.assert_allclose(
            predict(module_page, network, weights, images), expected, rtol=0, atol=1e-5, err_msg=repr(network)
        )
    layers_and_activations = {
        option for option in OPTIONS if not option.startswith(("sgd", "adam", "no mom", "mom", "nest"))
    }
    assert seen >= layers_and_activations


def test_all_test_pictures_of_mnist_have_the_class_that_both_backends_give_them(
    module_page, server, mnist_test, tmp_path
):
    np.save(tmp_path / "pictures.npy", mnist_test.images)
    np.save(tmp_path / "labels.npy", mnist_test.labels)
    networks = {name: PRESETS[name].network((28, 28, 1), 10) for name in ("article", "lenet5", "cnn")}
    for name, network in networks.items():
        (tmp_path / f"{name}.json").write_text(network.model_dump_json())
        (tmp_path / f"{name}.safetensors").write_bytes(to_bytes(initial_weights(network, seed=0)))
    first, *others = backends = Settings.from_env().backends
    probabilities.finish(probabilities.start(first, "train", tmp_path))
    processes = [probabilities.start(backend, "serve", tmp_path) for backend in (first, *others)]
    server.data["/pictures"] = mnist_test.images.tobytes()
    found = {}
    for name, network in networks.items():
        server.data[f"/{name}.safetensors"] = (tmp_path / f"{name}.safetensors").read_bytes()
        question = {"name": name, "network": network.model_dump(mode="json"), "size": 28 * 28}
        answer = base64.b64decode(module_page.evaluate(PREDICT_ALL, question))
        found[name] = np.frombuffer(answer).reshape(len(mnist_test), 10)
    for process in processes:
        probabilities.finish(process)
    for name in networks:
        for backend in backends:
            expected = np.load(tmp_path / f"{name}-{backend}.npy")
            same = (found[name].argmax(1) == expected.argmax(1)).sum()
            assert (name, backend, same) == (name, backend, 10_000)
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=1e-5, err_msg=f"{name} in {backend}")


def pack(header: object, data: bytes = b"") -> str:
    """Return a safetensors file as text."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return as_text(struct.pack("<Q", len(text)) + text + data)


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


DAMAGED = {
    "an empty file": "",
    "a header beyond the end": as_text(struct.pack("<Q", 100) + b"{}"),
    "a header of 2^63 bytes": as_text(struct.pack("<Q", 2**63) + b"{}"),
    "no JSON": pack(b"{]"),
    "no description": pack({"w": 7}),
    "another type": pack({"w": entry([2], 0, 8, "I32")}, bytes(8)),
    "a negative side": pack({"w": entry([-1], 0, 4)}, bytes(4)),
    "another size": pack({"w": entry([3], 0, 8)}, bytes(8)),
    "a gap": pack({"w": entry([1], 4, 8)}, bytes(8)),
    "an overlap": pack({"v": entry([2], 0, 8), "w": entry([1], 4, 8)}, bytes(8)),
    "a cut": pack({"w": entry([2], 0, 8)}, bytes(4)),
    "bytes behind the end": pack({"w": entry([1], 0, 4)}, bytes(8)),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_weights_are_refused(module_page, name):
    with pytest.raises(Error, match="the weights are damaged"):
        module_page.evaluate("(text) => parseSafetensors(bytes(text).buffer).size", DAMAGED[name])


def test_a_header_may_have_metadata_and_any_length(module_page):
    text = pack({"__metadata__": {"a": "b"}, "w": entry([2], 0, 8)}, np.float32([1.5, -2]).tobytes())
    assert module_page.evaluate("(text) => [...parseSafetensors(bytes(text).buffer).get('w').values]", text) == [
        1.5,
        -2,
    ]


def dense(units: int) -> list[dict[str, object]]:
    return [{"kind": "flatten"}, {"kind": "dense", "units": units}]


@pytest.mark.parametrize(
    ("layers", "weights", "message"),
    [
        (dense(2), {}, r"the weights have no layers.1.kernel of \[4,2\]"),
        (dense(2), {"layers.1.kernel": [4, 3], "layers.1.bias": [3]}, r"no layers.1.kernel of \[4,2\]"),
        ([{"kind": "toString"}], {}, 'does not know the layer {"kind":"toString"}'),
        ([{"kind": "dense", "units": 2, "activation": "gelu"}], {}, "does not know the layer .*gelu"),
    ],
)
def test_weights_that_do_not_fit_are_refused(module_page, layers, weights, message):
    arrays = {name: np.ones(shape, np.float32) for name, shape in weights.items()}
    network = {"input_shape": [2, 2, 1], "layers": layers}
    question = {"network": network, "weights": as_text(to_bytes(arrays)), "pictures": []}
    with pytest.raises(Error, match=message):
        module_page.evaluate(PREDICT, question)
