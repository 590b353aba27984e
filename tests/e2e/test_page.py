"""The pages in a real browser: what a person sees and does, in both languages.

`ZIZHU_SCREENSHOTS` names a folder for pictures of every page; without it none are kept.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from zizhu.framework.testkit.fakes.served import ServedNode

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

pytestmark = pytest.mark.browser
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
FILE = {"name": "发票 2026-118.xml", "mimeType": "text/xml", "buffer": "<invoice>茶叶</invoice>".encode()}
ALTERED = {**FILE, "buffer": FILE["buffer"] + b" "}
WIDE, NARROW = {"width": 1360, "height": 900}, {"width": 390, "height": 844}
TITLES = {"en-GB": "Chain height", "zh-CN": "链高度"}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Chromium without a window."""
    if CHROMIUM is None:
        pytest.skip("no chromium is installed")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


class Tab:
    """A page with a memory of what went wrong in it."""

    def __init__(self, browser: object, node: ServedNode, **options: object) -> None:
        self.context = browser.new_context(**{"viewport": WIDE, "locale": "en-GB", **options})
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.node = node
        self.wrong: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)

    def go(self, route: str, wanted: str) -> None:
        """Opens a route and waits for a part of it."""
        self.page.goto(f"{self.node.url}/#/{route}")
        self.page.wait_for_selector(wanted)

    def picture(self, name: str) -> None:
        """Keeps a picture of the whole page, if pictures are kept."""
        folder = os.environ.get("ZIZHU_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)

    def fits(self) -> bool:
        """Whether nothing is wider than the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.mark.parametrize("locale", TITLES)
def test_the_overview_speaks_the_browsers_language_and_follows_the_chain(
    browser: object, page: ServedNode, locale: str
) -> None:
    """Members with their state, and a height that moves when a block comes, without reloading."""
    tab = Tab(browser, page, locale=locale)
    tab.go("", ".figures")
    assert TITLES[locale] in tab.page.inner_text(".figures")
    assert tab.page.locator("tbody tr").filter(has_text="node4").locator(".state.bad").count() == 1
    assert tab.page.get_attribute(".ledger .mono", "title") == page.node.ledger_id.hex()
    height = page.node.visible_height
    page.do(page.node.make_block)
    # A selector, and no function to evaluate: the page's own policy forbids that, and rightly.
    tab.page.wait_for_selector(f".figure:first-child .value:text-is('{height + 1}')")
    tab.page.wait_for_selector(f"a[href='#/blocks/{height + 1}']")
    tab.picture(f"overview-{locale}")
    assert tab.wrong == []


def test_a_block_and_its_transactions_are_followed_by_links(browser: object, page: ServedNode) -> None:
    """From the list to a block with its signers, to a failed transaction with its code and its proof."""
    tab = Tab(browser, page, locale="zh-CN")
    tab.go("blocks", "table")
    tab.page.click("a[href='#/blocks/2']")
    tab.page.wait_for_selector(".facts")
    assert tab.page.locator(".tag.good").all_inner_texts() == ["node1", "node2", "node3", "node4"]
    tab.picture("block-zh-CN")
    tab.page.locator("tbody tr").filter(has=tab.page.locator(".state.bad")).locator("a").first.click()
    tab.page.wait_for_selector("pre")
    assert "native.balance" in tab.page.inner_text("main") and "5000" in tab.page.inner_text("pre")
    with tab.page.expect_download() as download:
        tab.page.click("a[download]")
    assert download.value.path().stat().st_size > 1000
    tab.picture("transaction-zh-CN")
    assert tab.wrong == []


@pytest.mark.parametrize("locale", TITLES)
def test_a_file_is_registered_and_verified_by_dropping_it(browser: object, page: ServedNode, locale: str) -> None:
    """Registered with index and height; the same bytes are a yes, one byte more is a no with its reason."""
    tab = Tab(browser, page, locale=locale)
    tab.go("vouchers", ".drop")
    assert "issuer" in tab.page.inner_text("main"), "the page names the account that signs"
    _drop(tab, "#register-files", FILE)
    tab.page.wait_for_selector(".answer.yes")
    assert str(page.node.visible_height) in tab.page.inner_text(".answer.yes")
    tab.page.wait_for_selector("a[href='#/vouchers/1']")
    tab.page.set_input_files("#verify-files", [FILE, ALTERED])
    tab.page.wait_for_selector(".answer.no")
    verdicts = tab.page.locator(".answer strong").all_inner_texts()
    assert len(verdicts) == 3
    tab.picture(f"vouchers-{locale}")
    tab.go("vouchers/1", ".facts")
    tab.picture(f"voucher-{locale}")
    assert tab.wrong == []


def _drop(tab: Tab, selector: str, file: dict) -> None:
    """Drops a file as a person does, with the events of a mouse."""
    tab.page.evaluate(
        """([selector, name, text]) => {
            const data = new DataTransfer();
            data.items.add(new File([text], name));
            const place = document.querySelector(selector).closest("label");
            for (const kind of ["dragover", "drop"])
                place.dispatchEvent(new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        [selector, file["name"], file["buffer"].decode()],
    )


def test_languages_are_switched_on_the_spot_and_remembered(browser: object, page: ServedNode) -> None:
    """The switch changes every text at once; the next visit begins in that language."""
    tab = Tab(browser, page)
    tab.go("", ".figures")
    tab.page.click(".switch [lang=zh]")
    tab.page.wait_for_selector("html[lang=zh-CN] .figures")
    tab.page.reload()
    tab.page.wait_for_selector(".figures")
    assert "链高度" in tab.page.inner_text(".figures")
    assert tab.wrong == []


def test_pages_fit_a_telephone_and_the_dark(browser: object, page: ServedNode) -> None:
    """On 390 points nothing is wider than the screen; the dark scheme has its own paper."""
    tab = Tab(browser, page, viewport=NARROW, device_scale_factor=2, color_scheme="dark")
    for route, wanted in (("", "table"), ("blocks", "table"), ("transactions", "table"), ("vouchers", ".drop")):
        tab.go(route, wanted)
        assert tab.fits(), route
        tab.picture(f"phone-{route or 'overview'}")
    assert tab.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 20, 28)"


def test_the_keyboard_reaches_everything(browser: object, page: ServedNode) -> None:
    """From the top by Tab: skip link, the four pages, both languages, and the place for files, each with focus shown."""
    tab = Tab(browser, page)
    tab.go("vouchers", ".drop")
    reached = []
    for _ in range(14):
        tab.page.keyboard.press("Tab")
        reached.append(tab.page.evaluate("document.activeElement.id || document.activeElement.textContent"))
    for wanted in ("skip", "Overview", "Vouchers", "EN", "中文", "kind", "register-files", "verify-files"):
        assert wanted in reached, (wanted, reached)


def test_what_is_not_there_is_said_with_a_way_on(browser: object, page: ServedNode) -> None:
    """A block that is not there, an unknown transaction, an unknown page: words and a fix, no blank page."""
    tab = Tab(browser, page)
    tab.go("blocks/999", ".notice.bad")
    assert "999" in tab.page.inner_text(".notice.bad")
    tab.go("transactions/" + "ab" * 32, ".notice.bad")
    tab.go("nonsense", ".button")
    assert "nonsense" in tab.page.inner_text("main")


def test_an_attackers_text_stays_text(browser: object, page: ServedNode) -> None:
    """Markup in a file's name or a transaction's data is shown, never run."""
    tab = Tab(browser, page)
    tab.go("vouchers", ".drop")
    evil = {"name": "<img src=x onerror=document.title='owned'>.xml", "mimeType": "text/xml", "buffer": b"evil"}
    tab.page.set_input_files("#verify-files", [evil])
    tab.page.wait_for_selector(".answer.no")
    assert "<img" in tab.page.inner_text(".answer") and tab.page.locator(".answer img").count() == 0
    assert tab.page.title() != "owned"
