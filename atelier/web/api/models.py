"""The lists of A1111's API: models, samplers, styles, scripts; they answer with no model loaded."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from atelier.app import App
from atelier.web.api.common import FAILURES, OwnedApp, lists, until_ended
from atelier.web.api.repository import describe_repository

router = APIRouter(tags=["A1111: lists"], responses=dict(FAILURES))


class CheckpointItem(BaseModel):
    title: str = Field(description="Path below the model folder, with the first ten digits of the hash once known.")
    model_name: str = Field(description="The path without extension, its slashes as underscores.")
    hash: str | None = Field(None, description="First ten digits of sha256; null until it was computed.")
    sha256: str | None = Field(None, description="sha256 of the file; null until it was computed.")
    filename: str = Field(description="The file.")
    config: str | None = Field(None, description="A .yaml beside it.")


class VaeItem(BaseModel):
    model_name: str = Field(description="File name.")
    filename: str = Field(description="The file.")


class SamplerItem(BaseModel):
    name: str = Field(description="What sampler_name takes.")
    aliases: list[str] = Field(description="Other names that are understood.")
    options: dict[str, Any] = Field(description="Its properties, such as its default schedule.")


class SchedulerItem(BaseModel):
    name: str = Field(description="Short name.")
    label: str = Field(description="Name on the page; scheduler takes both.")
    aliases: list[str] | None = Field(None, description="Other names that are understood.")
    default_rho: float = Field(description="-1 when it has none.")
    need_inner_model: bool = Field(description="It depends on the model's noise levels.")


class UpscalerItem(BaseModel):
    name: str = Field(description="What upscaler fields take.")
    model_name: str | None = Field(None, description="Name of its model.")
    model_path: str | None = Field(None, description="File of its model.")
    model_url: str | None = Field(None, description="Always null.")
    scale: float = Field(description="Factor by which the model enlarges.")


class NameItem(BaseModel):
    name: str = Field(description="What the field takes.")


class StyleItem(BaseModel):
    name: str = Field(description="What styles takes.")
    prompt: str | None = Field(None, description="Text that is merged into the prompt.")
    negative_prompt: str | None = Field(None, description="Text that is merged into the negative prompt.")


class EmbeddingItem(BaseModel):
    step: int | None = Field(None, description="Training steps.")
    sd_checkpoint: str | None = Field(None, description="Hash of the checkpoint it was trained on.")
    sd_checkpoint_name: str | None = Field(None, description="Name of that checkpoint.")
    shape: int = Field(description="Width of its vectors.")
    vectors: int = Field(description="How many tokens it takes.")


class EmbeddingsAnswer(BaseModel):
    loaded: dict[str, EmbeddingItem] = Field(description="Those that fit the loaded model.")
    skipped: dict[str, EmbeddingItem] = Field(description="Those that do not.")


class FileItem(BaseModel):
    name: str = Field(description="Name in a prompt.")
    path: str = Field(description="The file.")


class LoraItem(FileItem):
    alias: str = Field(description="The name it was trained under.")
    metadata: dict[str, Any] = Field(description="What the file tells of itself.")


class RestorerItem(BaseModel):
    name: str = Field(description="Name of the restorer.")
    cmd_dir: str | None = Field(None, description="Its folder.")


class RealEsrganItem(FileItem):
    scale: int = Field(description="Factor by which it enlarges.")


class ScriptsAnswer(BaseModel):
    txt2img: list[str] = Field(description="Titles of the scripts of txt2img, in lower case.")
    img2img: list[str] = Field(description="Titles of the scripts of img2img, in lower case.")


class ScriptArgument(BaseModel):
    label: str | None = Field(None, description="Label of the control.")
    value: Any = Field(None, description="Its default.")
    minimum: Any = Field(None, description="Smallest value.")
    maximum: Any = Field(None, description="Largest value.")
    step: Any = Field(None, description="Step of the slider.")
    choices: Any = Field(None, description="What can be chosen.")


class ScriptItem(BaseModel):
    name: str = Field(description="Title in lower case.")
    is_alwayson: bool = Field(description="It takes part in every job.")
    is_img2img: bool = Field(description="It belongs to img2img.")
    args: list[ScriptArgument] = Field(description="Its arguments, in order.")


class ExtensionItem(BaseModel):
    name: str = Field(description="Folder name.")
    remote: str = Field(description="Address it was cloned from.")
    branch: str = Field(description="Branch.")
    commit_hash: str = Field(description="Commit.")
    version: str = Field(description="First eight digits of the commit.")
    commit_date: str = Field(description="Date of the commit; empty when not known.")
    enabled: bool = Field(description="It is in force.")


@router.get("/sdapi/v1/sd-models", response_model=list[CheckpointItem])
async def sd_models(app: OwnedApp) -> list[CheckpointItem]:
    return [
        CheckpointItem(
            title=m.title, model_name=m.name, hash=m.hash or None, sha256=m.sha256 or None, filename=m.filename,
            config=m.config or None,
        )
        for m in (await lists(app)).models
    ]  # fmt: skip


@router.get("/sdapi/v1/sd-vae", response_model=list[VaeItem])
async def sd_vae(app: OwnedApp) -> list[VaeItem]:
    return [VaeItem(model_name=v.name, filename=v.filename) for v in (await lists(app)).vaes]


@router.get("/sdapi/v1/samplers", response_model=list[SamplerItem])
async def samplers(app: OwnedApp) -> list[SamplerItem]:
    return [SamplerItem(name=s.name, aliases=list(s.aliases), options=s.options) for s in (await lists(app)).samplers]


@router.get("/sdapi/v1/schedulers", response_model=list[SchedulerItem])
async def schedulers(app: OwnedApp) -> list[SchedulerItem]:
    return [
        SchedulerItem(
            name=s.name, label=s.label, aliases=list(s.aliases) or None, default_rho=s.default_rho,
            need_inner_model=s.need_inner_model,
        )
        for s in (await lists(app)).schedulers
    ]  # fmt: skip


@router.get("/sdapi/v1/upscalers", response_model=list[UpscalerItem])
async def upscalers(app: OwnedApp) -> list[UpscalerItem]:
    return [
        UpscalerItem(name=u.name, model_name=u.model_name or None, model_path=u.model_path or None, scale=u.scale)
        for u in (await lists(app)).upscalers
    ]


@router.get("/sdapi/v1/latent-upscale-modes", response_model=list[NameItem])
async def latent_upscale_modes(app: OwnedApp) -> list[NameItem]:
    return [NameItem(name=name) for name in (await lists(app)).latent_upscale_modes]


@router.get("/sdapi/v1/hypernetworks", response_model=list[FileItem])
async def hypernetworks(app: OwnedApp) -> list[FileItem]:
    return [FileItem(name=h.name, path=h.filename) for h in (await lists(app)).hypernetworks]


@router.get("/sdapi/v1/face-restorers", response_model=list[RestorerItem])
async def face_restorers(app: OwnedApp) -> list[RestorerItem]:
    """What face_restoration_model takes, whether their files are there or not."""
    found = (await lists(app)).face_restorers
    return [*(RestorerItem(name=f.name, cmd_dir=f.filename or None) for f in found), RestorerItem(name="None")]


@router.get("/sdapi/v1/realesrgan-models", response_model=list[RealEsrganItem])
async def realesrgan_models(app: OwnedApp) -> list[RealEsrganItem]:
    """Of the upscalers those of the Real-ESRGAN kind that are on the disk."""
    found = [u for u in (await lists(app)).upscalers if u.name.lower().startswith(("r-esrgan", "realesrgan"))]
    return [RealEsrganItem(name=u.name, path=u.model_path, scale=int(u.scale)) for u in found]


@router.get("/sdapi/v1/prompt-styles", response_model=list[StyleItem])
def prompt_styles(app: OwnedApp) -> list[StyleItem]:
    return [StyleItem(name=s.name, prompt=s.prompt, negative_prompt=s.negative_prompt) for s in app.styles]


@router.get("/sdapi/v1/embeddings", response_model=EmbeddingsAnswer)
async def embeddings(app: OwnedApp) -> EmbeddingsAnswer:
    found = (await lists(app)).embeddings
    items = {
        e.name: EmbeddingItem(
            step=e.step,
            sd_checkpoint=e.checkpoint or None,
            sd_checkpoint_name=e.checkpoint_name or None,
            shape=e.shape,
            vectors=e.vectors,
        )
        for e in found
    }
    usable = {e.name for e in found if e.usable}
    return EmbeddingsAnswer(
        loaded={name: item for name, item in items.items() if name in usable},
        skipped={name: item for name, item in items.items() if name not in usable},
    )


@router.get("/sdapi/v1/loras", response_model=list[LoraItem])
async def loras(app: OwnedApp) -> list[LoraItem]:
    found = (await lists(app)).loras
    return [LoraItem(name=f.name, alias=f.alias or f.name, path=f.filename, metadata=dict(f.metadata)) for f in found]


@router.get("/sdapi/v1/scripts", response_model=ScriptsAnswer)
async def scripts(app: OwnedApp) -> ScriptsAnswer:
    found = (await lists(app)).scripts
    return ScriptsAnswer(
        txt2img=[s.name.lower() for s in found if not s.is_img2img],
        img2img=[s.name.lower() for s in found if s.is_img2img],
    )


@router.get("/sdapi/v1/script-info", response_model=list[ScriptItem])
async def script_info(app: OwnedApp) -> list[ScriptItem]:
    return [
        ScriptItem(
            name=s.name.lower(), is_alwayson=s.is_alwayson, is_img2img=s.is_img2img,
            args=[ScriptArgument(**{k: v for k, v in a.items() if k in ScriptArgument.model_fields}) for a in s.args],
        )
        for s in (await lists(app)).scripts
    ]  # fmt: skip


@router.get("/sdapi/v1/extensions", response_model=list[ExtensionItem])
def extensions(app: OwnedApp) -> list[ExtensionItem]:
    """Those that were cloned from somewhere."""
    found = ((e, describe_repository(e.path)) for e in app.extensions)
    return [ExtensionItem(name=e.name, enabled=e.enabled, **told) for e, told in found if told.get("remote")]


@router.post("/sdapi/v1/refresh-checkpoints")
async def refresh_checkpoints(app: OwnedApp) -> None:
    """Looks through the folders again."""
    await _refresh(app, "checkpoints")


@router.post("/sdapi/v1/refresh-vae")
async def refresh_vae(app: OwnedApp) -> None:
    """Looks through the folders again."""
    await _refresh(app, "vae")


@router.post("/sdapi/v1/refresh-embeddings")
async def refresh_embeddings(app: OwnedApp) -> None:
    """Looks through the folders again."""
    await _refresh(app, "embeddings")


@router.post("/sdapi/v1/refresh-loras")
async def refresh_loras(app: OwnedApp) -> None:
    """Looks through the folders again."""
    await _refresh(app, "loras")


async def _refresh(app: App, what: str) -> None:
    await run_in_threadpool(app.styles.reload)
    ticket = await run_in_threadpool(app.submit_job, "refresh", {"what": what})
    await until_ended(app, ticket.id)
