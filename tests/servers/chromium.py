"""A real browser: Chromium, driven by its own driver over WebDriver's HTTP, headless, with nothing behind it."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import TYPE_CHECKING, Any, Self

from servers.need import program
from servers.process import ServerProcess, answers, free_ports

if TYPE_CHECKING:
    from pathlib import Path

_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--hide-scrollbars"),
)
WAIT_SECONDS = 120.0


class Browser:
    """One window. Pages get at the hosts that resolve here, and at no other."""

    def __init__(self, folder: Path, *, dark: bool = False) -> None:
        (self._port,) = free_ports(1)
        self._base = f"http://127.0.0.1:{self._port}"
        command = [program("chromedriver"), f"--port={self._port}"]
        self._driver = ServerProcess(
            "chromedriver", command, lambda: answers(f"{self._base}/status"), folder / "chromedriver.log"
        )
        self._folder, self._dark = folder, dark
        self._session = ""

    def __enter__(self) -> Self:
        self._driver.start()
        flags = [*_FLAGS, f"--user-data-dir={self._folder / 'profile'}"]
        # No name but this machine's leads anywhere: a page that asks for one is seen to fail.
        flags.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost")
        if self._dark:
            flags.append("--blink-settings=preferredColorScheme=0")
        options = {"binary": program("chromium", "chromium-browser", "google-chrome"), "args": flags}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL", "browser": "ALL"}}
        made = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        return self

    def __exit__(self, *_raised: object) -> None:
        if self._session:
            self._ask("DELETE", self._session, None)
        self._driver.stop()

    def size(self, width: int, height: int) -> None:
        """Make the page as wide and high as that, in CSS pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, url: str) -> None:
        """Go there, and wait until the page is there."""
        self._ask("POST", f"{self._session}/url", {"url": url})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script on the page returns."""
        return self._ask("POST", f"{self._session}/execute/sync", {"script": script, "args": list(arguments)})

    def wait_for(self, script: str, *arguments: Any) -> Any:
        """What a script hands to its last argument, a function."""
        return self._ask("POST", f"{self._session}/execute/async", {"script": script, "args": list(arguments)})

    def click(self, selector: str) -> None:
        """Click on the first element that fits, as a person would."""
        self._ask("POST", f"{self._session}/element/{self._element(selector)}/click", {})

    def write(self, selector: str, text: str) -> None:
        """Type into the first element that fits."""
        self._ask("POST", f"{self._session}/element/{self._element(selector)}/value", {"text": text})

    @property
    def address(self) -> str:
        """Where the page is."""
        return str(self._ask("GET", f"{self._session}/url", None))

    def picture(self, path: Path) -> None:
        """A PNG of what is seen."""
        path.write_bytes(base64.b64decode(self._ask("GET", f"{self._session}/screenshot", None)))

    def requested(self) -> list[str]:
        """Every address that was asked for since the last call, over the network or not."""
        entries = self._ask("POST", f"{self._session}/se/log", {"type": "performance"})
        messages = [json.loads(entry["message"])["message"] for entry in entries]
        sent = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]

    def complaints(self) -> list[str]:
        """What stands in the console since the last call."""
        return [entry["message"] for entry in self._ask("POST", f"{self._session}/se/log", {"type": "browser"})]

    def devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        """Ask the browser itself."""
        return self._ask("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _element(self, selector: str) -> str:
        found = self._ask("POST", f"{self._session}/element", {"using": "css selector", "value": selector})
        (name,) = found.values()
        return str(name)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as response:
            return json.loads(response.read())["value"]
