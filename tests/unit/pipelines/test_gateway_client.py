"""The pipelines' client sends a request again if the gateway ends while it answers."""

import socket
from threading import Thread

from services.pipelines.gateway_client import GatewayClient

PART = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


def test_a_request_is_sent_again_after_half_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in (PART, WHOLE):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        client = GatewayClient(f"http://127.0.0.1:{server.getsockname()[1]}", "", patience_s=10)
        assert client.get("/v1/status") == {}
        thread.join(10)
