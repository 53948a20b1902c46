"""A person at the page: types, generates, reloads, paints, reads parameters, changes settings."""

from __future__ import annotations

import io
import statistics
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, ImageChops, ImageStat

from atelier.imaging.writer import encode
from tests.browser.conftest import Site, idle, started, until

pytestmark = pytest.mark.browser

PROMPT = "a red circle on a blue background"
TEXT = (
    "a green star\nNegative prompt: fog\nSteps: 6, Sampler: Euler a, CFG scale: 4.5, Seed: 12, Size: 192x128, RNG: CPU"
)


def set_number(page: Any, elem_id: str, value: float) -> None:
    page.evaluate("([id, value]) => atelier.setNumber(id, value)", [elem_id, value])


def generate(page: Any, tab: str = "txt2img", **numbers: float) -> None:
    for name, value in numbers.items():
        set_number(page, f"{tab}_{name}", value)
    page.click(f"#{tab}_generate")


def shown_picture(page: Any, tab: str = "txt2img") -> Image.Image:
    until(page, f"(e => e && e.complete && e.naturalWidth)(document.querySelector('#{tab}_gallery .preview img[src]'))")
    url = page.evaluate(f"document.querySelector('#{tab}_gallery .preview img').src")
    return Image.open(io.BytesIO(httpx.get(url).content)).convert("RGB")


def test_a_prompt_becomes_a_picture(site: Site, visit):
    # Quicker than the engine: what is made has the size of the shipped model all the same, which nobody asked for.
    page = visit(ready=False)
    page.fill("#txt2img_prompt textarea", PROMPT)
    until(page, "document.querySelector('#txt2img_token_counter').textContent.trim() === '7/75'")
    generate(page, steps=12, seed=5)
    until(page, "document.querySelector('#txt2img_generate_box').classList.contains('busy')")
    assert page.is_visible("#txt2img_interrupt") and not page.is_visible("#txt2img_generate")
    until(page, "atelier.panels.txt2img.pictures.length")
    idle(page)
    picture = shown_picture(page)
    side = site.get("/atelier/v1/capabilities")["native_size"][0]
    assert picture.size == (side, side)
    red, _, blue = ImageStat.Stat(picture.crop((side * 3 // 8, side * 3 // 8, side * 5 // 8, side * 5 // 8))).mean
    assert red > blue
    red, _, blue = ImageStat.Stat(picture.crop((0, 0, side // 8, side // 8))).mean
    assert blue > red
    info = page.inner_text("#html_info_txt2img")
    assert PROMPT in info and "Steps: 12" in info and "Seed: 5" in info
    assert "Time taken" in page.inner_text("#html_log_txt2img")
    assert len(list((site.data / "outputs").rglob("*.png"))) == 1
    with page.expect_download() as parcel:
        page.click("#save_zip_txt2img")
    with zipfile.ZipFile(parcel.value.path()) as archive:
        assert [Image.open(archive.open(name)).size for name in archive.namelist()] == [(side, side)]


def test_every_tab_is_there_before_it_is_opened(visit):
    page = visit(ready=False)
    for selector in ("#img2img_prompt textarea", "#img2maskimg atelier-canvas canvas", "#setting_jpeg_quality input"):
        assert page.query_selector(selector), selector
    assert page.evaluate("get_uiCurrentTabContent().id") == "tab_txt2img"
    page.evaluate("switch_to_inpaint()")
    until(page, "get_uiCurrentTabContent().id === 'tab_img2img'")
    until(page, "document.querySelector('#img2maskimg').getClientRects().length > 0")
    assert page.is_visible("#img2img_mask_blur")
    assert page.evaluate("opts.samples_format") == "png"


def test_a_reload_finds_the_job_again_and_a_second_browser_too(visit):
    page = visit()
    page.fill("#txt2img_prompt textarea", "a panda")
    # Long enough for a reload on a quick machine; ended by hand on a slow one.
    generate(page, steps=150, seed=3)
    until(page, "/step/.test(document.querySelector('#txt2img_progress').textContent)")
    page.reload()
    started(page)
    assert page.evaluate("atelier.panels.txt2img.running")
    until(page, "document.querySelector('#txt2img_prompt textarea').value === 'a panda'")
    other = visit()
    until(other, "atelier.panels.txt2img.running || atelier.panels.txt2img.pictures.length")
    page.evaluate("atelier.panels.txt2img.interrupt()")
    for each in (page, other):
        idle(each)
        assert shown_picture(each).size[0] >= 64
        assert "Seed: 3" in each.inner_text("#html_info_txt2img")
    page.reload()
    started(page)
    assert "Seed: 3" in shown_info(page)


def test_a_reload_at_once_after_generate_loses_neither_words_nor_job(visit):
    page = visit()
    page.fill("#txt2img_prompt textarea", "a panda")
    generate(page, steps=150, seed=3)
    page.reload()
    started(page)
    until(page, "atelier.panels.txt2img.running")
    until(page, "document.querySelector('#txt2img_prompt textarea').value === 'a panda'")


def shown_info(page: Any) -> str:
    shown_picture(page)
    return page.inner_text("#html_info_txt2img")


def test_a_job_is_interrupted_by_the_keyboard(visit):
    page = visit()
    page.fill("#txt2img_prompt textarea", "a panda")
    for name, value in (("steps", 150), ("batch_count", 2)):
        set_number(page, f"txt2img_{name}", value)
    page.focus("#txt2img_prompt textarea")
    page.keyboard.press("Control+Enter")
    until(page, "/step/.test(document.querySelector('#txt2img_progress').textContent)")
    page.keyboard.press("Escape")
    idle(page)
    assert "Interrupted" in page.inner_text("#html_log_txt2img")
    assert page.is_visible("#txt2img_generate")


def test_a_mask_is_painted_and_the_rest_of_the_picture_stays(site: Site, visit, tmp_path: Path):
    source = Image.new("RGB", (128, 128), (20, 140, 60))
    (tmp_path / "green.png").write_bytes(encode(source, "png", ""))
    page = visit()
    page.evaluate("switch_to_inpaint()")
    page.fill("#img2img_prompt textarea", PROMPT)
    page.click("#img2img_generate")
    page.wait_for_selector("#img2img_error")
    assert "needs a picture" in page.inner_text("#img2img_error")
    page.set_input_files("#img2maskimg input[type=file]", str(tmp_path / "green.png"))
    until(page, "document.querySelector('#img2maskimg atelier-canvas').hasPicture")
    paint(page, [(-0.25, 0), (0.25, 0)])
    canvas = "document.querySelector('#img2maskimg atelier-canvas')"
    assert page.evaluate(f"{canvas}.painted")
    page.keyboard.press("Control+z")
    assert not page.evaluate(f"{canvas}.painted")
    page.keyboard.press("Control+y")
    assert page.evaluate(f"{canvas}.painted")
    before = {job["id"] for job in site.get("/atelier/v1/jobs")["jobs"]}
    generate(page, "img2img", steps=6, seed=4, mask_blur=0)
    until(page, "atelier.panels.img2img.running")
    idle(page, "img2img")
    result = shown_picture(page, "img2img").resize(source.size)
    job = next(job for job in site.get("/atelier/v1/jobs")["jobs"] if job["id"] not in before)
    asked = site.get(f"/atelier/v1/jobs/{job['id']}")["request"]
    mask = Image.open(
        io.BytesIO(httpx.get(f"{site.url}/atelier/v1/pictures/{asked['mask']['image']['sha256']}").content)
    )
    left, top, right, bottom = mask.convert("L").point(lambda v: 255 * (v > 127)).getbbox()
    assert left < 45 and right > 83 and 20 < top < 64 < bottom < 108
    difference = ImageChops.difference(result, source)
    assert statistics.mean(ImageStat.Stat(difference.crop((0, 0, 128, 12))).mean) < 3
    assert statistics.mean(ImageStat.Stat(difference.crop((48, 60, 80, 68))).mean) > 12


def paint(page: Any, points: list[tuple[float, float]]) -> None:
    """A stroke through points given from the middle of the frame, in parts of its height."""
    page.locator("#img2maskimg .canvas-frame").scroll_into_view_if_needed()
    box = page.locator("#img2maskimg .canvas-frame").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    places = [(middle[0] + x * box["height"], middle[1] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=8)
    page.mouse.up()


def test_parameters_of_a_picture_are_read_and_sent(visit, tmp_path: Path):
    (tmp_path / "star.png").write_bytes(encode(Image.new("RGB", (192, 128), "green"), "png", TEXT))
    page = visit()
    page.evaluate("atelier.tabs.open('tab_pnginfo')")
    page.set_input_files("#pnginfo_image input[type=file]", str(tmp_path / "star.png"))
    until(page, "document.querySelector('#html_info_pnginfo').textContent.includes('a green star')")
    page.click("#pnginfo_send_to_txt2img")
    until(page, "document.querySelector('#txt2img_prompt textarea').value === 'a green star'")
    until(page, "atelier.getNumber('txt2img_steps') === 6")
    assert page.input_value("#txt2img_neg_prompt textarea") == "fog"
    assert page.evaluate("atelier.getNumber('txt2img_width')") == 192
    assert page.input_value("#txt2img_sampling input") == "Euler a"
    page.click("#txt2img_res_switch_btn")
    until(page, "atelier.getNumber('txt2img_width') === 128 && atelier.getNumber('txt2img_height') === 192")
    page.fill("#txt2img_prompt textarea", "something else")
    drop(page, "#txt2img_prompt_container", tmp_path / "star.png")
    until(page, "document.querySelector('#txt2img_prompt textarea').value === 'a green star'")


def drop(page: Any, selector: str, path: Path) -> None:
    """As if a file had been dragged there from the desktop."""
    page.evaluate(
        """([selector, bytes]) => {
            const carried = new DataTransfer();
            carried.items.add(new File([new Uint8Array(bytes)], 'dropped.png', {type: 'image/png'}));
            const told = {dataTransfer: carried, bubbles: true, cancelable: true};
            document.querySelector(selector).dispatchEvent(new DragEvent('drop', told));
        }""",
        [selector, list(path.read_bytes())],
    )


def test_settings_are_found_changed_and_refused(site: Site, visit):
    page = visit()
    page.evaluate("atelier.tabs.open('tab_settings')")
    until(page, "document.querySelector('#setting_jpeg_quality input[type=number]').value === '80'")
    page.fill("#settings_search", "jpeg quality")
    assert page.is_visible("#setting_jpeg_quality") and not page.is_visible("#setting_samples_save")
    page.fill("#setting_jpeg_quality input[type=number]", "500")
    page.click("#settings_submit")
    until(page, "document.querySelector('.settings-note').className.includes('error')")
    assert "Use 1 to 100" in page.inner_text(".settings-note")
    page.fill("#setting_jpeg_quality input[type=number]", "91")
    page.click("#settings_submit")
    until(page, "document.querySelector('.settings-note').className.includes('good')")
    assert site.get("/sdapi/v1/options")["jpeg_quality"] == 91
    until(page, "opts.jpeg_quality === 91")


def test_weights_are_edited_with_the_arrow_keys(visit):
    page = visit(ready=False)
    page.fill("#txt2img_prompt textarea", "a red circle")
    page.evaluate("document.querySelector('#txt2img_prompt textarea').setSelectionRange(3, 3)")
    page.focus("#txt2img_prompt textarea")
    page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("Control+ArrowUp")
    assert page.input_value("#txt2img_prompt textarea") == "a (red:1.2) circle"
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("Control+ArrowDown")
    assert page.input_value("#txt2img_prompt textarea") == "a red circle"
    changed = page.evaluate("atelier.weighted('<lora:ink:1> cat', 8, 8, true).text")
    assert changed == "<lora:ink:1.05> cat"


@pytest.mark.parametrize("width", [1400, 390])
def test_light_and_dark_are_drawn(visit, width: int):
    brightness = []
    for scheme in ("light", "dark"):
        page = visit(ready=False, color_scheme=scheme, viewport={"width": width, "height": 844})
        drawn = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        brightness.append(statistics.mean(ImageStat.Stat(drawn).mean))
        # Text, lines and the one coloured button: a blank page has a handful of colours.
        assert len(drawn.getcolors(1 << 20)) > 100
        # Nothing may stick out to the side.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
        # Every tab can be reached, however narrow the page.
        page.evaluate("atelier.tabs.open('tab_extensions')")
        until(page, "get_uiCurrentTabContent().id === 'tab_extensions'")
    assert brightness[0] > 180 and brightness[1] < 70
    page.click(".theme-toggle")
    until(page, "!document.body.classList.contains('dark')")


def _counts_fillings(page: Any) -> None:
    page.evaluate("""() => {
        window.fillings = 0;
        const filled = atelier.status.filled.bind(atelier.status);
        atelier.status.filled = (...told) => { filled(...told); window.fillings += 1; };
    }""")


def test_a_size_chosen_while_that_of_the_model_is_on_its_way_stays(site: Site, visit):
    page = visit()
    _counts_fillings(page)
    page.evaluate("""() => {
        const wire = atelier.status.wire.bind(atelier.status);
        atelier.status.settled = false;
        atelier.status.wire = () => {
            setTimeout(() => { atelier.setNumber("txt2img_width", 128); window.chosen = true; }, 0);
            return wire();
        };
    }""")
    # A click counts for nothing while an earlier one has no answer yet.
    until(page, "window.chosen || document.querySelector('#refresh_lists').click()")
    page.evaluate("window.fillings = 0")
    until(page, "window.fillings")
    side = site.get("/atelier/v1/capabilities")["native_size"][0]
    assert page.evaluate("['width', 'height'].map(name => atelier.getNumber(`txt2img_${name}`))") == [128, side]
    assert page.evaluate("atelier.status.settled")
    generate(page, steps=1)
    until(page, "atelier.panels.txt2img.pictures.length")
    idle(page)
    assert page.evaluate("atelier.panels.txt2img.pictures.find(p => p.role === 'picture').width") == 128


def test_a_prompt_typed_before_the_page_has_its_values_stays(visit):
    def slowly(page: Any) -> None:
        page.route("**/queue/data*", lambda route: (page.wait_for_timeout(1500), route.continue_()))

    earlier = visit()
    earlier.fill("#txt2img_prompt textarea", "what was there last")
    generate(earlier, steps=1)
    idle(earlier)
    page = visit(ready=False, before=slowly)
    _counts_fillings(page)
    page.fill("#txt2img_prompt textarea", "typed early")
    assert page.evaluate("window.fillings") == 0
    until(page, "window.fillings")
    page.wait_for_timeout(300)
    assert page.input_value("#txt2img_prompt textarea") == "typed early"
    page.unroute_all(behavior="ignoreErrors")


def test_the_hires_button_enlarges_the_chosen_picture_among_the_others(visit):
    page = visit()
    page.fill("#txt2img_prompt textarea", "a panda")
    generate(page, steps=2, seed=21, batch_count=2, width=128, height=128, hires_steps=1, hr_scale=1.5)
    until(page, "atelier.panels.txt2img.gallery.pictures.length === 3")
    idle(page)
    page.evaluate("atelier.panels.txt2img.gallery.choose(0)")
    page.click("#txt2img_upscale")
    assert not page.evaluate("atelier.panels.txt2img.running"), "a grid is not enlarged"
    page.evaluate("atelier.panels.txt2img.gallery.choose(1)")
    page.click("#txt2img_upscale")
    until(page, "atelier.panels.txt2img.gallery.pictures.some(p => p.width === 192)")
    idle(page)
    shown = page.evaluate("atelier.panels.txt2img.gallery.pictures.map(p => [p.width, p.seed, p.role])")
    assert shown == [[256, -1, "grid"], [192, 21, "picture"], [128, 22, "picture"]]
    assert "Hires upscale: 1.5" in page.inner_text("#html_info_txt2img")


def test_a_picture_chosen_while_the_jobs_list_is_on_its_way_stays_chosen(visit):
    page = visit()
    page.evaluate("""() => {
        const get = atelier.api.get.bind(atelier.api);
        atelier.api.get = async (path, ...more) => {
            if (path.endsWith("/pictures")) {
                await new Promise((done) => setTimeout(done, 3000));
                window.listed = true;
            }
            return get(path, ...more);
        };
    }""")
    page.fill("#txt2img_prompt textarea", "a panda")
    generate(page, steps=2, seed=31, batch_count=2, width=128, height=128)
    idle(page)
    until(page, "atelier.panels.txt2img.gallery.pictures.length >= 2")
    wanted = page.evaluate("atelier.panels.txt2img.gallery.pictures.find(p => p.seed === 31).sha256")
    assert not page.evaluate("window.listed || false")
    gallery = "atelier.panels.txt2img.gallery"
    page.evaluate(f"s => {gallery}.choose({gallery}.pictures.findIndex(p => p.sha256 === s))", wanted)
    until(page, "window.listed")
    until(page, "atelier.panels.txt2img.gallery.pictures.length === 3")
    page.wait_for_timeout(500)
    assert page.evaluate("atelier.panels.txt2img.gallery.selected.sha256") == wanted


def test_a_grid_is_chosen_made_and_brought_back(site: Site, visit):
    page = visit()

    def choose(selector: str, name: str) -> None:
        page.click(f"{selector} input")
        page.get_by_role("option", name=name, exact=True).click()

    grid = "#script_txt2img_xyz_plot_"
    page.fill("#txt2img_prompt textarea", PROMPT)
    choose("#tab_txt2img #script_list", "X/Y/Z plot")
    choose(f"{grid}x_type", "Steps")
    page.fill(f"{grid}x_values textarea, {grid}x_values input", "1,2")
    choose(f"{grid}y_type", "RNG source")
    page.click(f"{grid}fill_y")
    until(page, f"document.querySelector('{grid}y_values_dropdown').innerText.includes('NV')")
    generate(page, steps=9, seed=5)
    until(page, "atelier.panels.txt2img.pictures.some((p) => p.role === 'grid')")
    idle(page)
    info = page.inner_text("#html_info_txt2img")
    assert "Script: X/Y/Z plot" in info and "X Values: " in info and "Y Type: RNG source" in info
    page.reload()
    until(page, "window.atelier && atelier.panels && atelier.panels.txt2img.pictures.length")
    page.click("#txt2img_reuse")
    until(page, "document.querySelector('#tab_txt2img #script_list input').value === 'X/Y/Z plot'")
    until(page, f"document.querySelector('{grid}x_type input').value === 'Steps'")
