"""A real browser: Chromium without a window, driven over the Chrome DevTools Protocol.

https://chromedevtools.github.io/devtools-protocol/ lists its commands. Tornado has the WebSocket that it needs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from tornado.websocket import WebSocketClientConnection, websocket_connect

PATIENCE = 20.0
"""Seconds after which a page that does not do what it should has failed the test."""
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
"""The browser, if there is one."""
OPTIONS = (
    "--headless",
    "--no-sandbox",  # the pages are our own, and containers have no user namespaces
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--font-render-hinting=none",
    "--remote-debugging-port=0",
)
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), "ArrowDown": (40, ""), "ArrowUp": (38, ""), "Space": (32, " ")}


@contextmanager
def start_chromium(folder: Path) -> Iterator[str]:
    """Start the browser with its profile in ``folder``, and give the address of its debugger."""
    log = folder / "chromium.log"
    with (
        open(log, "wb") as file,
        subprocess.Popen([CHROMIUM, *OPTIONS, f"--user-data-dir={folder}/profile"], stderr=file) as process,
    ):
        try:
            deadline, port = time.monotonic() + PATIENCE, folder / "profile" / "DevToolsActivePort"
            while not (port.exists() and port.read_text().count("\n")):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port.read_text().splitlines()[0]}"
        finally:
            process.terminate()


@dataclass
class Page:
    """A tab. ``faults`` are exceptions of scripts, and what the security policy has blocked."""

    socket: WebSocketClientConnection
    number: int = 0
    faults: list[str] = field(default_factory=list)

    async def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command of the protocol and return its result."""
        self.number += 1
        await self.socket.write_message(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while message := await asyncio.wait_for(self.socket.read_message(), PATIENCE):
            said = json.loads(message)
            if said.get("id") == self.number:
                assert "error" not in said, (method, said)
                return said["result"]
            is_fault = said["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")
            if is_fault and said["params"].get("entry", {}).get("source") != "network":  # those are answers like 404
                self.faults.append(json.dumps(said["params"])[:2000])
        raise AssertionError("the browser has closed the connection")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        found = await self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not await self.evaluate(f"Boolean({expression})"):
            assert time.monotonic() < deadline, (expression, self.faults)
            await asyncio.sleep(0.02)

    async def open(self, url: str) -> None:
        """Open an address and wait until it is loaded."""
        await self.command("Page.navigate", url=url)
        await self.wait_for(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url)})")

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            code, text = KEYS[key]
            pressed = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": code}
            await self.command("Input.dispatchKeyEvent", type="keyDown", text=text, **pressed)
            await self.command("Input.dispatchKeyEvent", type="keyUp", **pressed)

    async def resize(self, width: int, height: int, *, scale: float = 1, dark: bool = False) -> None:
        """Take on the size of a screen, in CSS pixels, and its colour scheme."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600}
        await self.command("Emulation.setDeviceMetricsOverride", **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.command("Emulation.setEmulatedMedia", features=[scheme])

    async def take_screenshot(self, path: Path, **options: Any) -> None:
        """Write what is seen to a PNG file."""
        taken = await self.command("Page.captureScreenshot", format="png", **options)
        path.write_bytes(base64.b64decode(taken["data"]))


@asynccontextmanager
async def open_page(debugger: str) -> AsyncIterator[Page]:
    """Open a tab of a running browser, for the duration of the block."""
    async with aiohttp.ClientSession() as http:
        async with http.put(f"{debugger}/json/new?about:blank") as response:
            tab = await response.json(content_type=None)
        socket = await websocket_connect(tab["webSocketDebuggerUrl"], max_message_size=100_000_000)
        page = Page(socket)
        try:
            for domain in ("Page", "Runtime", "Log"):
                await page.command(f"{domain}.enable")
            yield page
        finally:
            socket.close()
            async with http.get(f"{debugger}/json/close/{tab['id']}"):
                pass
