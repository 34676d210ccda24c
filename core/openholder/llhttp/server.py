"""The listening side: connections on the event loop's own transports, with or without TLS."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

from openholder.edge.server import Server
from openholder.llhttp.connection import Connection


class LLHTTPServer(Server):
    """An HTTP server on llhttp. Delegates that return futures for flow control are not served."""

    def take(self, accepted: socket.socket, address: Any) -> Connection:
        """Begin a connection, with a TLS handshake if there is a context."""
        connection = Connection(self, self._loop, str(address[0]), "https" if self.ssl_options else "http")
        adopting = self._loop.connect_accepted_socket(lambda: connection, accepted, ssl=self.ssl_options)
        connection.adoption = self._loop.create_task(adopting)
        connection.adoption.add_done_callback(partial(connection.end_adoption, accepted))
        return connection
