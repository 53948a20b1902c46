"""Plugins are checked when they register, called in order, and guarded."""

import inspect

import pytest

from atelier.base.errors import ExtensionError
from atelier.pipeline.hooks import PipelineHooks
from atelier.plugins.hooks import ProgramHooks, hookimpl
from atelier.plugins.manager import Plugins, documented
from atelier.web.hooks import WebHooks


@pytest.fixture
def plugins():
    made = Plugins()
    made.add_hookspecs(PipelineHooks, WebHooks)
    return made


def test_an_implementation_names_only_the_arguments_it_wants(plugins):
    seen = []

    class Mine:
        @hookimpl
        def amend_plan(self, draft):
            seen.append(draft)

    plugins.register(Mine(), "mine")
    plugins.relay.amend_plan(run=None, draft="draft")
    assert seen == ["draft"] and plugins.names() == ("mine",)
    plugins.unregister("mine")
    plugins.relay.amend_plan(run=None, draft="again")
    assert seen == ["draft"]


def test_unknown_hooks_and_arguments_are_refused_at_registration(plugins):
    class Misspelt:
        @hookimpl
        def amend_plans(self):
            pass

    class Asks:
        @hookimpl
        def amend_plan(self, plan):
            pass

    for plugin in (Misspelt(), Asks()):
        with pytest.raises(ExtensionError):
            plugins.register(plugin, "bad")
    assert plugins.names() == ()

    class Good:
        @hookimpl
        def stopping(self):
            pass

    plugins.register(Good(), "good")
    with pytest.raises(ExtensionError):
        plugins.register(Good(), "good")


def test_a_failing_implementation_does_not_stop_the_others(plugins):
    done = []

    class Bad:
        @hookimpl(tryfirst=True)
        def stopping(self):
            raise RuntimeError("boom")

    class Good:
        @hookimpl
        def stopping(self):
            done.append(1)

    plugins.register(Bad(), "bad")
    plugins.register(Good(), "good")
    for _ in range(4):
        plugins.relay.stopping()
    assert done == [1, 1, 1, 1] and plugins.guard.is_off("bad")


def test_provided_lists_are_joined_in_order_of_registration(plugins):
    def provider(*values):
        class Provider:
            @hookimpl
            def provide_samplers(self):
                return list(values)

        return Provider()

    plugins.register(provider("a", "b"), "one")
    plugins.register(provider("c"), "two")
    assert plugins.provided("provide_samplers") == ["a", "b", "c"]


def test_the_first_result_wins(plugins):
    class Taker:
        @hookimpl
        def take_over(self, run):
            return "taken"

    assert plugins.relay.take_over(run=None) is None
    plugins.register(Taker(), "taker")
    assert plugins.relay.take_over(run=None) == "taken"


def test_every_hook_has_a_sentence_and_annotations():
    for cls in (ProgramHooks, PipelineHooks, WebHooks):
        for name, sentence in documented(cls).items():
            assert sentence.endswith((".", ":")) or len(sentence) > 20, name
            assert inspect.signature(getattr(cls, name)).return_annotation is not inspect.Signature.empty, name
