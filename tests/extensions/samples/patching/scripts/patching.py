"""Pattern: a function of the host replaced by one's own, and put back."""

from modules import processing, script_callbacks

calls = []
original = processing.process_images_inner


def replaced(p):
    calls.append(p.prompt)
    p.extra_generation_params["Sample patched"] = "yes"
    return original(p)


def put_in():
    processing.process_images_inner = replaced


def take_out():
    if processing.process_images_inner is replaced:
        del processing.process_images_inner


script_callbacks.on_script_unloaded(take_out)
