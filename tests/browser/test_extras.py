"""A person at the Extras tab: one picture is enlarged, several are mirrored, a result goes on to img2img."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.browser.conftest import until

pytestmark = pytest.mark.browser


def picture(folder: Path, name: str, color: str) -> str:
    path = folder / name
    Image.new("RGB", (40, 24), color).save(path)
    return str(path)


def ended(page: Any, count: int) -> None:
    until(page, f"!atelier.panels.extras.running && atelier.panels.extras.pictures.length === {count}")


def test_a_picture_is_enlarged_and_sent_on(visit, tmp_path):
    page = visit()
    page.evaluate("atelier.tabs.open('tab_extras')")
    page.set_input_files("#extras_image input[type=file]", picture(tmp_path, "a.png", "green"))
    until(page, "atelier.panels.extras.canvas.naturalWidth === 40")
    page.click("#extras_upscaler_1 input")
    page.click("#extras_upscaler_1 [role=option]:has-text('Lanczos')")
    until(page, "document.querySelector('#extras_final_size').textContent.includes('160×96')")
    page.click("#extras_generate")
    ended(page, 1)
    size = page.evaluate("[atelier.panels.extras.pictures[0].width, atelier.panels.extras.pictures[0].height]")
    assert size == [160, 96]
    assert "Postprocess upscaler: Lanczos" in page.inner_text("#html_info_extras")
    page.click("#extras_send_to_img2img")
    until(page, "atelier.tabs.current() === 'img2img'")
    until(page, "document.querySelector('#img2img_image atelier-canvas').naturalWidth === 160")

    page.evaluate("atelier.tabs.open('tab_extras')")
    page.evaluate("atelier.tabs.open('extras_batch_process_tab')")
    files = [picture(tmp_path, "b.png", "red"), picture(tmp_path, "c.png", "blue")]
    page.set_input_files("#extras_image_batch input[type=file]", files)
    page.evaluate("inputAccordionChecked('extras_postprocess_flip', true)")
    page.click("#extras_generate")
    ended(page, 4)
    page.click("#extras_image_batch .files-remove >> nth=0")
    assert page.evaluate("atelier.panels.extras.files.entries.map((entry) => entry.name)") == ["c.png"]
