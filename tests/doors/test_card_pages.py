"""What extensions that bring cards of their own find."""

from __future__ import annotations

import json
from pathlib import Path


def test_a_page_of_an_extension_can_be_built_and_registered(host, tmp_path: Path, caplog):
    from modules import ui_extra_networks
    from modules.ui_extra_networks import ExtraNetworksPage, quote_js, register_page

    class Own(ExtraNetworksPage):
        def list_items(self):
            yield {"name": "a", "prompt": quote_js('say "<b>" \\ ünï')}

    page = Own("Own Cards")
    register_page(page)
    assert ui_extra_networks.extra_pages == [page] and page.id_page == "own_cards" and not page.allow_negative_prompt
    assert json.loads(next(page.list_items())["prompt"]) == 'say "<b>" \\ ünï'
    assert "Own Cards" in caplog.text
    (tmp_path / "A.pt").write_bytes(b"1")
    assert page.get_sort_keys(str(tmp_path / "A.pt"))["name"] == "a.pt"
    assert ui_extra_networks.create_ui(None, None, "txt2img").tabname == "txt2img"
