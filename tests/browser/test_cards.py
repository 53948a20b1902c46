"""A person at the cards: puts a network into the prompt and takes it out, searches, writes notes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import ROOT, Site, idle, until

pytestmark = pytest.mark.browser

NAME = "it's <b>&\"🎨"
PROMPT = "#txt2img_prompt textarea"
NEGATIVE = "#txt2img_neg_prompt textarea"


def open_cards(page: Any, name: str = "lora", tab: str = "txt2img") -> None:
    page.evaluate(f"atelier.tabs.open('{tab}_{name}')")
    page.wait_for_selector(f"#{tab}_{name}_cards .card")


def card(page: Any, name: str, part: str = ".card-main", tab: str = "txt2img", kind: str = "lora") -> Any:
    return page.locator(f"#{tab}_{kind}_cards .card").filter(has_text=name).locator(part)


@pytest.fixture
def own(site: Site) -> Callable[..., Path]:
    """A copy of the shipped LoRA under another name."""

    def make(name: str, **notes: Any) -> Path:
        path = site.data / "models" / "Lora" / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "models" / "Lora" / "atelier-raccoon.safetensors", path)
        if notes:
            path.with_suffix(".json").write_text(json.dumps(notes))
        return path

    return make


def test_a_card_enters_the_prompt_marks_itself_and_leaves_again(visit, own):
    own("sub/inky", **{"activation text": "ink, pen", "negative text": "photo", "preferred weight": 0.7})
    page = visit()
    page.fill(PROMPT, "a cat")
    open_cards(page)
    page.click("#txt2img_lora_extra_refresh")
    page.wait_for_selector(".card:has-text('inky')")
    card(page, "inky").click()
    assert page.input_value(PROMPT) == "a cat <lora:inky:0.7> ink, pen" and page.input_value(NEGATIVE) == "photo"
    until(page, "document.querySelectorAll('#txt2img_lora_cards .in-use').length === 1")
    page.fill(PROMPT, "a cat <lora:inky:0.25:lbw=OUTS> ink, pen, in rain")
    card(page, "inky").click()
    assert page.input_value(PROMPT) == "a cat, in rain" and page.input_value(NEGATIVE) == ""
    assert card(page, "inky").get_attribute("aria-pressed") == "false"
    page.click(".card-folder:has-text('sub')")
    until(page, "document.querySelectorAll('#txt2img_lora_cards .card:not([hidden])').length === 1")
    # Another wrapped A1111's function: it is what cards call.
    page.evaluate("window.wrapped = cardClicked; cardClicked = (...told) => { window.told = told; }")
    card(page, "inky").click()
    assert page.evaluate("window.told") == ["txt2img", "<lora:inky:0.7> ink, pen", "photo", False]


def test_an_embedding_goes_where_the_cursor_was(visit):
    page = visit()
    open_cards(page, "textual_inversion")
    page.fill(PROMPT, "")
    page.fill(NEGATIVE, "fog")
    card(page, "polar-bear", kind="textual_inversion").click()
    assert page.input_value(NEGATIVE) == "fog atelier-polar-bear" and page.input_value(PROMPT) == ""
    page.fill(NEGATIVE, "(atelier-polar-bear:1.3), atelier-polar-bears")
    card(page, "polar-bear", kind="textual_inversion").click()
    assert page.input_value(NEGATIVE) == "atelier-polar-bears"


def test_notes_are_edited_and_found_and_escape_ends_no_job(site: Site, visit, own):
    path = own(NAME)
    page = visit()
    open_cards(page)
    page.click("#txt2img_lora_extra_refresh")
    card(page, NAME).wait_for()
    assert page.locator(".card b").count() == 0
    page.fill(PROMPT, "a panda")
    page.evaluate("atelier.setNumber('txt2img_steps', 150)")
    page.click("#txt2img_generate")
    until(page, "atelier.panels.txt2img.running")
    card(page, NAME, ".card-tool >> nth=2").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    until(page, "!document.querySelector('dialog')")
    assert page.evaluate("atelier.panels.txt2img.ending") == ""
    page.evaluate("atelier.panels.txt2img.interrupt()")
    idle(page)
    page.evaluate("atelier.setNumber('txt2img_steps', 1)")
    page.click("#txt2img_generate")
    until(page, "atelier.panels.txt2img.gallery.selected")
    idle(page)
    card(page, NAME, ".card-tool >> nth=2").click()
    page.fill(".card-edit textarea >> nth=0", "Tusche & <i>Feder</i>")
    page.click(".card-edit .card-side .list-button")
    page.wait_for_selector(".card-edit .card-view img")
    page.click(".card-edit button[type=submit]")
    until(page, "!document.querySelector('dialog')")
    assert json.loads(path.with_suffix(".json").read_text("utf-8"))["description"] == "Tusche & <i>Feder</i>"
    assert path.with_name(f"{NAME}.preview.png").is_file()
    card(page, NAME, "img").wait_for()
    assert card(page, NAME, "img").evaluate("(image) => image.decode().then(() => image.naturalWidth)")
    page.fill("#txt2img_lora_extra_search", "feder tusche")
    until(page, "document.querySelectorAll('#txt2img_lora_cards .card:not([hidden])').length === 1")
    assert card(page, NAME).is_visible()
    card(page, NAME, ".card-tool >> nth=1").click()
    page.wait_for_selector(".card-metadata td:has-text('networks.lora')")
