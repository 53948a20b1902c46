from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

import pytest

from atelier.base.errors import BadRequest
from atelier.base.paths import PROGRAM
from atelier.launch import options
from atelier.launch.arguments import build_parser, parse, preload_flags
from atelier.launch.options import COMMANDS, GROUPS, OPTIONS, VARIABLES, option_names

# The command line of ui-defaults.md, section 19.
KNOWN = """
--skip-prepare-environment --skip-install --skip-python-version-check --skip-torch-cuda-test --reinstall-torch
--reinstall-xformers --update-check --update-all-extensions --test-server --log-startup --dump-sysinfo --loglevel
--skip-version-check --do-not-download-clip --data-dir --models-dir --ckpt --ckpt-dir --vae-dir --vae-path
--embeddings-dir --hypernetwork-dir --lora-dir --textual-inversion-templates-dir --localizations-dir
--esrgan-models-path --realesrgan-models-path --dat-models-path --gfpgan-models-path --codeformer-models-path
--clip-models-path --config --styles-file --ui-config-file --ui-settings-file --medvram --medvram-sdxl --lowvram
--lowram --no-half --no-half-vae --precision --upcast-sampling --use-cpu --use-ipex --device-id --disable-nan-check
--opt-channelslast --disable-model-loading-ram-optimization --xformers --force-enable-xformers
--xformers-flash-attention --opt-sdp-attention --opt-sdp-no-mem-attention --opt-split-attention
--opt-split-attention-v1 --opt-split-attention-invokeai --opt-sub-quad-attention --sub-quad-q-chunk-size
--sub-quad-kv-chunk-size --sub-quad-chunk-threshold --disable-opt-split-attention --listen --port --server-name
--share --ngrok --ngrok-options --gradio-auth --gradio-auth-path --api-auth --cors-allow-origins
--cors-allow-origins-regex --tls-keyfile --tls-certfile --disable-tls-verify --subpath --timeout-keep-alive
--no-gradio-queue --gradio-allowed-path --api --nowebui --api-log --api-server-stop --skip-load-model-at-start
--disable-safe-unpickle --enable-insecure-extension-access --allow-code --hide-ui-dir-config --freeze-settings
--freeze-settings-in-sections --freeze-specific-settings --disable-all-extensions --disable-extra-extensions
--autolaunch --theme --use-textbox-seed --no-progressbar-hiding --ui-debug-mode --gradio-debug
--disable-console-progressbars --no-prompt-history --no-hashing --no-download-sd-model
--unix-filenames-sanitization --filenames-max-length --administrator --forge-ref-a1111-home --controlnet-dir
--controlnet-preprocessor-models-dir --always-gpu --always-cpu --unet-in-bf16 --unet-in-fp16 --unet-in-fp8-e4m3fn
--unet-in-fp8-e5m2 --vae-in-bf16 --clip-in-fp16 --attention-split --attention-quad --attention-pytorch
--cuda-malloc --cuda-stream --pin-shared-memory --gpu-device-id --deepdanbooru --unload-gfpgan
--always-batch-cond-uncond --show-negative-prompt --gradio-img2img-tool --gradio-inpaint-tool --gradio-queue
--max-batch-count --ngrok-region --add-stop-route --enable-console-prompts --no-browser --venv-dir --offline
--use-uv --index-url --proxy --find-links --a1111-dir --comfy-dir --step
""".split()

# Attributes of cmd_opts that extensions read without a guard (extension-api.md, section 10).
ATTRIBUTES = """
lora_dir embeddings_dir ui_config_file lowvram medvram medvram_sdxl lowram hypernetwork_dir ckpt_dir no_half
no_half_vae upcast_sampling precision use_cpu lyco_dir lyco_dir_backcompat controlnet_dir vae_dir vae_path api_auth
gradio_auth gradio_auth_path ui_settings_file data_dir models_dir listen port server_name share ngrok subpath theme
tls_keyfile tls_certfile disable_nan_check disable_console_progressbars no_prompt_history no_gradio_queue
hide_ui_dir_config freeze_settings esrgan_models_path realesrgan_models_path bsrgan_models_path gfpgan_models_path
codeformer_models_path dat_models_path clip_models_path device_id gradio_allowed_path loglevel
sub_quad_q_chunk_size sub_quad_kv_chunk_size sub_quad_chunk_threshold localizations_dir skip_install api nowebui
api_log api_server_stop xformers opt_split_attention opt_sdp_attention opt_sdp_no_mem_attention
opt_sub_quad_attention opt_split_attention_v1 opt_split_attention_invokeai disable_opt_split_attention
disable_safe_unpickle styles_file no_hashing disable_all_extensions disable_extra_extensions skip_torch_cuda_test
autolaunch use_textbox_seed allow_code enable_insecure_extension_access administrator cors_allow_origins
add_stop_route timeout_keep_alive ui_debug_mode do_not_download_clip no_download_sd_model
skip_load_model_at_start filenames_max_length unix_filenames_sanitization use_ipex force_channels_last config ckpt
textual_inversion_templates_dir
""".split()


def read(*words: str, **environ: str) -> argparse.Namespace:
    return parse(list(words), environ=environ)


def refusal(capsys: pytest.CaptureFixture[str], *words: str, **environ: str) -> str:
    with pytest.raises(SystemExit) as ended:
        read(*words, **environ)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_every_option_users_know_is_declared_once() -> None:
    names = option_names()
    assert len(names) == len(set(names))
    assert not set(KNOWN) - set(names)


def test_every_attribute_extensions_read_exists() -> None:
    args = read()
    assert [name for name in ATTRIBUTES if not hasattr(args, name)] == []
    assert args.use_cpu == [] and args.precision == "autocast" and args.sub_quad_q_chunk_size == 1024
    assert args.timeout_keep_alive == 30 and args.filenames_max_length == 128 and args.port is None


def test_help_names_every_option_group_command_and_variable() -> None:
    text = build_parser({}).format_help()
    # Long options are broken over lines nowhere, so that plain search finds them.
    assert [name for name in option_names() if name not in text] == []
    assert [title for title in GROUPS.values() if f"\n{title}:" not in text] == []
    assert all(name in text for name in (*COMMANDS, *VARIABLES))
    assert all(option.help and option.group in GROUPS for option in OPTIONS)
    assert all(option.environment in VARIABLES for option in OPTIONS if option.environment.startswith("ATELIER"))


@pytest.mark.parametrize("words", [["test"], ["--port", "8000", "test"], ["test", "--port", "8000"]])
def test_options_stand_before_and_after_the_command(words: list[str]) -> None:
    args = read(*words)
    assert args.command == "test" and args.port in (None, 8000)
    assert ("--port" in words) == (args.port == 8000)


def test_without_a_command_it_serves() -> None:
    args = read("--listen", "--theme", "dark")
    assert args.command is None and args.listen and args.theme == "dark" and args.rest == []


def test_a_value_that_looks_like_a_command_stays_a_value() -> None:
    assert read("--subpath", "test").command is None
    assert read("--subpath", "test").subpath == "test"


def test_words_after_the_dashes_are_kept_apart() -> None:
    args = read("test", "--", "-k", "prompt", "--lf")
    assert args.command == "test" and args.rest == ["-k", "prompt", "--lf"]


@pytest.mark.parametrize(
    ("word", "meant"), [("--prot", "--port"), ("--med-vram", "--medvram"), ("--data-folder=x", "--data-dir")]
)
def test_an_unknown_option_names_the_closest(word: str, meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = refusal(capsys, word)
    assert word.split("=")[0] in text and f"Did you mean {meant}?" in text


def test_options_are_not_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    assert "unknown option --list" in refusal(capsys, "--list")


def test_an_unknown_command_names_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean doctor?" in refusal(capsys, "docter")


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--port", "70000"], "ports go from 0 to 65535"),
        (["--port", "x"], "--port"),
        (["--theme", "blue"], "--theme"),
        (["--filenames-max-length", "many"], "--filenames-max-length"),
        (["--port"], "--port"),
    ],
)
def test_a_bad_value_names_its_option(words: list[str], part: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert part in refusal(capsys, *words)


def test_commandline_args_come_first_so_that_typed_words_win() -> None:
    args = read("--port", "2", COMMANDLINE_ARGS='--api --port 1 --ckpt-dir "/a b"')
    assert args.api and args.port == 2
    assert args.ckpt_dir == os.path.abspath("/a b")


def test_variables_give_defaults_and_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert read(ATELIER_PORT="9000").port == 9000
    assert read("--port", "1", ATELIER_PORT="9000").port == 1
    assert read(ATELIER_OFFLINE="1").offline and not read(ATELIER_OFFLINE="0").offline
    assert read(VENV_DIR="-").venv_dir == "-"
    assert read(INDEX_URL="https://mirror/simple").index_url == "https://mirror/simple"
    assert "--port" in refusal(capsys, ATELIER_PORT="no")


def test_options_without_effect_are_accepted_with_one_line_each() -> None:
    args = read("--deepdanbooru", "--cuda-malloc", "--api")
    assert len(args.notices) == 2
    assert args.notices[0].startswith("--cuda-malloc is accepted without effect")
    assert read("--api", "--listen").notices == []
    assert len(read(CLIP_PACKAGE="x", STABLE_DIFFUSION_REPO="y").notices) == 2
    assert all(option.inert for option in OPTIONS if option.group == "inert")


def readers() -> str:
    """The source that can give an option its effect, as one text."""
    files = [*PROGRAM.glob("*.py"), *(PROGRAM / "atelier").rglob("*.py"), *(PROGRAM / "modules").rglob("*.py")]
    return "\n".join(f.read_text("utf-8") for f in files if f.name != "options.py")


def test_an_option_has_an_effect_or_is_marked_as_having_none() -> None:
    text = readers()
    read_as = r"""(\b(arguments|args|cmd_opts)\.{0}\b|["']{0}["'])"""
    silent = [o.name for o in OPTIONS if not o.inert and not re.search(read_as.format(o.dest), text)]
    assert silent == [], "add these to options.UNUSED, or read them"


def test_an_option_marked_as_having_no_effect_is_read_nowhere() -> None:
    text = readers()
    asked = r"""\b(arguments|args)(\.{0}\b|\.get\(["']{0}["']|\[["']{0}["']\])"""
    used = [o.name for o in OPTIONS if o.name in options.UNUSED and re.search(asked.format(o.dest), text)]
    assert used == [], "take these out of options.UNUSED"


def test_memory_flags_become_one_policy() -> None:
    assert read().memory_policy is None
    assert read("--medvram").memory_policy == read("--always-normal-vram").memory_policy == "rotate"
    assert read("--lowvram").memory_policy == read("--always-low-vram").memory_policy == "stream"
    assert read("--always-gpu").memory_policy == "keep"
    assert read("--medvram", "--memory-policy", "keep").memory_policy == "keep"
    assert read("--always-cpu").use_cpu == ["all"]


def test_aliases_set_both_attributes() -> None:
    args = read("--opt-split-attention-v1")
    assert args.opt_split_attention and args.opt_split_attention_v1


def test_flags_of_extensions_are_left_to_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "extensions" / "some"
    folder.mkdir(parents=True)
    (folder / "preload.py").write_text("def preload(parser):\n    parser.add_argument('--some-models', default='')\n")
    assert preload_flags([tmp_path / "extensions"]) == {"--some-models"}
    args = read("--data-dir", str(tmp_path), "--some-models", "there", "--listen")
    assert args.unparsed == ["--some-models", "there"] and args.listen
    assert "Did you mean --some-models?" in refusal(capsys, "--data-dir", str(tmp_path), "--some-model", "there")


def test_a_parser_with_more_options_is_used() -> None:
    parser = build_parser({})
    parser.add_argument("--some-number", type=int, default=3)
    assert parse(["--some-number", "5", "prepare"], parser, {}).some_number == 5


def test_relative_paths_are_made_absolute_where_they_were_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    args = read("--data-dir", "mine", "--styles-file", "a.csv", "--styles-file", "b.csv")
    assert args.data_dir == str(tmp_path / "mine")
    assert args.styles_file == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert args.lora_dir == str(tmp_path / "mine" / "models" / "Lora")
    assert args.ui_settings_file == str(tmp_path / "mine" / "config.json")


def test_a_folder_that_is_no_installation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="a1111-dir"):
        read("--a1111-dir", str(tmp_path / "none"))


def test_kinds_are_known() -> None:
    kinds = {options.FLAG, options.TEXT, options.NUMBER, options.REAL, options.PATH, options.PATHS}
    assert {option.kind for option in OPTIONS} <= kinds | {options.WORDS, options.PORT}
