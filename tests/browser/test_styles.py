"""A person at the dialog "Edit styles": one is written, chosen, put into the prompt, found again, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser.conftest import Site, started, until

pytestmark = pytest.mark.browser

NAME = "#txt2img_styles_edit_select input"
DIALOG = "document.querySelector('#txt2img_styles_dialog')"
PROMPT = "document.querySelector('#txt2img_prompt textarea').value"
SAVE, DELETE = "#txt2img_edit_style_save", "#txt2img_edit_style_delete"


def told(page: Any, text: str) -> None:
    until(page, f"{DIALOG}.querySelector('.style-told').textContent.includes('{text}')")


def edit(page: Any) -> None:
    page.click("#txt2img_styles_edit_button")
    until(page, f"{DIALOG}.open")


def chosen(tab: str, names: str) -> str:
    return f"atelier.styles.chosen('{tab}').join() === '{names}'"


def choose(page: Any, tab: str, name: str) -> None:
    """Looks into the list anew until the name is there: it comes a moment after the dialog has been answered."""
    until(page, f"""(() => {{
        const box = document.querySelector('#{tab}_styles input');
        const options = [...document.querySelectorAll('#{tab}_styles [role=option]')];
        const option = options.find((o) => o.textContent.includes('{name}'));
        if (!option) {{ box.blur(); box.focus(); return false; }}
        option.dispatchEvent(new MouseEvent('mousedown', {{bubbles: true}}));
        return true;
    }})()""")
    until(page, chosen(tab, name))


def test_a_style_is_written_chosen_found_again_and_deleted(site: Site, visit):
    page = visit()
    page.fill("#txt2img_prompt textarea", "a cat")
    edit(page)
    assert page.evaluate("document.activeElement.id") == "txt2img_styles_edit_select-text"
    page.keyboard.type("#x")
    page.keyboard.press("Enter")
    told(page, "cannot be a style")
    page.fill(NAME, "Ink")
    page.fill("#txt2img_edit_style_prompt textarea", "ink drawing of {prompt}")
    page.fill("#txt2img_edit_style_neg_prompt textarea", "photo")
    assert not page.is_visible(DELETE)
    page.click(SAVE)
    told(page, "Saved")
    assert page.is_visible(DELETE)
    assert (site.data / "styles.csv").read_text("utf-8-sig").splitlines()[1] == "Ink,ink drawing of {prompt},photo"

    # Escape closes the dialog, and does not reach a job that runs.
    page.evaluate("""() => {
        window.interrupted = false;
        Object.assign(atelier.panels.txt2img, {job: 'none', interrupt() { window.interrupted = true; }});
    }""")
    page.keyboard.press("Escape")
    until(page, f"!{DIALOG}.open")
    assert not page.evaluate("window.interrupted")
    page.evaluate("atelier.panels.txt2img.job = null")
    assert page.evaluate("document.activeElement.id") == "txt2img_styles_edit_button"

    choose(page, "txt2img", "Ink")
    page.click("#txt2img_style_apply")
    until(page, f"{PROMPT} === 'ink drawing of a cat' && {chosen('txt2img', '')}")

    page.reload()
    started(page)
    page.fill("#txt2img_prompt textarea", "a dog")
    choose(page, "txt2img", "Ink")
    page.evaluate("atelier.tabs.open('tab_img2img')")
    choose(page, "img2img", "Ink")
    page.evaluate("atelier.tabs.open('tab_txt2img')")
    edit(page)
    # The chosen one is shown.
    until(page, "document.querySelector('#txt2img_edit_style_prompt textarea').value === 'ink drawing of {prompt}'")
    page.click("#txt2img_style_apply_dialog")
    until(page, f"{PROMPT} === 'ink drawing of a dog'")
    page.once("dialog", lambda question: question.accept())
    page.click(DELETE)
    told(page, "Deleted")
    until(page, f"{chosen('txt2img', '')} && {chosen('img2img', '')}")
    assert site.get("/sdapi/v1/prompt-styles") == []
