"""Panel: what txt2img and img2img have in common: prompts, Generate, progress, gallery, buttons below the picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import gradio as gr

from atelier.web.forms import Form
from atelier.web.markup import markup

PROMPT_HINT = ("Prompt", "(Ctrl+Enter to generate, Alt+Enter to skip, Esc to interrupt)")


@dataclass
class Panel:
    """The components of one tab that events are tied to. `wire` carries what only scripts know, as JSON."""

    form: Form
    generate: Any = None
    paste: Any = None
    style_apply: Any = None
    overrides: Any = None
    wire: Any = None
    ticket: Any = None
    #: the ScriptArea of extensions, or None
    area: Any = None
    #: folders can be opened for who looks at the page
    desk: bool = False

    @property
    def tab(self) -> str:
        return self.form.tab


#: A1111's signs, which are the texts of its buttons, and the drawings of javascript/icons.js that are shown
_DRAWN = MappingProxyType({
    "↙️": "paste", "🗑️": "trash", "📋": "apply", "🔄": "refresh", "🎲": "dice", "♻️": "reuse", "⇅": "swap", "📐": "ruler",
    "💾": "download", "🗃️": "parcel", "📂": "folder", "🖼️": "image", "🎨": "mask", "🖌️": "brush", "📎": "words",
    "📦": "tag", "✨": "sparkle",
})  # fmt: skip


def tool(sign: str, elem_id: str, title: str, script: str = "", **settings: Any) -> Any:
    """A small button with a sign. `script` is JavaScript that runs when it is pressed."""
    classes = ["tool", *settings.pop("elem_classes", [])]
    button = gr.Button(sign, elem_id=elem_id, elem_classes=classes, size="sm", min_width=32, scale=0, **settings)
    button.atelier_drawn = {"title": title, "icon": _DRAWN.get(sign, "")}
    if script:
        press(button, script)
    return button


def press(button: Any, script: str) -> None:
    """Runs JavaScript in the page when a button is pressed; the server is not asked."""
    button.click(None, None, None, js=f"() => {{ {script} }}", show_progress="hidden", api_visibility="private")


def hidden_text(elem_id: str) -> Any:
    """A text that scripts read or write; there for them, not to be seen."""
    return gr.Textbox(elem_id=elem_id, visible="hidden", show_label=False, container=False)


def toprow(panel: Panel, tools: Sequence[tuple[str, str, str, str]] = ()) -> None:
    """Prompts on the left, Generate, tools and styles on the right. `tools` are (sign, id, title, script) of more."""
    tab = panel.tab
    with gr.Row(elem_id=f"{tab}_toprow", elem_classes=["toprow"]):
        with gr.Column(scale=6, elem_id=f"{tab}_prompt_container", elem_classes=["prompt-container"], min_width=280):
            _prompt(panel, "prompt", "prompt.positive", "\n".join(PROMPT_HINT), "token")
            _prompt(panel, "neg_prompt", "prompt.negative", f"Negative prompt\n{PROMPT_HINT[1]}", "negative_token")
        with gr.Column(scale=1, elem_id=f"{tab}_actions_column", elem_classes=["actions-column"], min_width=220):
            generate_box(panel)
            with gr.Row(elem_id=f"{tab}_tools", elem_classes=["tools-row"]):
                panel.paste = tool("↙️", "paste", "Read parameters from the prompt, or from the last picture")
                tool("🗑️", f"{tab}_clear_prompt", "Clear the prompt", f"atelier.prompts.clear('{tab}')")
                panel.style_apply = tool("📋", f"{tab}_style_apply", "Put the chosen styles into the prompt")
                for sign, elem_id, title, script in tools:
                    tool(sign, elem_id, title, script)
            with gr.Row(elem_id=f"{tab}_styles_row", elem_classes=["styles-row"]):
                panel.form.place("prompt.styles", show_label=False, container=False, min_width=100)
                tool("🖌️", f"{tab}_styles_edit_button", "Edit styles", f"atelier.styles.open('{tab}')")


def _prompt(panel: Panel, name: str, path: str, hint: str, counter: str) -> None:
    tab = panel.tab
    with gr.Row(elem_id=f"{tab}_{name}_row", elem_classes=["prompt-row"]):
        panel.form.place(
            path, show_label=False, lines=3, max_lines=12, placeholder=hint, container=False, elem_classes=["prompt"]
        )
        markup('<span title="Tokens used, and the room they have">0/75</span>', elem_id=f"{tab}_{counter}_counter",
                classes=["token-counter"])  # fmt: skip


def generate_box(panel: Panel) -> None:
    """Generate, and in its place while a job runs Interrupt and Skip."""
    tab = panel.tab
    with gr.Row(elem_id=f"{tab}_generate_box", elem_classes=["generate-box"]):
        for word, action in (("Interrupt", "interrupt"), ("Skip", "skip"), ("Interrupting…", "interrupting")):
            button = gr.Button(word, elem_id=f"{tab}_{action}", elem_classes=[f"generate-box-{action}"], min_width=60)
            press(button, f"atelier.panels.{tab}.{'interrupt' if action == 'interrupting' else action}()")
        panel.generate = gr.Button("Generate", variant="primary", elem_id=f"{tab}_generate", min_width=120)


def results(
    panel: Panel, sends: Sequence[tuple[str, str, str]], tools: Sequence[tuple[str, str, str, str]] = (),
    head: Callable[[], Any] | None = None,
) -> None:  # fmt: skip
    """Progress, gallery, buttons, parameters. `sends` are (sign, name of the place, title), `tools` further buttons:
    (sign, id, title, script). `head` stands above all."""
    tab = panel.tab
    with gr.Column(elem_id=f"{tab}_results", elem_classes=["results-column"], min_width=300):
        if head is not None:
            head()
        with gr.Column(elem_id=f"{tab}_results_panel", elem_classes=["results-panel"]):
            with gr.Column(elem_id=f"{tab}_gallery_container", elem_classes=["gallery-container"]):
                _element("atelier-progress", tab, f"{tab}_progress")
                _element("atelier-gallery", tab, f"{tab}_gallery")
            with gr.Row(elem_id=f"image_buttons_{tab}", elem_classes=["image-buttons"]):
                act, take = f"atelier.panels.{tab}", "atelier.parcels"
                if panel.desk:
                    tool("📂", f"{tab}_open_folder", "Open the folder of the pictures", f"{take}.folder({act})")
                tool("💾", f"save_{tab}", "Download the picture", f"{take}.one({act})")
                tool("🗃️", f"save_zip_{tab}", "Download all pictures as a zip file", f"{take}.all({act})")
                for sign, place, title in sends:
                    tool(sign, f"{tab}_send_to_{place}", title, f"{act}.sendTo('{place}')")
                for further in tools:
                    tool(*further)
                tool("♻️", f"{tab}_reuse", "Use the parameters of this picture", f"{act}.reuse()")
            markup("", elem_id=f"html_info_{tab}", classes=["infotext"])
            markup("", elem_id=f"html_log_{tab}", classes=["html-log"])
            hidden_text(f"generation_info_{tab}")


def _element(name: str, tab: str, elem_id: str) -> None:
    markup(f'<{name} tab="{tab}"></{name}>', elem_id=elem_id)


def overrides(panel: Panel) -> None:
    """Settings that pasted parameters ask for, for these pictures only; hidden while there are none."""
    with gr.Row(elem_id=f"{panel.tab}_override_settings_row", elem_classes=["override-settings"]):
        panel.overrides = gr.Dropdown(
            [], multiselect=True, allow_custom_value=True, label="Override settings", value=[],
            elem_id=f"{panel.tab}_override_settings",
        )  # fmt: skip


def wires(panel: Panel) -> None:
    panel.wire = hidden_text(f"{panel.tab}_wire")
    panel.ticket = hidden_text(f"{panel.tab}_ticket")
