"""The house rules, checked over the source itself."""

import ast

import pytest

from tests.house.source import core, sources

MAX_LINES, MAX_FUNCTION, MAX_PARAMETERS = 400, 60, 7

#: what is longer or wider than the rules allow, each with its reason
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS: dict[str, str] = {
    "atelier.web.look.theme": "a table: one colour or size a line",
}
WIDE_FUNCTIONS: dict[str, str] = {
    "atelier.prompts.chunks.chunk_prompt": "four of them are the marks of one vocabulary, given by name",
}

#: the only files that may catch every exception: each turns it into an event or a listed failure with an owner
CATCH_ALL = {"atelier.plugins.guard", "atelier.plugins.discover", "atelier.jobs.worker", "atelier.web.server",
             "modules._host.custom_code"}  # fmt: skip

FLOORS = {
    "base": (), "params": ("base",), "prompts": ("base",), "imaging": ("base",), "device": ("base",),
    "sampling": ("base",), "store": ("base", "params"), "jobs": ("base", "store", "params"),
    "plugins": ("base", "params"), "families": ("base", "sampling", "prompts"),
    "checkpoints": ("base", "families", "device", "sampling", "prompts"),
    "networks": ("base", "checkpoints", "device", "families", "prompts", "sampling"),
    "tools": ("base", "checkpoints", "device", "imaging"),
    "pipeline": ("base", "params", "imaging", "prompts", "device", "sampling", "families", "checkpoints", "networks",
                 "tools"),
    "scripts": ("base", "params", "imaging", "sampling", "tools", "pipeline", "plugins"),
    "engine": ("base", "params", "imaging", "prompts", "device", "sampling", "families", "checkpoints", "networks",
               "tools", "pipeline", "plugins", "jobs", "scripts"),
    "app": ("base", "params", "store", "imaging", "prompts", "jobs", "plugins"),
    "web": ("base", "params", "store", "imaging", "prompts", "jobs", "plugins", "app"),
    "launch": ("base", "params"),
}  # fmt: skip


def allowed(name: str, target: str) -> bool:
    """May the file of one package import the other package? Its own package, and what the map of floors names."""
    return name == target or target in FLOORS[name]


def ids(items):
    return [s.name for s in items]


@pytest.mark.parametrize("source", core(), ids=ids(core()))
def test_a_floor_imports_only_what_lies_below(source):
    for target in source.imports():
        parts = target.split(".")
        assert parts[0] != "modules", f"{source.name} imports the doors"
        if parts[0] == "atelier" and len(parts) > 1:
            assert allowed(source.package, parts[1]), f"{source.name} imports {target}"


GPU_SIDE = {"device", "sampling", "families", "checkpoints", "networks", "tools", "pipeline", "scripts", "engine",
            "training"}


@pytest.mark.parametrize("source", core(), ids=ids(core()))
def test_sides_stay_apart(source):
    wanted = {target.split(".")[0] for target in source.imports()}
    if source.package in GPU_SIDE:
        assert not wanted & {"gradio", "fastapi", "starlette"}
    else:
        assert not wanted & {"torch", "diffusers", "transformers"}
    if source.package in ("launch", "base", "params", "store"):
        third_party = wanted & {"numpy", "PIL", "torch", "gradio", "fastapi", "pydantic", "pluggy", "psutil", "yaml"}
        assert not third_party


def test_there_is_no_cycle():
    graph = {s.name: set() for s in sources()}
    for source in sources():
        for target in source.imports():
            # "from a.b import c" names the module a.b.c, or something in a.b.
            if target in graph and target != source.name:
                graph[source.name].add(target)
    done: set[str] = set()

    def visit(name, trail):
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for target in sorted(graph[name]):
            visit(target, [*trail, name])
        done.add(name)

    for name in graph:
        visit(name, [])


@pytest.mark.parametrize("source", sources(), ids=ids(sources()))
def test_files_and_functions_stay_small(source):
    if source.name not in LONG_FILES:
        assert source.lines <= MAX_LINES, f"{source.name} has {source.lines} lines"
    for function in source.functions():
        name = f"{source.name}.{function.name}"
        length = function.end_lineno - function.lineno + 1
        assert length <= MAX_FUNCTION or name in LONG_FUNCTIONS, f"{name} has {length} lines"


@pytest.mark.parametrize("source", core(), ids=ids(core()))
def test_functions_are_narrow_and_annotated(source):
    for function in source.functions():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        own = [a for a in arguments if a.arg not in ("self", "cls")]
        name = f"{source.name}.{function.name}"
        assert len(own) <= MAX_PARAMETERS or name in WIDE_FUNCTIONS, f"{name} takes {len(own)} parameters"
        if not function.name.startswith("_"):
            bare = [a.arg for a in own if a.annotation is None]
            assert not bare, f"{name} has no annotation for {', '.join(bare)}"


@pytest.mark.parametrize("source", sources(), ids=ids(sources()))
def test_the_first_line_says_what_the_file_is(source):
    if source.path.name == "__init__.py" and source.name.startswith("atelier"):
        assert source.text == "", f"{source.name} is a package: its file stays empty"
    elif source.text:
        assert ast.get_docstring(source.tree), f"{source.name} has no docstring"


@pytest.mark.parametrize("source", sources(), ids=ids(sources()))
def test_nothing_is_caught_silently(source):
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type is not None else "everything"
            wide = (
                node.type is None or "Exception" in caught.replace("(", " ").replace(",", " ").replace(")", " ").split()
            )
            if wide:
                assert source.name in CATCH_ALL, f"{source.name}:{node.lineno} catches {caught}"
            if len(node.body) == 1 and isinstance(node.body[0], ast.Pass):
                said = any("#" in line for line in source.text.splitlines()[node.lineno - 1 : node.body[0].lineno])
                assert said, f"{source.name}:{node.lineno} is silent and does not say why it may be"


@pytest.mark.parametrize("source", core(), ids=ids(core()))
def test_no_global_state(source):
    for node in ast.walk(source.tree):
        assert not isinstance(node, ast.Global), f"{source.name}:{node.lineno} has a global statement"
    for node in source.tree.body:
        value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) else None
        mutable = isinstance(value, (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp))
        listed = isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        assert not mutable or listed, f"{source.name}:{node.lineno} keeps a mutable value"


@pytest.mark.parametrize("source", core(), ids=ids(core()))
def test_the_core_does_not_print(source):
    if source.package == "launch":
        return
    for node in ast.walk(source.tree):
        printing = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        assert not printing, f"{source.name}:{node.lineno} prints"


def test_doors_stay_thin():
    for source in sources():
        if source.name.startswith("modules.") and "._host" not in source.name:
            assert source.lines <= 60, f"{source.name} has {source.lines} lines"
