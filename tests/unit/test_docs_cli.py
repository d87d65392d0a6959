"""The pages about the command line and operations say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest
import typer

from zuji.engine import errors
from zuji.engine.config import Config
from zuji.server.cli.app import app
from zuji.server.cli.outcome import OUTCOMES
from zuji.server.importer.mapping import KNOWN_NAMES, Mapping, read_mapping

ROOT = Path(__file__).parents[2]
CLI = (ROOT / "docs/cli.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
COMMANDS = typer.main.get_command(app).commands
GROUPS = {name: c.commands for name, c in COMMANDS.items() if hasattr(c, "commands")}
ALL = [*COMMANDS.values(), *(c for group in GROUPS.values() for c in group.values())]


def table_after(text, heading):
    """Rows of the first table under a heading, as lists of cells."""
    part = text.split(heading, 1)[1]
    lines = re.search(r"\n(\|.*\n)+", part).group().strip().splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def section(name):
    """Text of the section that is about a command."""
    for heading in re.split(r"^## ", CLI, flags=re.MULTILINE)[1:]:
        names, _, text = heading.partition("\n")
        if name in re.split(r",\s*", names):
            return text
    raise AssertionError(f"docs/cli.md has no section about {name}")


def test_every_error_code_has_an_outcome_and_a_line_in_operations():
    there = vars(errors).values()
    classes = [c for c in there if isinstance(c, type) and issubclass(c, errors.ZujiError)]
    assert set(OUTCOMES) == {each.code for each in classes}
    rows = table_after(OPERATIONS, "## Errors")
    assert rows == [
        [f"`{code}`", str(o.status), o.meaning, o.advice or "–"] for code, o in OUTCOMES.items()
    ]


def test_every_setting_stands_in_operations_with_its_default():
    rows = {row[0].strip("`"): row[1] for row in table_after(OPERATIONS, "## Settings")}
    fields = {f.name: f.default for f in msgspec.structs.fields(Config)}
    assert set(rows) == set(fields)
    units = {"MiB": 1 << 20, "GiB": 1 << 30}
    for name, said in rows.items():
        number, _, unit = said.replace(",", "").partition(" ")
        if number.isdigit():
            assert int(number) * units.get(unit, 1) == fields[name], name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name):
    text = section(name)
    general = CLI.split("## init")[0]
    parts = GROUPS.get(name, {name: COMMANDS[name]})
    for part in GROUPS.get(name, ()):
        assert f"`zuji {name} {part}" in text, part
    for option in [option for part in parts.values() for option in part.params]:
        if option.hidden if hasattr(option, "hidden") else False:
            continue
        for flag in [*option.opts, *option.secondary_opts]:
            if flag.startswith("--") and flag not in {"--chart", "--help"}:
                assert f"`{flag}" in text or f"`{flag}" in general or flag in text, f"{name} {flag}"


def test_options_named_in_the_page_exist():
    known = {f for c in ALL for o in c.params for f in [*o.opts, *o.secondary_opts]}
    known |= {"--help", "--debug", "--install-completion"}
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", CLI):
        assert flag in known, flag


def test_the_mapping_file_of_the_page_is_one(tmp_path):
    text = re.search(r"```toml\n(.*?)```", CLI, re.DOTALL).group(1)
    (tmp_path / "m.toml").write_text(text, "utf-8")
    mapping = read_mapping(tmp_path / "m.toml")
    assert mapping.event_name == "purchase"
    for name in Mapping.__struct_fields__:
        assert re.search(rf"\b{name}\b", CLI), name


def test_the_well_known_columns_stand_in_the_page():
    text = section("import")
    for names in KNOWN_NAMES.values():
        assert ", ".join(f"`{name}`" for name in names) in text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_that_pages_name_exist(page):
    text = page.read_text("utf-8")
    for line in re.findall(r"`(zuji [^`\n]+)`|^(zuji .+)$", text, re.MULTILINE):
        words = "".join(line).split()[1:]
        if not words[0][0].islower():
            continue
        assert words[0] in COMMANDS, words
        if words[0] in GROUPS and len(words) > 1 and words[1].isalpha():
            assert words[1] in GROUPS[words[0]], words


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http:", "https:")):
            path, _, anchor = target.partition("#")
            there = (page.parent / path).resolve() if path else page
            assert there.exists(), target
            if anchor:
                headings = re.findall(r"^#+ (.+)$", there.read_text("utf-8"), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
                assert anchor in slugs, target


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_example_runs(name, tmp_path, monkeypatch, capsys):
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    code = re.search(r"```python\n(.*?)```", (ROOT / name).read_text("utf-8"), re.DOTALL).group(1)
    exec(compile(code, name, "exec"), {})
    assert "0.5" in capsys.readouterr().out


def test_both_readmes_show_the_same_commands():
    def commands(name):
        text = (ROOT / name).read_text("utf-8")
        lines = [line.split("#")[0].strip() for line in text.splitlines()]
        return [line for line in lines if line.startswith(("make ", "zuji "))]

    english, chinese = commands("README.md"), commands("README.zh-CN.md")
    assert [line for line in chinese if "gb18030" not in line] == english
