"""A settings file as plain data, with the place of each key and all of its mistakes."""

from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from msgspec import Struct
from ruamel.yaml import YAML, AliasEvent, CollectionEndEvent, CollectionStartEvent, MappingNode
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import Node, ScalarNode, SequenceNode

from reactor.problem import Place, Problem

LARGEST_LETTERS = 64 << 10
DEEPEST = 64
_TAG = "tag:yaml.org,2002:"


class Found(Struct, frozen=True):
    """A value that was given, and where it and what is inside it stand."""

    value: Any
    places: Mapping[tuple[str | int, ...], Place]

    def place(self, path: tuple[str | int, ...]) -> Place:
        """The place of something inside, or of the nearest that has one."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]


class Document:
    """The text of one file; what is wrong with it is added to `problems`."""

    def __init__(self, name: str, text: str, problems: list[Problem]) -> None:
        self.name = name
        self.problems = problems
        self._text = text
        self._lines = text.splitlines()

    def complain(self, place: Place, message: str) -> None:
        """Note a mistake, with the line it stands in."""
        inside = place.line <= len(self._lines)
        snippet = self._lines[place.line - 1] if inside else None
        self.problems.append(Problem(place=place, message=message, snippet=snippet))

    def value(self) -> Any:
        """The whole document as plain data."""
        root = self._root()
        return None if root is None else self._plain(root, (), {})

    def settings(self, leaves: Collection[str]) -> dict[str, Found]:
        """What the document sets: the leaves that it names; unknown keys become problems."""
        root = self._root()
        found: dict[str, Found] = {}
        if root is not None:
            self._section(root, "", leaves, found)
        return found

    def _section(
        self, node: Node, prefix: str, leaves: Collection[str], found: dict[str, Found]
    ) -> None:
        if isinstance(node, ScalarNode) and node.tag == f"{_TAG}null":
            return
        if not isinstance(node, MappingNode):
            what = prefix.rstrip(".") or "the file"
            example = next((key for key in leaves if key.startswith(prefix)), "")
            inner = example.removeprefix(prefix).partition(".")[0]
            self.complain(self._place(node), f"{what} is a map: write {inner}: ... below it")
            return
        for key_node, value_node in self._pairs(node):
            key = prefix + key_node.value
            if key in leaves:
                places: dict[tuple[str | int, ...], Place] = {}
                value = self._plain(value_node, (), places)
                found[key] = Found(value, places)
            elif any(leaf.startswith(f"{key}.") for leaf in leaves):
                self._section(value_node, f"{key}.", leaves, found)
            else:
                self.complain(self._place(key_node), _unknown(key, leaves))

    def _root(self) -> Node | None:
        if len(self._text) > LARGEST_LETTERS:
            self.complain(Place(self.name, 1, 1), "the file is larger than 64 KiB")
            return None
        try:
            if not self._is_plain():
                return None
            root: Node | None = YAML(typ="safe", pure=True).compose(self._text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            self.complain(Place(self.name, line, column), f"this is not YAML: {error.problem}")
            return None
        except YAMLError as error:
            self.complain(
                Place(self.name, 1, 1), f"this is not YAML: {' '.join(str(error).split())}"
            )
            return None
        return root

    def _is_plain(self) -> bool:
        """Whether the text has no tags and aliases and is not too deep to be read."""
        before, depth = len(self.problems), 0
        for event in YAML(typ="safe", pure=True).parse(self._text):
            place = self._at(event.start_mark)
            if isinstance(event, AliasEvent):
                self.complain(place, "aliases are not read here: write the value out, or quote it")
            elif getattr(event, "tag", None) not in (None, "!"):
                self.complain(place, "tags are not read here: quote a text that begins with !")
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            if depth > DEEPEST:
                self.complain(place, f"nested deeper than {DEEPEST}")
                break
        return len(self.problems) == before

    def _pairs(self, node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
        first: dict[str, int] = {}
        for key_node, value_node in node.value:
            place = self._place(key_node)
            if not isinstance(key_node, ScalarNode):
                self.complain(place, "a key is one word")
            elif key_node.value in first:
                above = first[key_node.value]
                self.complain(place, f"key {key_node.value!r} stands in line {above} already")
            else:
                first[key_node.value] = place.line
                yield key_node, value_node

    def _plain(
        self, node: Node, path: tuple[str | int, ...], places: dict[tuple[str | int, ...], Place]
    ) -> Any:
        places[path] = self._place(node)
        if isinstance(node, MappingNode):
            return {
                key.value: self._plain(value, (*path, key.value), places)
                for key, value in self._pairs(node)
            }
        if isinstance(node, SequenceNode):
            return [
                self._plain(item, (*path, index), places) for index, item in enumerate(node.value)
            ]
        return _scalar(node)

    def _place(self, node: Node) -> Place:
        return self._at(node.start_mark)

    def _at(self, mark: Any) -> Place:
        return Place(self.name, mark.line + 1, mark.column + 1)


def nearest(word: str, words: Collection[str]) -> str:
    """`; did you mean …?`, or nothing where no word is near."""
    found = get_close_matches(word, words, 1, 0.7)
    return f"; did you mean {found[0]!r}?" if found else ""


def _unknown(key: str, leaves: Collection[str]) -> str:
    prefix, _, last = key.rpartition(".")
    where = f" under {prefix}" if prefix else ""
    start = f"{prefix}." if prefix else ""
    here = {leaf.removeprefix(start).partition(".")[0] for leaf in leaves if leaf.startswith(start)}
    hint = nearest(last, here)
    if not hint:
        elsewhere = [leaf for leaf in leaves if leaf.rpartition(".")[2] == last]
        sections = [
            f"{leaf.partition(f'.{last}.')[0]}.{last}" for leaf in leaves if f".{last}." in leaf
        ]
        hint = next((f"; did you mean {other!r}?" for other in elsewhere + sections), "")
    if not hint:
        hint = f"; known are {', '.join(sorted(here))}"
    return f"unknown key {last!r}{where}{hint}"


def _scalar(node: Node) -> Any:
    """The value of a scalar in the core schema of YAML 1.2; dates stay text."""
    text = node.value
    match (node.tag or "").removeprefix(_TAG):
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int":
            plain = text.replace("_", "")
            return int(plain, 0) if plain.lstrip("+-")[:2] in ("0x", "0o") else int(plain)
        case "float":
            return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        case _:
            return text
