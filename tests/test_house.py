"""The house rules that no linter knows, as tests over the repository's own files."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

ROOMS = ("baseline_metrics", "campaign", "monitoring_logs", "results_summary", "safety_monitoring", "stress_scenarios")

MODULE_LINES_MAX = 500
"""A module aims at 350; beyond this it holds two ideas."""

BANNED_NAMES = frozenset({"data", "helper", "helpers", "info", "manager", "util", "utils"})
"""Names that say nothing about what is inside."""

SYMBOLS_ALLOWED = frozenset("°·×µ±²σμΣ–—…→←↑↓≤≥≈≠∞▸▶│─█▁▂▃▄▅▆▇░▒▓•✓✗")  # noqa: RUF001 - here they are listed
"""Units, arithmetic, and what tables and bars are drawn with; letters of any language are allowed as well."""

# Written in two parts, so that this file does not contain them.
FOREIGN_PLACES = tuple(
    first + second
    for first, second in (
        ("pypi.", "org"),
        ("python", "hosted.org"),
        ("registry.npm", "js.org"),
        ("deb.", "debian.org"),
        ("--index", "-url"),
        ("/work/", "main"),
        ("/work/", "shared"),
        ("/tmp/", "work"),
        ("/root", "/"),
        ("/home", "/"),
    )
)
"""Hosts of registries and paths of somebody's machine: true in one place only, so never in the repository."""

TEXT_SUFFIXES = frozenset(
    {
        ".cfg",
        ".css",
        ".html",
        ".j2",
        ".js",
        ".json",
        ".md",
        ".py",
        ".sh",
        ".sql",
        ".svg",
        ".toml",
        ".txt",
        ".yaml",
        ".yml",
        "",
    }
)


def tracked_files() -> tuple[Path, ...]:
    """Every file of the repository: tracked, or new and not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=30,
    )
    names = listing.stdout.decode("utf-8").split("\0")
    return tuple(sorted(ROOT / name for name in set(names) if name and (ROOT / name).is_file()))


FILES = tracked_files()
MODULES = tuple(path for path in FILES if path.suffix == ".py")


def relative(path: Path) -> str:
    """The name by which a test shows a file."""
    return str(path.relative_to(ROOT))


def functions_of(path: Path) -> tuple[ast.FunctionDef | ast.AsyncFunctionDef, ...]:
    """Every function of a module, methods included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_the_repository_is_listed() -> None:
    """The other tests of this file look at something: every room is among the files."""
    assert set(ROOMS) <= {path.relative_to(ROOT).parts[0] for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_is_and_is_small(path: Path) -> None:
    """A module begins with a docstring and has one idea's length."""
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "the module has no docstring"
    assert text.count("\n") <= MODULE_LINES_MAX, "two ideas are two modules"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_has_a_telling_name(path: Path) -> None:
    """No module or folder is a drawer, and none of a room shadows one of the standard library."""
    names = {*path.relative_to(ROOT).parts[:-1], path.stem}
    assert not names & BANNED_NAMES
    if path.relative_to(ROOT).parts[0] in ROOMS and path.stem not in {"__init__", "__main__"}:
        assert path.stem not in sys.stdlib_module_names, "a module run from its folder would hide the library's"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_code_is_written_with_letters(path: Path) -> None:
    """No emoji and no ornaments: beyond letters of any language, only the listed symbols."""
    text = path.read_text(encoding="utf-8")
    strange = {
        character
        for character in text
        if ord(character) > 126 and not character.isalpha() and character not in SYMBOLS_ALLOWED
    }
    assert not strange or path == Path(__file__), f"use words instead of {sorted(strange)}"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name.startswith("test_")], ids=relative)
def test_a_test_states_what_it_shows(path: Path) -> None:
    """Every test function has a docstring that is a sentence."""
    tests = [node for node in functions_of(path) if node.name.startswith("test_")]
    silent = [node.name for node in tests if not (ast.get_docstring(node) or "").rstrip().endswith((".", "!", "?"))]
    assert not silent, f"without a sentence: {silent}"


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix in TEXT_SUFFIXES], ids=relative)
def test_a_file_names_no_place_of_one_machine(path: Path) -> None:
    """No registry host and no path of somebody's machine is in the repository."""
    text = path.read_text(encoding="utf-8", errors="replace")
    assert not [place for place in FOREIGN_PLACES if place in text]


def test_the_readme_shows_the_two_commands() -> None:
    """Who reads only the README can run the demo and the tests."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".md"], ids=relative)
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    """Every relative link in a document names a file or folder that exists."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in local if not (path.parent / link).exists()]


def test_the_changelog_knows_this_version() -> None:
    """What is about to be released is described for its users."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"## {project['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_decision_weighs_options() -> None:
    """A decision record has a number of its own, at least two options, and a choice."""
    records = [path for path in FILES if path.parent == ROOT / "docs" / "adr"]
    numbers = [path.name[:4] for path in records]
    assert numbers == sorted(set(numbers))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert len(re.findall(r"^\*\*[A-Z]\. ", text, flags=re.MULTILINE)) >= 2, path.name
        assert "## Choice" in text, path.name


def test_constraints_are_exact_and_cover_what_is_required() -> None:
    """Every direct dependency is pinned to one version, and the list is the only lock."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert not [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line)]
    pinned = {_normal(line.partition("==")[0]) for line in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {_normal(re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]) for line in required}
    assert names <= pinned
    assert not (ROOT / "uv.lock").exists()


def _normal(name: str) -> str:
    """A package's name as installers compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()
