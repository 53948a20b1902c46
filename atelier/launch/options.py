"""Every option of the command line, declared once: name, group, kind, default, help."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

FLAG, TEXT, NUMBER, REAL, PATH, PATHS, WORDS, PORT = "flag", "text", "number", "real", "path", "paths", "words", "port"

COMMANDS = MappingProxyType({
    "prepare": "set up only, for images and for machines that will be offline",
    "test": "set up with the test extras, then run the tests (arguments after -- go to pytest)",
    "bench": "measure speed (arguments after -- go to the benchmark)",
    "doctor": "say what is installed, what the device can do, what is wrong and how to mend it",
})  # fmt: skip

GROUPS = MappingProxyType({
    "setup": "Set-up",
    "source": "Mirrors, proxies, offline machines",
    "paths": "Folders and files",
    "reuse": "Models of another installation, used in place and never written to",
    "memory": "Device, memory and precision",
    "attention": "Attention",
    "network": "Network",
    "api": "HTTP API",
    "safety": "Safety",
    "page": "Page",
    "files": "Files and console",
    "inert": "Accepted for the sake of old start scripts, without effect here",
})  # fmt: skip


@dataclass(frozen=True)
class Option:
    """One option. `inert` says why it has no effect; `environment` names the variable that gives its default."""

    name: str
    group: str
    help: str
    kind: str = FLAG
    default: Any = None
    choices: tuple[str, ...] = ()
    environment: str = ""
    setting: str = ""
    aliases: tuple[str, ...] = ()
    inert: str = ""

    @property
    def flag(self) -> str:
        return f"--{self.name}"

    @property
    def dest(self) -> str:
        return self.name.replace("-", "_")


def _setup() -> tuple[Option, ...]:
    g = "setup"
    return (
        Option("step", g, "with prepare or doctor: run this one step again, even if it was done", TEXT),
        Option("venv-dir", g, "folder of the program's own Python packages; - uses the running Python as it is", PATH,
               "venv", environment="VENV_DIR"),
        Option("skip-prepare-environment", g, "start at once, without looking at the environment"),
        Option("skip-install", g, "install no packages"),
        Option("skip-python-version-check", g, "try a Python outside 3.10 to 3.13"),
        Option("skip-torch-cuda-test", g, "do not try the device with a small kernel"),
        Option("reinstall-torch", g, "choose and install torch again"),
        Option("reinstall-xformers", g, "install xformers again"),
        Option("update-all-extensions", g, "bring every extension that is a git clone up to date before the start"),
        Option("use-uv", g, "install with uv instead of pip", setting="launch_use_uv"),
        Option("dump-sysinfo", g, "write what doctor finds to a sysinfo file and end"),
    )  # fmt: skip


def _source() -> tuple[Option, ...]:
    g = "source"
    return (
        Option("offline", g, "use no network: install only what --find-links or the cache of a mirror holds",
               environment="ATELIER_OFFLINE", setting="launch_offline"),
        Option("index-url", g, "package index to use in place of the ordinary one", TEXT,
               environment="INDEX_URL", setting="launch_index_url"),
        Option("torch-index-url", g, "index with torch builds, in place of the chosen one", TEXT,
               environment="TORCH_INDEX_URL", setting="launch_torch_index_url"),
        Option("find-links", g, "folder or page with packages, looked at besides the index", TEXT,
               setting="launch_find_links"),
        Option("proxy", g, "proxy for downloads, such as http://host:3128", TEXT, setting="launch_proxy"),
    )  # fmt: skip


def _paths() -> tuple[Option, ...]:
    g = "paths"
    return (
        Option("data-dir", g, "one folder for every file of yours: models, pictures, settings, database", PATH,
               environment="ATELIER_DATA_DIR"),
        Option("models-dir", g, "folder with the model folders (default: models in the data folder)", PATH),
        Option("ckpt", g, "checkpoint to load first", PATH),
        Option("ckpt-dir", g, "one more folder with checkpoints", PATH),
        Option("vae-dir", g, "one more folder with VAE files", PATH),
        Option("vae-path", g, "VAE to use with every checkpoint while SD VAE is Automatic", PATH),
        Option("lora-dir", g, "folder with LoRA files (default: Lora in the models folder)", PATH),
        Option("lyco-dir", g, "one more folder with LoRA files (default: LyCORIS in the models folder)", PATH,
               aliases=("lyco-dir-backcompat",)),
        Option("embeddings-dir", g, "folder with embeddings (default: embeddings in the data folder)", PATH),
        Option("hypernetwork-dir", g, "folder with hypernetworks (default: hypernetworks in the models folder)", PATH),
        Option("controlnet-dir", g, "one more folder with ControlNet models", PATH),
        Option("controlnet-preprocessor-models-dir", g, "one more folder with ControlNet preprocessor models", PATH),
        Option("esrgan-models-path", g, "folder with ESRGAN models", PATH),
        Option("realesrgan-models-path", g, "folder with RealESRGAN models", PATH),
        Option("bsrgan-models-path", g, "folder with BSRGAN models", PATH),
        Option("swinir-models-path", g, "folder with SwinIR models", PATH),
        Option("scunet-models-path", g, "folder with ScuNET models", PATH),
        Option("ldsr-models-path", g, "folder with LDSR models", PATH),
        Option("dat-models-path", g, "folder with DAT models", PATH),
        Option("gfpgan-models-path", g, "folder with GFPGAN models", PATH),
        Option("codeformer-models-path", g, "folder with CodeFormer models", PATH),
        Option("clip-models-path", g, "folder with CLIP models for captions", PATH),
        Option("textual-inversion-templates-dir", g, "folder with templates for training embeddings", PATH),
        Option("localizations-dir", g, "folder with translations", PATH),
        Option("config", g, "model configuration (.yaml) for checkpoints that have none beside them", PATH),
        Option("styles-file", g, "file with prompt styles; may be given several times", PATHS),
        Option("ui-config-file", g, "file with the defaults of the page's controls", PATH),
        Option("ui-settings-file", g, "file with the settings (default: config.json in the data folder)", PATH),
    )  # fmt: skip


def _reuse() -> tuple[Option, ...]:
    g = "reuse"
    return (
        Option("a1111-dir", g, "folder of an AUTOMATIC1111 or Forge installation", PATHS,
               aliases=("forge-ref-a1111-home",), environment="ATELIER_A1111_DIR"),
        Option("comfy-dir", g, "folder of a ComfyUI installation, its extra_model_paths.yaml included", PATHS,
               environment="ATELIER_COMFY_DIR"),
    )  # fmt: skip


def _memory() -> tuple[Option, ...]:
    g = "memory"
    return (
        Option("device-id", g, "number of the GPU to use", TEXT, aliases=("gpu-device-id",)),
        Option("use-cpu", g, "parts that stay on the CPU: all, sd, interrogate, gfpgan, esrgan, codeformer", WORDS, ()),
        Option("always-cpu", g, "everything stays on the CPU, under Forge's name"),
        Option("memory-policy", g, "keep: all model parts stay on the GPU; rotate: one part at a time; stream: "
               "large parts block by block", TEXT, None, ("keep", "rotate", "stream")),
        Option("medvram", g, "one model part on the GPU at a time (memory policy: rotate)"),
        Option("medvram-sdxl", g, "as --medvram, for SDXL models only"),
        Option("lowvram", g, "large model parts go through the GPU block by block (memory policy: stream)"),
        Option("lowram", g, "load weights straight to the GPU"),
        Option("always-gpu", g, "everything stays on the GPU (memory policy: keep)", aliases=("always-high-vram",)),
        Option("always-normal-vram", g, "as --medvram, under Forge's name"),
        Option("always-low-vram", g, "as --lowvram, under Forge's name", aliases=("always-no-vram",)),
        Option("no-half", g, "calculate in float32"),
        Option("no-half-vae", g, "calculate the VAE in float32"),
        Option("precision", g, "precision of the calculation", TEXT, "autocast", ("full", "half", "autocast")),
        Option("upcast-sampling", g, "calculate in float16 with float32 where that overflows"),
        Option("disable-nan-check", g, "do not look for NaN in what the model gives"),
        Option("opt-channelslast", g, "channels-last memory layout", aliases=("force-channels-last",)),
        *(Option(f"{part}-in-{kind}", g, f"keep the {part} in {kind}")
          for part in ("unet", "vae", "clip")
          for kind in ("bf16", "fp16", "fp32", "fp8-e4m3fn", "fp8-e5m2")
          if not (part == "vae" and kind.startswith("fp8"))),
    )  # fmt: skip


def _attention() -> tuple[Option, ...]:
    g = "attention"
    return (
        Option("xformers", g, "install and use xformers where a build fits"),
        Option("force-enable-xformers", g, "use xformers without asking whether it fits"),
        Option("opt-sdp-attention", g, "torch's own attention (the default)", aliases=("attention-pytorch",)),
        Option("opt-sdp-no-mem-attention", g, "as --opt-sdp-attention"),
        Option("opt-split-attention", g, "attention in slices", aliases=(
            "opt-split-attention-v1", "opt-split-attention-invokeai", "attention-split")),
        Option("opt-sub-quad-attention", g, "attention in blocks, for little memory", aliases=("attention-quad",)),
        Option("sub-quad-q-chunk-size", g, "size of a query block", NUMBER, 1024),
        Option("sub-quad-kv-chunk-size", g, "size of a key block", NUMBER),
        Option("sub-quad-chunk-threshold", g, "share of the memory, in percent, from which blocks are used", NUMBER),
        Option("disable-opt-split-attention", g, "never slice attention"),
    )  # fmt: skip


def _network() -> tuple[Option, ...]:
    g = "network"
    return (
        Option("listen", g, "answer other machines of the network too (0.0.0.0)"),
        Option("port", g, "port of the page (default 7860; when it is taken, the next free one)", PORT,
               environment="ATELIER_PORT"),
        Option("server-name", g, "address to listen on", TEXT),
        Option("gradio-auth", g, "names and passwords that may use the page: name:password,name2:password2", TEXT),
        Option("gradio-auth-path", g, "file with such names and passwords", PATH),
        Option("api-auth", g, "names and passwords for the HTTP API, in the same form", TEXT),
        Option("cors-allow-origins", g, "pages that may call the HTTP API, separated by commas", TEXT),
        Option("cors-allow-origins-regex", g, "the same as a regular expression", TEXT),
        Option("allowed-hosts", g, "more names under which this server is called, separated by commas", TEXT),
        Option("tls-keyfile", g, "key for https", PATH),
        Option("tls-certfile", g, "certificate for https", PATH),
        Option("subpath", g, "path under which a reverse proxy shows the page", TEXT),
        Option("timeout-keep-alive", g, "seconds that an idle connection stays open", NUMBER, 30),
        Option("gradio-allowed-path", g, "one more folder whose files the page may show", PATHS),
        Option("share", g, "open a public tunnel to the page"),
        Option("ngrok", g, "token for an ngrok tunnel", TEXT),
        Option("ngrok-options", g, "options for the ngrok tunnel, as JSON", TEXT),
        Option("no-gradio-queue", g, "answer page events over plain requests"),
        Option("disable-tls-verify", g, "accept any certificate of this server"),
    )  # fmt: skip


def _api_and_safety() -> tuple[Option, ...]:
    return (
        Option("api", "api", "serve the HTTP API to other machines too; on this one it always is served"),
        Option("nowebui", "api", "serve the HTTP API without the page"),
        Option("api-log", "api", "log every call of the HTTP API"),
        Option("api-server-stop", "api", "let the HTTP API stop and restart the server"),
        Option("skip-load-model-at-start", "api", "load the model at the first picture, not at the start"),
        Option("disable-safe-unpickle", "safety", "load pickle files without a guard: they can run any code"),
        Option("enable-insecure-extension-access", "safety", "let the page manage extensions although others reach it"),
        Option(
            "listen-without-password",
            "safety",
            "let everyone who reaches this machine use the program: needed for --listen without --gradio-auth",
        ),
        Option("allow-code", "safety", "offer the script Custom code: typed Python, on this machine alone"),
        Option("hide-ui-dir-config", "safety", "let nobody name folders of this machine"),
        Option("freeze-settings", "safety", "no setting can be changed through the page"),
        Option("freeze-settings-in-sections", "safety", "no setting of these sections can be changed", TEXT),
        Option("freeze-specific-settings", "safety", "these settings cannot be changed", TEXT),
        Option("disable-all-extensions", "safety", "load no extension"),
        Option("disable-extra-extensions", "safety", "load no extension that was installed by hand"),
    )


def _page_and_files() -> tuple[Option, ...]:
    return (
        Option("autolaunch", "page", "open the page in a browser"),
        Option("no-browser", "page", "do not open a browser, whatever the settings say"),
        Option("theme", "page", "colours of the page", TEXT, None, ("dark", "light")),
        Option("use-textbox-seed", "page", "seed as text box, so that large numbers keep every digit"),
        Option("ui-debug-mode", "page", "show the page without starting the engine"),
        Option("gradio-debug", "page", "log what the page does"),
        Option("no-progressbar-hiding", "page", "leave the page's own progress bars visible"),
        Option("no-prompt-history", "page", "do not keep the last parameters in params.txt"),
        Option("loglevel", "files", "DEBUG, INFO, WARNING or ERROR", TEXT, environment="SD_WEBUI_LOG_LEVEL"),
        Option("log-startup", "files", "log how long each part of the start took"),
        Option("disable-console-progressbars", "files", "no progress bars in the console"),
        Option("no-hashing", "files", "do not calculate sha256 of model files"),
        Option("unix-filenames-sanitization", "files", "allow every character in file names that unix allows"),
        Option("filenames-max-length", "files", "longest file name that is written", NUMBER, 128),
        Option("administrator", "files", "start although the program runs as administrator"),
        Option("test-server", "files", "write no settings and shut down when told so, for automatic tests"),
    )


def _inert() -> tuple[Option, ...]:
    nothing_fetched = "nothing is downloaded unasked"
    automatic = "this is decided by itself"
    gone = "the thing it governed does not exist here"
    rows: tuple[tuple[str, str, str], ...] = (
        ("do-not-download-clip", FLAG, nothing_fetched), ("no-download-sd-model", FLAG, nothing_fetched),
        ("skip-version-check", FLAG, "versions are pinned and checked by the set-up"),
        ("update-check", FLAG, nothing_fetched), ("use-ipex", FLAG, automatic), ("use-xpu", FLAG, automatic),
        ("disable-model-loading-ram-optimization", FLAG, "weights are always memory-mapped"),
        ("xformers-flash-attention", FLAG, automatic), ("cuda-malloc", FLAG, automatic),
        ("cuda-stream", FLAG, automatic), ("pin-shared-memory", FLAG, automatic),
        ("always-offload-from-vram", FLAG, "see the memory policy in Settings"),
        ("deepdanbooru", FLAG, gone), ("unload-gfpgan", FLAG, gone), ("always-batch-cond-uncond", FLAG, gone),
        ("show-negative-prompt", FLAG, gone), ("gradio-img2img-tool", TEXT, gone),
        ("gradio-inpaint-tool", TEXT, gone), ("gradio-queue", FLAG, gone), ("max-batch-count", NUMBER, gone),
        ("ngrok-region", TEXT, gone), ("add-stop-route", FLAG, "use --api-server-stop"),
        ("enable-console-prompts", FLAG, gone),
    )  # fmt: skip
    return tuple(Option(name, "inert", reason, kind, inert=reason) for name, kind, reason in rows)


# Options that nothing reads yet: a test keeps this list and the code in step. Extensions still find their values.
# disable-safe-unpickle: an unguarded reader is not wanted. ngrok, share,
# test-server, ui-config-file, localizations-dir, use-textbox-seed, enable-insecure-extension-access: the page has
# nothing that they govern. lowram: weights are placed by the residency alone. The others say how much is told, or
# serve training.
UNUSED = frozenset("""
    administrator disable-console-progressbars disable-safe-unpickle disable-tls-verify
    enable-insecure-extension-access gradio-debug localizations-dir log-startup lowram ngrok ngrok-options
    no-gradio-queue no-progressbar-hiding opt-channelslast share
    sub-quad-chunk-threshold sub-quad-kv-chunk-size test-server textual-inversion-templates-dir ui-config-file
    ui-debug-mode use-textbox-seed
""".split())  # fmt: skip


def _marked(options: Iterable[Option]) -> Iterator[Option]:
    for option in options:
        yield replace(option, inert="this version does not use it") if option.name in UNUSED else option


OPTIONS: tuple[Option, ...] = tuple(_marked((
    *_setup(), *_source(), *_paths(), *_reuse(), *_memory(), *_attention(), *_network(), *_api_and_safety(),
    *_page_and_files(), *_inert(),
)))  # fmt: skip

VARIABLES = MappingProxyType({
    "COMMANDLINE_ARGS": "options, as they would stand on the command line",
    "PYTHON": "Python to build the environment with",
    "GIT": "git to use",
    "VENV_DIR": "as --venv-dir",
    "TORCH_COMMAND": "pip command that installs torch, in place of the table's choice",
    "TORCH_INDEX_URL": "as --torch-index-url",
    "INDEX_URL": "as --index-url",
    "REQS_FILE": "requirements file to use in place of requirements.txt",
    "XFORMERS_PACKAGE": "what --xformers installs",
    "ATELIER_DATA_DIR": "as --data-dir",
    "ATELIER_PORT": "as --port",
    "ATELIER_OFFLINE": "1: as --offline",
    "ATELIER_A1111_DIR": "as --a1111-dir, several separated as in PATH",
    "ATELIER_COMFY_DIR": "as --comfy-dir, several separated as in PATH",
    "ATELIER_BROWSER": "Chromium or Chrome that the browser tests drive",
    "WEBUI_LAUNCH_LIVE_OUTPUT": "1: show what the installers of extensions print",
})  # fmt: skip

# Variables of old start scripts that name things which are not installed here.
INERT_VARIABLES = ("CLIP_PACKAGE", "OPENCLIP_PACKAGE", "ACCELERATE", "NO_TCMALLOC")


def option_names() -> tuple[str, ...]:
    """Every spelling, with its dashes."""
    return tuple(f"--{name}" for option in OPTIONS for name in (option.name, *option.aliases))
