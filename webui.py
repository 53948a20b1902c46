"""Starts the program: extensions, app, doors of A1111 extensions, page, server; the engine warms up behind them."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from atelier.app import App, build_app
from atelier.base import log
from atelier.base.errors import AtelierError
from atelier.launch.arguments import build_parser, parse
from atelier.launch.folders import paths_from
from atelier.params.groups import GROUPS
from atelier.params.settings import Settings
from atelier.pipeline.hooks import PipelineHooks
from atelier.plugins.discover import list_extensions, load_plugins, preload
from atelier.plugins.manager import Plugins
from atelier.web.auth import check_exposure
from atelier.web.hooks import WebHooks
from atelier.web.serve import Serving, address, bind, open_browser
from atelier.web.server import build_server
from modules._host.host import attach_host

logger = log.logger("atelier.webui")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse(argv)
    log.setup(arguments.loglevel or "INFO")
    try:
        return serve(arguments, argv)
    except AtelierError as error:
        logger.error("%s", error)
        return 1
    except KeyboardInterrupt:
        # Ctrl-C is how a person ends the program; by now everything is closed and the queue is saved.
        logger.info("stopped")
        return 0


def serve(arguments, argv: Sequence[str] | None) -> int:
    app = assemble(arguments, argv)
    try:
        # The engine imports torch in its own thread while the page is built and shown.
        app.start()
        if not app.arguments["skip_load_model_at_start"]:
            app.submit_job("load_model", {})
        server = build_server(app) if arguments.nowebui else server_with_page(app)
        serving = Serving(server, bind(*address(app.arguments)), app.arguments)
        app.exit = lambda how: serving.stop()
        app.lock.describe(serving.port, serving.url)
        print(f"Running on {serving.url}", flush=True)
        if arguments.autolaunch and not arguments.no_browser:
            open_browser(serving.url)
        serving.run()
    finally:
        app.close()
    return 0


def server_with_page(app: App):
    """Gradio takes seconds to import: only a program that shows a page pays for it."""
    from atelier.web.mount import build_paged_server

    return build_paged_server(app)


def assemble(arguments, argv: Sequence[str] | None) -> App:
    """Everything is found, checked and registered before anything runs. Raises any `AtelierError`."""
    paths = paths_from(arguments)
    plugins = Plugins()
    plugins.add_hookspecs(PipelineHooks, WebHooks)
    saved = Settings(paths.settings, GROUPS).snapshot()
    disabled = "all" if arguments.disable_all_extensions else saved.disable_all_extensions
    disabled = "extra" if disabled == "none" and arguments.disable_extra_extensions else disabled
    extensions = list_extensions(paths, saved.disabled_extensions, disabled)
    parser = build_parser()
    preload(extensions, parser)
    arguments = parse(argv, parser)
    check_exposure(vars(arguments))
    load_plugins(extensions, plugins)
    app = build_app(paths, vars(arguments), plugins, extensions=extensions)
    if paths.checkpoint_file is not None:
        app.settings.update({"sd_model_checkpoint": paths.checkpoint_file.name}, save=False)
    try:
        attach_host(app)
    except BaseException:
        app.close()
        raise
    return app


if __name__ == "__main__":
    sys.exit(main())
