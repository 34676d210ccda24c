"""nginx and HAProxy in front of openholder, with the configurations that are shipped, on free ports."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import pytest
import trustme

from helpers.processes import PATIENCE, free_port

Servers = Sequence[tuple[int, int]]
"""The public and the admin port of each server."""


def find_program(name: str) -> str:
    """The path of a program; without it the test is skipped."""
    path = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed (make services)")
    return path


def replace_once(text: str, pattern: str, replacement: str) -> str:
    """Replace what a configuration says in exactly one place."""
    text, count = re.subn(pattern, replacement.replace("\\", r"\\"), text, flags=re.MULTILINE)
    assert count == 1, (pattern, count)
    return text


def is_complete(answer: bytes) -> bool:
    """Whether an answer has the length that it says."""
    head, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\ncontent-length: (\d+)", head, re.IGNORECASE)
    return length is not None and len(body) >= int(length[1])


@dataclass
class Balancer:
    """A running proxy that terminates TLS for 127.0.0.1."""

    folder: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1")
        authority.cert_pem.write_to_path(self.folder / "ca.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.folder / "both.pem")
        certificate.private_key_pem.write_to_path(self.folder / "tls.key")
        certificate.cert_chain_pems[0].write_to_path(self.folder / "tls.crt")
        self.context = ssl.create_default_context(cafile=self.folder / "ca.pem")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=PATIENCE, context=self.context)

    def talk(self, sent: bytes) -> bytes:
        """Send bytes over TLS, and return the answer to them."""
        with (
            socket.create_connection(("127.0.0.1", self.port), PATIENCE) as plain,
            self.context.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            received = b""
            with suppress(OSError):  # it need not wait for the rest of what it refuses
                secured.sendall(sent)
                while not is_complete(received) and (chunk := secured.recv(65_536)):
                    received += chunk
        return received


def configure_nginx(balancer: Balancer, servers: Servers) -> list[str]:
    """Write the shipped configuration with these ports, and what Debian has around it."""
    folder = balancer.folder
    text = (files("openholder.conf") / "nginx.conf").read_text(encoding="utf-8")
    lines = "\n".join(f"    server 127.0.0.1:{port} max_fails=0;" for port, _ in servers)
    text = replace_once(text, r"^    server 127\.0\.0\.1:8443 max_fails=0;$", lines)
    text = replace_once(text, r"^    listen 443 ssl;$", f"    listen 127.0.0.1:{balancer.port} ssl;")
    text = replace_once(text, r"^    listen \[::\]:443 ssl;\n", "")
    text = replace_once(text, r"/etc/ssl/openholder/tls\.crt", str(folder / "tls.crt"))
    text = replace_once(text, r"/etc/ssl/openholder/tls\.key", str(folder / "tls.key"))
    (folder / "openholder.conf").write_text(text)
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    around = "".join(f"{name}_temp_path {folder}/{name};\n" for name in paths)
    (folder / "nginx.conf").write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nworker_processes 1;\nerror_log stderr crit;\n"
        f"events {{ worker_connections 1024; }}\n"
        f"http {{\naccess_log off;\n{around}include {folder}/openholder.conf;\n}}\n"
    )
    user = ["-g", "user root;"] if os.geteuid() == 0 else []
    return [find_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr", *user]


def configure_haproxy(balancer: Balancer, servers: Servers) -> list[str]:
    """Write the shipped configuration with these ports."""
    text = (files("openholder.conf") / "haproxy.cfg").read_text(encoding="utf-8")
    lines = "\n".join(f"    server s{port} 127.0.0.1:{port} port {admin}" for port, admin in servers)
    text = replace_once(text, r"^    server one 127\.0\.0\.1:8443$", lines)
    text = replace_once(
        text, r"bind :443 ssl crt /etc/haproxy/openholder\.pem", f"bind 127.0.0.1:{balancer.port} ssl crt both.pem"
    )
    (balancer.folder / "haproxy.cfg").write_text(text)
    return [find_program("haproxy"), "-db", "-C", str(balancer.folder), "-f", "haproxy.cfg"]


CONFIGURE = {"nginx": configure_nginx, "haproxy": configure_haproxy}


@contextmanager
def run_balancer(name: str, balancer: Balancer, servers: Servers):
    """Run a proxy in front of servers for the duration of the block."""
    command = CONFIGURE[name](balancer, servers)
    log = (balancer.folder / "log").open("w+")
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", balancer.port), 1).close()
                break
            except OSError:
                said = (balancer.folder / "log").read_text()
                assert process.poll() is None and time.monotonic() < deadline, said
                time.sleep(0.02)
        yield balancer
    finally:
        process.terminate()
        process.wait(PATIENCE)
        log.close()
