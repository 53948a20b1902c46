"""The inner tabs of txt2img and img2img: Generation, and a page of cards for each kind of network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from atelier.app import App
from atelier.web.markup import markup
from atelier.web.network_pages import pages_in_order


@contextmanager
def generation_tab(app: App, tab: str) -> Iterator[None]:
    """What is built inside stands in Generation; the cards of the other tabs are made by javascript/cards.js."""
    with gr.Tabs(elem_id=f"{tab}_extra_tabs", elem_classes=["extra-networks"], overflow_behavior="wrap"):
        with gr.Tab("Generation", id=f"{tab}_generation", elem_id=f"{tab}_generation_tab"):
            yield
        for page in pages_in_order(str(app.settings.get("ui_extra_networks_tab_reorder"))):
            name = f"{tab}_{page.name}"
            with gr.Tab(page.title, id=name, elem_id=name, elem_classes=["extra-page"]):
                cards = f'<atelier-cards tab="{tab}" page="{page.name}"></atelier-cards>'
                markup(cards, elem_id=f"{name}_cards_html", classes=["page-part"])
