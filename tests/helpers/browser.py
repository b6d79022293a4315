"""A page of ours in headless Chromium."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # a container has no user namespaces for it
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1280,900",
)


class Browser:
    """A browser, and the few things that tests ask of a page in it."""

    def __init__(self) -> None:
        reason = "is not installed, and pages are tested in a browser"
        webdriver = pytest.importorskip("selenium.webdriver", reason=f"selenium {reason}")
        paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
        for name, path in paths.items():
            if path is None:
                pytest.skip(f"{name} {reason}")
        options = webdriver.ChromeOptions()
        for flag in FLAGS:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        # Both paths are named, or selenium would look for downloads.
        options.binary_location = paths["chromium"]
        service = webdriver.ChromeService(paths["chromedriver"])
        self.driver = webdriver.Chrome(options=options, service=service)
        self.requests: list[str] = []
        self.complaints: list[str] = []

    def open(self, path: Path) -> None:
        self.driver.get(path.as_uri())

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def texts(self, selector: str) -> list[str]:
        """Text of each element, as it stands in the document."""
        script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.textContent)"
        found: list[str] = self.run(script, selector)
        return found

    def text(self, selector: str) -> str:
        (text,) = self.texts(selector)
        return text

    def set(self, selector: str, value: Any) -> None:
        """Give a field a value, or a box a tick, and tell the page as a user's input would."""
        self.run(
            "const field = document.querySelector(arguments[0]);"
            "field[field.type === 'checkbox' ? 'checked' : 'value'] = arguments[1];"
            "for (const kind of ['input', 'change'])"
            "  field.dispatchEvent(new Event(kind, {bubbles: true}));",
            selector,
            value,
        )

    def read_logs(self) -> None:
        """Add what was asked of the network and said on the console since the last time."""
        self.complaints += [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self.requests.append(message["params"]["request"]["url"])

    def forget(self) -> None:
        """Drop what was asked and said so far."""
        self.read_logs()
        self.requests.clear()
        self.complaints.clear()

    def close(self) -> None:
        self.driver.quit()
