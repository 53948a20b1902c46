"""Routes of the dialog that edits styles: the styles with their texts; one is saved, deleted, laid around a prompt."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel, Field

from atelier.app import App
from atelier.prompts.styles import LONGEST, Style, merge_text
from atelier.web.page_routes import PREFIX

PATH = f"{PREFIX}/styles"


class StyleText(BaseModel):
    name: str = Field("", description="What it is chosen by.")
    prompt: str = Field("", description="Text for the prompt; {prompt} is where that goes.")
    negative_prompt: str = Field("", description="Text for the negative prompt.")


class StyleTexts(BaseModel):
    styles: list[StyleText] = Field(description="All styles, in the order of their files.")
    problems: list[str] = Field(description="Files that cannot be read, each with the reason.")


class Prompts(BaseModel):
    prompt: str = Field("", max_length=LONGEST, description="The prompt.")
    negative_prompt: str = Field("", max_length=LONGEST, description="The negative prompt.")


class Merge(Prompts):
    style: StyleText = Field(description="The style that comes to them, saved or not.")


def add_style_routes(server: FastAPI, app: App) -> None:
    """Whoever may use the server may change its styles, as with A1111; the rules of auth.py hold here too."""
    book = app.styles

    @server.get(PATH, response_model=StyleTexts, tags=["Page"])
    def styles() -> StyleTexts:
        """Every style with its texts, as the files hold them now."""
        book.freshen()
        return texts(app)

    @server.put(PATH, response_model=StyleTexts, tags=["Page"])
    def save(style: StyleText) -> StyleTexts:
        """Saves a style: a new one, or in the place of the one that has its name. Answers with all styles."""
        with book.changing():
            # A name from a file is taken to the letter; nobody means the blanks around a new one.
            name = style.name if book.find(style.name) is not None else style.name.strip()
            book.put(Style(name, style.prompt, style.negative_prompt))
        return texts(app)

    @server.delete(PATH, response_model=StyleTexts, tags=["Page"])
    def delete(name: Annotated[str, Query(max_length=LONGEST, description="Name of the style.")]) -> StyleTexts:
        """Deletes a style. Answers with those that are left."""
        with book.changing():
            book.remove(name)
        return texts(app)

    @server.post(f"{PATH}/merge", response_model=Prompts, tags=["Page"])
    def merge(asked: Merge) -> Prompts:
        """A prompt and its negative with a style merged in, as Generate would do it."""
        return Prompts(
            prompt=merge_text(asked.prompt, asked.style.prompt),
            negative_prompt=merge_text(asked.negative_prompt, asked.style.negative_prompt),
        )


def texts(app: App) -> StyleTexts:
    return StyleTexts(
        styles=[
            StyleText.model_construct(name=s.name, prompt=s.prompt, negative_prompt=s.negative_prompt)
            for s in app.styles
        ],
        problems=[f"{path}: {reason}" for path, reason in app.styles.problems.items()],
    )
