"""The page: quick settings, the tabs in order, and the events that tie them to the App."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

import gradio as gr

from atelier.app import App
from atelier.web.extras_submit import extras_submitter
from atelier.web.filling import QuickSettings, fill_outputs, names_of, opener, refresher, style_offerer
from atelier.web.forms import ExtrasForm, Form
from atelier.web.hooks import Tab
from atelier.web.markup import markup
from atelier.web.panel import Panel, hidden_text, tool
from atelier.web.pasting import paste_outputs, paster, style_applier
from atelier.web.submit import keeper, submitter
from atelier.web.tabs import extras, img2img, lists, modelmerger, pnginfo, settings, txt2img

#: no page of Gradio's own, no counting of users, and any number of events at the same time
_QUIET = MappingProxyType({"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None})


def build_page(app: App) -> gr.Blocks:
    """Complete but not yet mounted; see `mount.py`. Extensions are asked for their tabs and controls."""
    app.plugins.relay.page_starting(app=app)
    panels: list[Panel] = []
    with gr.Blocks(title="Atelier", analytics_enabled=False, fill_width=True) as demo:
        with gr.Row(elem_id="topbar", elem_classes=["topbar"]):
            markup('<span class="wordmark">Atelier</span>', elem_id="wordmark")
            quick = QuickSettings(app)
            with gr.Row(elem_id="quicksettings", elem_classes=["quicksettings"]):
                quick.place()
                tool(
                    "🔄",
                    "refresh_sd_model_checkpoint",
                    "Look through the model folders again",
                    "atelier.status.rescan()",
                )
            markup("<atelier-status></atelier-status>", elem_id="engine_status")
        with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
            for tab in _tabs(app, panels):
                with gr.Tab(tab.label, id=tab.id, elem_id=f"tab_{tab.id}"):
                    tab.build()
        markup(_footer(), elem_id="footer")
        markup(_titles(demo), elem_id="button_titles", visible="hidden")
        _tie(app, demo, quick, panels)
    return demo


def _tabs(app: App, panels: list[Panel]) -> list[Tab]:
    """In order, without those that settings hide; tabs of extensions come before Settings."""

    def generation(module: object, name: str, label: str = "", form: type[Form] = Form) -> Tab:
        def build() -> None:
            panels.append(module.build(app, form(name, lambda source: names_of(app, source))))

        return Tab(label or name, name, build)

    found = [
        generation(txt2img, "txt2img"), generation(img2img, "img2img"),
        generation(extras, "extras", "Extras", ExtrasForm), Tab("PNG Info", "pnginfo", pnginfo.build),
        Tab("Checkpoint Merger", "modelmerger", modelmerger.build),
        Tab("Queue", "queue", lists.build_queue), Tab("Gallery", "gallery", lists.build_gallery),
        *app.plugins.provided("provide_tabs", app=app),
        Tab("Settings", "settings", lambda: settings.build(app)),
        Tab("Extensions", "extensions", lists.build_extensions),
    ]  # fmt: skip
    hidden = set(app.settings.get("hidden_tabs"))
    found = [tab for tab in found if not {tab.label, tab.id} & hidden]
    order = {name: index for index, name in enumerate(app.settings.get("ui_tab_order"))}
    return sorted(found, key=lambda tab: order.get(tab.label, order.get(tab.id, len(order))))


def _footer() -> str:
    return '<div class="footer"><a href="docs" target="_blank">API</a></div>'


def _titles(demo: gr.Blocks) -> str:
    """What small buttons mean and show, by id: Gradio's buttons have no titles of their own."""
    titles = {b.elem_id: b.atelier_drawn for b in demo.blocks.values() if hasattr(b, "atelier_drawn")}
    return f'<div id="atelier-titles">{html.escape(json.dumps(titles))}</div>'


def _tie(app: App, demo: gr.Blocks, quick: QuickSettings, panels: Sequence[Panel]) -> None:
    wire = hidden_text("page_wire")
    loading = hidden_text("loading_job")
    hidden_text("settings_json")
    for panel in panels:
        if panel.tab == "extras":
            _tie_extras(app, panel)
        else:
            _tie_panel(app, panel)
    for key, component in quick.controls.items():
        component.input(quick.changer(key), component, loading, **_QUIET).then(
            None, loading, None, js="(job) => atelier.status.loading(job)", **_QUIET
        )
    state = hidden_text("page_state")
    outputs = [*fill_outputs(quick, panels), state]
    demo.load(opener(app, quick, panels), wire, outputs, js="() => atelier.wire()", **_QUIET).then(
        None, state, None, js="(state) => atelier.status.filled(state, 'page')", **_QUIET
    )
    refresh = gr.Button("refresh", elem_id="refresh_lists", visible="hidden")
    refresh.click(refresher(app, quick, panels), wire, outputs, js="() => atelier.status.wire()", **_QUIET).then(
        None, state, None, js="(state) => atelier.status.filled(state, 'lists')", **_QUIET
    )
    _tie_styles(app, wire, panels)


def _tie_styles(app: App, wire: Any, panels: Sequence[Panel]) -> None:
    """After a change of the styles every tab offers the new list; nothing else on the page is touched."""
    boxes = [p.form.controls["prompt.styles"].component for p in panels if "prompt.styles" in p.form.controls]
    if boxes:
        offer = gr.Button("offer", elem_id="offer_styles", visible="hidden")
        offer.click(
            style_offerer(app), [wire, *boxes], boxes, js="(...values) => atelier.styles.offering(values)",
            trigger_mode="always_last", **_QUIET,
        ).then(None, None, None, js="() => atelier.styles.offered()", **_QUIET)  # fmt: skip


def _tie_extras(app: App, panel: Panel) -> None:
    scripts = [] if panel.area is None else list(panel.area.inputs)
    panel.generate.click(
        extras_submitter(app, panel), [panel.wire, *panel.form.inputs, *scripts], panel.ticket,
        js="(...values) => atelier.panels.extras.submit(values)", **_QUIET,
    ).then(None, panel.ticket, None, js="(ticket) => atelier.panels.extras.submitted(ticket)", **_QUIET)  # fmt: skip
    _tie_keep(app, panel)


def _tie_keep(app: App, panel: Panel) -> None:
    keep = gr.Button("keep", elem_id=f"{panel.tab}_keep", visible="hidden")
    keep.click(
        keeper(app, panel), [panel.wire, *panel.form.inputs], None,
        js=f"(...values) => atelier.panels.{panel.tab}.keeping(values)", **_QUIET,
    )  # fmt: skip


def _tie_panel(app: App, panel: Panel) -> None:
    tab, controls = panel.tab, [*panel.form.inputs]
    scripts = [] if panel.area is None else list(panel.area.inputs)
    panel.generate.click(
        submitter(app, panel), [panel.wire, *controls, panel.overrides, *scripts], panel.ticket,
        js=f"(...values) => atelier.panels.{tab}.submit(values)", **_QUIET,
    ).then(None, panel.ticket, None, js=f"(ticket) => atelier.panels.{tab}.submitted(ticket)", **_QUIET)  # fmt: skip
    _tie_keep(app, panel)
    apply = gr.Button("paste", elem_id=f"{tab}_paste_apply", visible="hidden")
    for button in (panel.paste, apply):
        button.click(
            paster(app, panel), [panel.wire, *controls], paste_outputs(panel),
            js=f"(...values) => atelier.panels.{tab}.pasting(values)", **_QUIET,
        ).then(None, None, None, js=f"() => atelier.panels.{tab}.pasted()", **_QUIET)  # fmt: skip
    prompts = [panel.form.controls[path].component for path in ("prompt.positive", "prompt.negative", "prompt.styles")]
    panel.style_apply.click(style_applier(app), prompts, prompts, **_QUIET)
