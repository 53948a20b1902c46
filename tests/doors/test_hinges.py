"""What stands behind the doors: prompts, pictures, masks, networks, patches, devices, queue."""

import sys
import threading

import gradio as gr
import pytest
import torch
from PIL import Image

import modules.generation_parameters_copypaste as old
import modules.scripts as scripts
from modules import (
    call_queue,
    devices,
    errors,
    extensions,
    extra_networks,
    images,
    infotext_utils,
    masking,
    patches,
    paths,
    prompt_parser,
    script_callbacks,
    sd_models,
    sd_samplers,
    sd_schedulers,
    shared,
    ui_components,
)


@pytest.fixture(autouse=True)
def fresh(host):
    host.guard.switch_on("scripts")


def test_prompt_shapes():
    assert prompt_parser.parse_prompt_attention("a (b:1.3) BREAK c") == [
        ["a ", 1.0],
        ["b", 1.3],
        ["", 1.0],
        ["BREAK", -1],
        ["c", 1.0],
    ]
    (schedules,) = prompt_parser.get_learned_conditioning_prompt_schedules(["[a:b:5] c"], 10)
    assert schedules == [[5, "a c"], [10, "b c"]]
    indexes, texts, places = prompt_parser.get_multicond_prompt_list(["a AND b :0.5", "a"])
    assert indexes == [[(0, 1.0), (1, 0.5)], [(0, 1.0)]] and texts[0].strip() == "a" and len(places) == len(texts)


def test_learned_conditioning_calls_the_model_once_a_prompt():
    calls = []

    class Model:
        def get_learned_conditioning(self, texts):
            calls.append(list(texts))
            return torch.stack([torch.full((77, 4), float(len(text))) for text in texts])

    prompts = prompt_parser.SdConditioning(["[a:bb:2]", "ccc"], is_negative_prompt=True)
    learned = prompt_parser.get_learned_conditioning(Model(), prompts, 4)
    assert calls == [["a", "bb"], ["ccc"]]
    assert prompt_parser.reconstruct_cond_batch(learned, 1)[:, 0, 0].tolist() == [1, 3]
    assert prompt_parser.reconstruct_cond_batch(learned, 4)[:, 0, 0].tolist() == [2, 3]
    multi = prompt_parser.get_multicond_learned_conditioning(Model(), ["a AND bb:2"], 4)
    rows, stacked = prompt_parser.reconstruct_multicond_batch(multi, 0)
    assert rows == [[(0, 1.0), (1, 2.0)]] and stacked.shape[0] == 2


def test_extra_networks():
    text, data = extra_networks.parse_prompt("x <lora:name:0.5:te=1> y <mine:a>")
    assert text == "x  y " and data["lora"][0].positional == ["name", "0.5"] and data["mine"][0].items == ["a"]
    seen = []

    class Mine(extra_networks.ExtraNetwork):
        def activate(self, p, params_list):
            seen.append([p_.items for p_ in params_list])

        def deactivate(self, p):
            seen.append("off")

    extra_networks.register_extra_network(Mine("mine"))
    extra_networks.activate(None, data)
    extra_networks.activate(None, {})
    extra_networks.deactivate(None, data)
    assert seen == [[["a"]], [], "off"]
    extra_networks.extra_network_registry.clear()


def test_saving_a_picture(host, tmp_path):
    seen = []
    script_callbacks.on_before_image_saved(
        lambda params: params.pnginfo.update(parameters=params.pnginfo["parameters"] + "!")
    )
    script_callbacks.on_image_saved(lambda params: seen.append(params.filename))
    picture = Image.new("RGB", (16, 16), "red")
    path, beside = images.save_image(
        picture, str(tmp_path), "base", seed=5, prompt="a cat", info="a cat\nSteps: 1", save_to_dirs=False
    )
    assert path.endswith("base-0000-5.png") and beside is None and seen == [path] and picture.already_saved_as == path
    assert images.read_info_from_image(Image.open(path))[0] == "a cat\nSteps: 1!"
    second, _ = images.save_image(picture, str(tmp_path), "base", seed=6, prompt="a cat", save_to_dirs=False)
    assert second.endswith("base-0001-6.png") and images.get_next_sequence_number(str(tmp_path), "base") == 2
    script_callbacks.remove_current_script_callbacks()
    assert not host.callbacks.listening("image_saved")


def test_grids_and_tiles():
    cells = [Image.new("RGB", (32, 32), color) for color in ("red", "green", "blue", "white")]
    assert images.image_grid(cells, rows=2).size == (64, 64)
    texts = [[images.GridAnnotation("one")], [images.GridAnnotation("two")]]
    annotated = images.draw_grid_annotations(images.image_grid(cells, rows=2), 32, 32, texts, texts)
    assert annotated.width > 64 and annotated.height > 64
    picture = Image.effect_noise((100, 80), 40).convert("RGB")
    grid = images.split_grid(picture, 64, 64, 16)
    assert images.combine_grid(grid).size == (100, 80) and len(grid.tiles) == 2
    assert images.resize_image(1, picture, 64, 64).size == (64, 64)
    assert (
        images.sanitize_filename_part("a/b c") == "a_b_c"
        and images.flatten(Image.new("RGBA", (2, 2)), "#fff").mode == "RGB"
    )


def test_masks():
    mask = Image.new("L", (100, 100))
    mask.paste(255, (40, 40, 60, 60))
    region = masking.get_crop_region(mask, 10)
    assert region == (30, 30, 70, 70) and masking.get_crop_region(Image.new("L", (10, 10))) == (10, 10, 0, 0)
    assert masking.expand_crop_region(region, 512, 256, 100, 100) == (10, 30, 90, 70)


def test_samplers_and_schedules():
    names = [s.name for s in sd_samplers.all_samplers]
    assert {"Euler", "DPM++ 2M", "DDIM"} <= set(names) and sd_samplers.samplers_map["k_euler"] == "Euler"
    assert sd_samplers.all_samplers_map["Euler"].name == "Euler" and len(sd_samplers.samplers) == len(names)
    assert sd_samplers.create_sampler("euler a", None).config.name == "Euler a"
    assert "Karras" in [s.label for s in sd_schedulers.schedulers]
    sd_samplers.all_samplers.append(sd_samplers.SamplerData("Mine"))
    assert sd_samplers.all_samplers[-1].name == "Mine" and "Mine" in sd_samplers.all_samplers_map
    list.pop(sd_samplers.all_samplers)


def test_patches_are_put_in_and_taken_out():
    class Target:
        def value(self):
            return 1

    original = patches.patch("key", Target, "value", lambda self: original(self) + 1)
    assert Target().value() == 2 and patches.original("key", Target, "value") is original
    with pytest.raises(RuntimeError):
        patches.patch("key", Target, "value", None)
    patches.undo("key", Target, "value")
    assert Target().value() == 1
    with pytest.raises(RuntimeError):
        patches.undo("key", Target, "value")


def test_paths_devices_and_small_things(host, capsys):
    assert paths.data_path == str(host.paths.data) and paths.models_path == str(host.paths.models)
    assert paths.script_path == str(host.paths.program) and shared.data_path == paths.data_path
    assert devices.device.type == "cpu" and devices.cpu.type == "cpu" and str(devices.dtype) == "torch.float32"
    with devices.autocast():
        devices.torch_gc()
    assert sd_models.model_path.endswith("Stable-diffusion") and dict(sd_models.checkpoints_list) == {}
    assert extensions.extensions == [] and extensions.active() == []
    assert list(shared.walk_files(str(host.paths.data), [".none"])) == []
    assert infotext_utils is sys.modules["modules.infotext_utils"]
    assert old is infotext_utils
    assert infotext_utils.parse_generation_parameters("p\nSteps: 1, Size: 64x32, Seed: 3")["Size-1"] == "64"
    assert scripts.basedir() == str(host.paths.program)
    errors.report("said", exc_info=False)
    errors.run(lambda: 1 / 0, "task")
    assert errors.get_exceptions()[-1]["exception"].startswith("ZeroDivisionError")


def test_the_lock_is_the_devices_lease(host):
    order = []

    def other():
        with call_queue.queue_lock:
            order.append("other")

    with call_queue.queue_lock, call_queue.queue_lock:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join(5)
    assert order == ["first", "other"]


def test_wrapped_calls_answer_failures_with_a_sentence():
    def fails():
        raise ValueError("no <picture>")

    outputs = call_queue.wrap_gradio_gpu_call(fails, extra_outputs=[None, ""])()
    assert outputs[:2] == (None, "") and "no &lt;picture&gt;" in outputs[2]
    assert call_queue.wrap_gradio_call(lambda x: [x, "done"])(3) == (3, "done")
    assert call_queue.wrap_queued_call(lambda: 4)() == 4


def test_tool_button_and_rows_are_gradios_own():
    with gr.Blocks():
        button = ui_components.ToolButton("x", elem_id="b", tooltip="t")
        with ui_components.FormRow():
            choice = ui_components.DropdownMulti(label="m", choices=["a"])
    assert isinstance(button, gr.Button) and button.get_block_name() == "button" and "tool" in button.elem_classes
    assert isinstance(choice, gr.Dropdown) and choice.multiselect and type(gr.Slider(1, 2)) is gr.Slider
    assert gr.__version__ == "3.41.2"
