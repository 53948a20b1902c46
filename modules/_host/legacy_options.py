"""A1111's options that Atelier does not declare: their defaults, so that extensions can read them."""

from __future__ import annotations

from types import MappingProxyType

#: Reading gives the default, or what an extension has set; nothing in the program acts on them yet.
DEFAULTS = MappingProxyType({
    # saving
    "grid_zip_filename_pattern": "",
    "export_for_4chan": True, "img_downscale_threshold": 4.0,
    "target_side_length": 4000,
    "save_selected_only": True, "save_write_log_csv": True, "temp_dir": "",
    "clean_temp_dir_at_start": False, "notification_audio": True, "notification_volume": 100,
    "use_save_to_dirs_for_ui": False, "outdir_videos": "outputs/videos",
    # models and sampling
    "sd_checkpoint_hash": "", "sd_checkpoint_cache": 0, "sd_checkpoints_keep_in_cpu": True, "sd_unet": "Automatic",
    "enable_batch_seeds": True, "sd3_enable_t5": False,
    "img2img_editor_height": 720,
    "img2img_sketch_default_brush_color": "#ffffff", "img2img_inpaint_mask_brush_color": "#ffffff",
    "img2img_inpaint_sketch_default_brush_color": "#ffffff",
    "hide_samplers": [], "ddim_discretize": "uniform",
    # optimisations and compatibility
    "cache_fp16_weight": False, "hypertile_enable_unet": False, "hypertile_enable_vae": False,
    "use_old_emphasis_implementation": False,
    # interface
    "ui_reorder_list": [], "gradio_theme": "Default", "gradio_themes_cache": True, "show_progress_in_title": True,
    "compact_prompt_box": False, "samplers_in_dropdown": True, "dimensions_and_batch_together": True,
    "sd_checkpoint_dropdown_use_short": False, "hires_fix_show_sampler": False, "hires_fix_show_prompts": False,
    "txt2img_settings_accordion": False, "img2img_settings_accordion": False, "do_not_show_images": False,
    "js_modal_lightbox": True, "js_modal_lightbox_initially_zoomed": True, "js_modal_lightbox_gamepad": False,
    "js_modal_lightbox_gamepad_repeat": 250, "sd_webui_modal_lightbox_icon_opacity": 1,
    "sd_webui_modal_lightbox_toolbar_opacity": 0.9, "gallery_height": "", "open_dir_button_choice": "Subdirectory",
    "keyedit_precision_extra": 0.05,
    "keyedit_delimiters": r".,\/!?%^*;:{}=`~() ",
    "keyedit_delimiters_whitespace": ["Tab", "Carriage Return", "Line Feed"],
    "keyedit_move": True, "disable_token_counters": False, "include_styles_into_token_counters": True,
    "show_progressbar": True, "show_progress_grid": True, "live_preview_allow_lowvram_full": False,
    "live_preview_fast_interrupt": False,
    "js_live_preview_in_modal_lightbox": False, "prevent_screen_sleep_during_generation": True,
    "show_warnings": False, "show_gradio_deprecation_warnings": True,
    # extra networks
    "extra_networks_show_hidden_directories": True, "extra_networks_hidden_models": "When searched",
    "extra_networks_dir_button_function": False,
    "extra_networks_card_description_is_html": False,
    "extra_networks_tree_view_style": "Dirs", "extra_networks_tree_view_default_enabled": True,
    "extra_networks_tree_view_default_width": 180, "lora_functional": False,
    "lora_show_all": False, "lora_hide_unknown_for_versions": [],
    "lora_not_found_warning_console": False, "lora_not_found_gradio_warning": False,
    # system
    "auto_launch_browser": "Local", "enable_console_prompts": False, "memmon_poll_rate": 8,
    "samples_log_stdout": False, "multiple_tqdm": True, "enable_upscale_progressbar": True,
    "print_hypernet_extra": False, "list_hidden_files": True, "disable_mmap_load_safetensors": False,
    "hide_ldm_prints": True, "dump_stacks_on_signal": False, "concurrent_git_fetch_limit": 16,
    "profiling_enable": False, "restore_config_state_file": "",
    # upscaling, faces, interrogation, training
    "realesrgan_enabled_models": ["R-ESRGAN 4x+", "R-ESRGAN 4x+ Anime6B"],
    "dat_enabled_models": ["DAT x2", "DAT x3", "DAT x4"],
    "set_scale_by_when_changing_upscaler": False,
    "face_restoration_unload": False,
    "upscaling_max_images_in_cache": 5,
    "interrogate_keep_models_in_memory": False,
    "interrogate_clip_skip_categories": [],
    "unload_models_when_training": False, "pin_memory": False,
    "save_optimizer_state": False, "save_training_settings_to_txt": True, "training_image_repeats_per_epoch": 1,
    "training_write_csv_every": 500, "training_xattention_optimizations": False,
    "training_enable_tensorboard": False, "training_tensorboard_save_images": False,
    "training_tensorboard_flush_every": 120, "dataset_filename_word_regex": "", "dataset_filename_join_string": " ",
    "extra_options_txt2img": [], "extra_options_img2img": [], "extra_options_cols": 1,
    "extra_options_accordion": False,
})  # fmt: skip
