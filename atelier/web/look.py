"""The look of the page: a Gradio theme in the program's colours, with fonts of the reader's own system."""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils.colors import Color

#: paper to ink, a little warm, so that pictures stay the most colourful thing on the page
_NEUTRAL = Color(
    name="ink", c50="#faf9f7", c100="#f3f1ee", c200="#e6e3de", c300="#d3cfc8", c400="#a8a39b", c500="#7d7870",
    c600="#5c5851", c700="#403d38", c800="#292724", c900="#1e1d1b", c950="#161513",
)  # fmt: skip
_ACCENT = Color(
    name="clay", c50="#fdf4f0", c100="#fae4da", c200="#f4c6b4", c300="#eba186", c400="#e07b58", c500="#d05f38",
    c600="#b94d28", c700="#9a3f22", c800="#7d3520", c900="#672f1f", c950="#38160d",
)  # fmt: skip
_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "Ubuntu", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def theme() -> gr.themes.Base:
    """Nothing is fetched for it: all fonts are names of families that systems bring along."""
    made = gr.themes.Base(
        primary_hue=_ACCENT, secondary_hue=_NEUTRAL, neutral_hue=_NEUTRAL, spacing_size="sm", radius_size="md",
        text_size="sm", font=_SANS, font_mono=_MONO,
    )  # fmt: skip
    return made.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="#2a2724",
        body_text_color_dark="#e9e6e1",
        body_text_color_subdued="#6f6a62",
        body_text_color_subdued_dark="#a19b92",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="#232120",
        border_color_primary="*neutral_200",
        border_color_primary_dark="#35322e",
        block_background_fill="#ffffff",
        block_background_fill_dark="*neutral_900",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_border_color_dark="#322f2b",
        block_shadow="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*body_text_color_subdued",
        block_label_text_color_dark="*body_text_color_subdued",
        block_title_text_color="#4d4943",
        block_title_text_color_dark="#c9c3ba",
        block_title_text_weight="500",
        block_padding="10px 12px",
        layout_gap="10px",
        form_gap_width="1px",
        input_background_fill="#ffffff",
        input_background_fill_dark="#161513",
        input_border_color="*neutral_300",
        input_border_color_dark="#3d3934",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_400",
        input_shadow="none",
        input_shadow_focus="0 0 0 2px rgba(208, 95, 56, 0.18)",
        input_shadow_focus_dark="0 0 0 2px rgba(224, 123, 88, 0.25)",
        input_padding="7px 9px",
        slider_color="*primary_500",
        slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_600",
        checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color_selected="*primary_600",
        checkbox_border_color_selected_dark="*primary_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        button_secondary_background_fill="*neutral_100",
        button_secondary_background_fill_dark="#2b2926",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_hover_dark="#38352f",
        button_secondary_border_color="*neutral_200",
        button_secondary_border_color_dark="#3a3732",
        button_border_width="1px",
        button_large_radius="*radius_md",
        button_small_radius="*radius_md",
        button_transform_hover="none",
        shadow_drop="none",
        shadow_drop_lg="none",
    )
