"""The house: which part may import which. Every import is walked, those inside functions too."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import kuzushiji_tf

PACKAGE = Path(kuzushiji_tf.__file__).parent
NAME = PACKAGE.name
GROUND = ("characters", "config", "errors", "files", "runtime", "workdirs")
# Top to bottom. Parts of one floor do not import each other, except on the ground.
FLOORS = (
    ("cli",),
    ("serving",),
    ("transfer",),
    ("training", "exporting"),
    ("evaluation",),
    ("recognition",),
    ("batches",),
    ("models",),
    ("datasets",),
    ("ink",),
    GROUND,
)
FLOOR_OF = {part: number for number, parts in enumerate(FLOORS) for part in parts}
TENSORFLOW = frozenset({"tensorflow", "tf_keras"})
KERAS = frozenset({"keras"})
HEAVY = TENSORFLOW | KERAS | {"h5py", "matplotlib", "scipy", "sklearn", "tensorboard"}
LONGEST_MODULE = 300
MOST_NAMES = 20  # of the package's folder


@cache
def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        if "node_modules" not in path.parts:
            parts = (NAME, *path.relative_to(PACKAGE).with_suffix("").parts)
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def part_of(module: str) -> str:
    """Return the package or the flat module right below the root that a module belongs to."""
    return module.split(".")[1] if "." in module else ""


def imports(module: str, *, only_at_start: bool = False) -> Iterator[str]:
    """Yield the dotted names that a module imports: modules of the package where they are such, else as written."""
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    for node in _run_at_start(tree) if only_at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import; write it out."
            for alias in node.names:
                yield _origin(str(node.module), alias.name)


def _origin(module: str, name: str) -> str:
    """Return the module that `from module import name` gets a name from; a public name is one of a module below."""
    if module == NAME and name in kuzushiji_tf._MODULES:
        return f"{NAME}.{kuzushiji_tf._MODULES[name]}"
    inner = f"{module}.{name}"
    return inner if inner in modules() else module


def _run_at_start(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes below one that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _run_at_start(child)


def libraries(module: str, *, only_at_start: bool = False) -> set[str]:
    """Return the top-level names of what a module imports."""
    return {name.split(".")[0] for name in imports(module, only_at_start=only_at_start)}


def own_imports(module: str) -> set[str]:
    """Return the modules of the package that a module imports."""
    return {name for name in imports(module) if name in modules() and name not in (NAME, module)}


def test_a_public_name_counts_as_the_module_that_it_comes_from():
    assert _origin(NAME, "train") == f"{NAME}.training.runs"
    assert _origin(NAME, "__version__") == NAME
    assert _origin(f"{NAME}.ink", "strokes") == f"{NAME}.ink.strokes"


def test_no_part_imports_the_package_as_a_whole():
    whole = [module for module in modules() if NAME in set(imports(module)) and module != f"{NAME}.__main__"]
    assert set(whole) <= {f"{NAME}.runtime", f"{NAME}.serving.api"}  # which name its version


def test_every_part_of_the_package_has_its_floor():
    parts = {part_of(module) for module in modules()} - {"", "__main__"}
    assert parts == set(FLOOR_OF)


def test_the_package_shows_at_most_twenty_names():
    shown = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__" and not path.name.startswith(".")}
    assert len(shown) <= MOST_NAMES, sorted(shown)


def test_imports_only_point_down():
    wrong = []
    for module in modules():
        importer = part_of(module)
        if importer in ("", "__main__"):
            continue
        for imported in own_imports(module):
            part = part_of(imported)
            is_below = FLOOR_OF[importer] < FLOOR_OF[part]
            if not (part == importer or is_below or {part, importer} <= set(GROUND)):
                wrong.append(f"{module} imports {imported}")
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other_on_any_way_round():
    state: dict[str, str] = {}

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert state.get(module) != "open", " -> ".join((*way, module))
        if module not in state:
            state[module] = "open"
            for imported in sorted(own_imports(module)):
                visit(imported, (*way, module))
            state[module] = "done"

    for module in sorted(modules()):
        visit(module, ())


def floor_and_below(part: str) -> list[str]:
    """Return the modules of a part's floor and of all floors below it."""
    return [module for module in modules() if FLOOR_OF.get(part_of(module), -1) >= FLOOR_OF[part]]


def test_nothing_below_the_models_knows_tensorflow_or_keras():
    wrong = [module for module in floor_and_below("datasets") if libraries(module) & (TENSORFLOW | KERAS)]
    assert not wrong


def test_models_know_keras_and_not_tensorflow():
    models = [module for module in modules() if part_of(module) == "models"]
    assert any("keras" in libraries(module) for module in models)
    assert not [module for module in models if libraries(module) & TENSORFLOW]


def test_recognition_starts_without_any_heavy_library():
    recognition = [module for module in modules() if part_of(module) == "recognition"]
    assert recognition
    assert not [module for module in recognition if libraries(module, only_at_start=True) & HEAVY]


@pytest.mark.parametrize(
    "program",
    [
        "import kuzushiji_tf",
        "from kuzushiji_tf import Recognizer, draw_ink, pretrained_names, load_dataset, TrainingConfig",
        "from kuzushiji_tf import Recognizer\n"
        "Recognizer.pretrained('kana').recognize(strokes=[[[20, 20], [80, 22]], [[18, 70], [88, 76]]])",
        "import kuzushiji_tf.serving.api",
        "import kuzushiji_tf.cli.predict, kuzushiji_tf.cli.serve",
    ],
)
def test_a_recognizer_in_use_loads_no_heavy_library(program):
    report = f"{program}\nimport sys\nprint(sorted({set(HEAVY)!r} & sys.modules.keys()))"
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", report], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_the_package_costs_less_than_a_tenth_of_a_second():
    command = [sys.executable, "-X", "importtime", "-c", f"import {NAME}"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    costs = []
    for _ in range(3):  # the least of three, since other processes get in the way
        lines = subprocess.run(command, env=environment, capture_output=True, text=True).stderr.splitlines()
        costs.append(next(int(line.split("|")[1]) for line in lines if line.split("|")[-1].strip() == NAME))
    assert min(costs) < 100_000  # microseconds


def test_no_module_is_longer_than_three_hundred_lines():
    lengths = {module: len(path.read_text(encoding="utf-8").splitlines()) for module, path in modules().items()}
    assert not {module: length for module, length in lengths.items() if length > LONGEST_MODULE}
