"""Asks a model with the client of the KServe SDK, and prints what it got as JSON. It runs in an environment of its own.

    .venv/clients/bin/python -m tests.clients.kserve_client http://127.0.0.1:8080 mlp-digits-pytorch < pictures.json

Standard input holds pictures as nested lists [N, H, W, C].
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def ask_v1(url: str, title: str, pictures: np.ndarray) -> dict[str, object]:
    """Return what the client reads with its first protocol."""
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    try:
        answer = await client.infer(url, {"instances": pictures.tolist()}, model_name=title)
        return {"rows": answer["predictions"], "model_ready": await client.is_model_ready(url, title)}
    finally:
        await client.close()


async def ask_v2(url: str, title: str, pictures: np.ndarray) -> dict[str, object]:
    """Return what the client reads with the Open Inference Protocol, in JSON and in binary."""
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    rows = {}
    try:
        for name, in_binary in (("json", False), ("binary", True)):
            tensor = InferInput("image", list(pictures.shape), "UINT8")
            tensor.set_data_from_numpy(pictures, binary_data=in_binary)
            parameters = {"binary_data_output": in_binary, "priority": 1}
            request = InferRequest(model_name=title, infer_inputs=[tensor], parameters=parameters)
            answer = await client.infer(url, request, model_name=title)
            rows[name] = answer.outputs[0].as_numpy().tolist()
        return {
            "rows": rows,
            "server_live": await client.is_server_live(url),
            "server_ready": await client.is_server_ready(url),
            "model_ready": await client.is_model_ready(url, title),
        }
    finally:
        await client.close()


async def main(url: str, title: str) -> None:
    """Print the results of both protocols."""
    pictures = np.array(json.load(sys.stdin), np.uint8)
    print(json.dumps({"v1": await ask_v1(url, title, pictures), "v2": await ask_v2(url, title, pictures)}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
