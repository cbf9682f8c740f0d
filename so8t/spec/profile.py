"""A profile: the folder specs/<name>/, the profiles that it extends, and their values merged per key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from so8t.errors import SpecError
from so8t.spec import renames, yamltree
from so8t.spec.mistakes import Mark, Mistake, SpecText, alternatives, did_you_mean, error, show
from so8t.spec.renames import Outdated, Table
from so8t.spec.yamltree import Entry, Node, Tree
from so8t.store.atomic import write_atomic

FOLDER = "specs"
SCHEMAS = "schema"  # a folder beside the profiles
SETTINGS = "profile"
USUAL_TASK = "four_class"


@dataclass(frozen=True)
class Profile:
    """Everything that a profile's files say, not validated yet."""

    project: Path
    name: str
    chain: tuple[Path, ...]  # the folders, child first
    files: Mapping[str, Node]  # stage -> its values, each with the place it came from
    settings: Node  # of profile.yaml
    watch: tuple[Path, ...]  # what to look at to see whether another read would give the same
    mistakes: tuple[Mistake, ...] = ()
    unread: frozenset[str] = frozenset()  # files of which some part is refused: what is missing may be in that part
    broken: bool = False  # the chain itself is: the same holds for every file
    outdated: tuple[Outdated, ...] = ()  # keys under names of an earlier release
    tasks: Mapping[str, str] = field(default_factory=dict)  # by the labels of the folders

    @property
    def task(self) -> str:
        """Its own; a folder that is not written yet, as of a sweep, has its parent's."""
        known = (self.tasks.get(label(self.project, folder)) for folder in self.chain)
        return next(filter(None, known), USUAL_TASK)

    def task_of(self, file: str) -> str:
        """Of the profile that a file belongs to, by the name that messages call it; a command line is this one's."""
        return self.tasks.get(file.rpartition("/")[0], self.task)

    def distance(self, entry: Entry) -> int:
        """How many profiles further up a key is written; 0: in this one."""
        return [label(self.project, each) for each in self.chain].index(entry.key.file.name.rpartition("/")[0])

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(show(each.warning) for each in self.outdated)


def names(project: Path) -> list[str]:
    """The profiles there are."""
    folder = project / FOLDER
    if not folder.is_dir():
        raise SpecError(f"{FOLDER}: this folder does not exist in {project}: run from the folder of dodo.py")
    return sorted(
        each.name
        for each in folder.iterdir()
        if each.is_dir() and each.name != SCHEMAS and not each.name.startswith((".", "_"))
    )


def read(project: Path, name: str, table: Table = ()) -> Profile:
    """The profile with the values of all it extends; mistakes in its files are kept for `load` to report."""
    known = names(project)
    if name not in known:
        there_are = ", ".join(known) or "none"
        raise SpecError(f"{FOLDER}/ has no profile {name!r} (there are: {there_are}){did_you_mean(name, known)}")
    reading = _Reading(project, known, table)
    reading.follow(name)
    return reading.profile(name)


def label(project: Path, path: Path) -> str:
    """How messages call a file."""
    return path.relative_to(project).as_posix()


@dataclass
class _Reading:
    project: Path
    known: list[str]
    table: Table
    chain: list[str] = field(default_factory=list)
    files: dict[str, Node] = field(default_factory=dict)
    watch: list[Path] = field(default_factory=list)
    mistakes: list[Mistake] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    outdated: list[Outdated] = field(default_factory=list)
    tasks: list[str | None] = field(default_factory=list)  # what each folder's own settings name
    broken: bool = False

    def follow(self, name: str) -> None:
        """Read the profile's folder, then its parent's, and so on."""
        parent: str | None = name
        while parent is not None:
            self.chain.append(parent)
            trees = self._folder(self.project / FOLDER / parent)
            settings = trees.pop(SETTINGS, Tree(_nothing("")))
            parent = self._parent(settings)
            self.tasks.append(_task(settings.root))
            trees[SETTINGS] = Tree(self._own(settings.root), settings.mistakes)
            for stem, tree in trees.items():
                self._add(stem, tree)

    def profile(self, name: str) -> Profile:
        files = dict(sorted(self.files.items()))
        settings = files.pop(SETTINGS)
        folders = tuple(self.project / FOLDER / each for each in self.chain)
        watch = tuple(dict.fromkeys(self.watch))
        unread = frozenset(self.unread)
        mistakes, outdated = tuple(self.mistakes), tuple(self.outdated)
        tasks, held = {}, USUAL_TASK
        for folder, named in zip(reversed(folders), reversed(self.tasks), strict=True):
            tasks[label(self.project, folder)] = held = named or held
        return Profile(
            self.project, name, folders, files, settings, watch, mistakes, unread, self.broken, outdated, tasks
        )

    def _folder(self, folder: Path) -> dict[str, Tree]:
        self.watch += [folder, folder / f"{SETTINGS}.yaml"]
        trees = {}
        for path in self._listed(folder):
            if path.suffix.lower() in (".yaml", ".yml") and not path.name.startswith("."):
                self.watch.append(path)
                tree = _file(path, label(self.project, path))
                trees[path.stem], outdated = renames.read(tree, path.stem, self.table)
                self.outdated += outdated
        return trees

    def _listed(self, folder: Path) -> list[Path]:
        try:
            return sorted(folder.iterdir())
        except OSError as refused:
            mark = _nothing(label(self.project, folder)).mark
            self.mistakes.append(Mistake(mark, f"cannot be read: {refused.strerror}"))
            self.broken = True
            return []

    def _add(self, stem: str, tree: Tree) -> None:
        if tree.mistakes:
            self.mistakes += tree.mistakes
            self.unread.add(stem)
        child = self.files.get(stem)
        self.files[stem] = tree.root if child is None else yamltree.merge(child, tree.root)

    def _parent(self, settings: Tree) -> str | None:
        """The profile that this one extends, if it is one that can be followed."""
        assert isinstance(settings.root.value, dict)
        entry = settings.root.value.get("extends")
        if entry is None or not isinstance(entry.node.value, str):  # any other value is for `load` to refuse
            self.broken = self.broken or bool(settings.mistakes) or (entry is not None and entry.node.value is not None)
            return None
        name = entry.node.value
        if name in self.known and name not in self.chain:
            return name
        self.broken = True
        self.mistakes.append(Mistake(entry.node.mark, f"extends: {self._refusal(name)}"))
        return None

    def _refusal(self, name: str) -> str:
        if name in self.chain:
            cycle = [*self.chain[self.chain.index(name) :], name]
            return f"profiles must not extend each other: {' -> '.join(cycle)}"
        others = [each for each in self.known if each not in self.chain]
        accepted = alternatives([f"{each!r}" for each in others])
        return f"must be {accepted or 'left out: no other profile exists'} (got {name!r}){did_you_mean(name, others)}"

    def _own(self, settings: Node) -> Node:
        """A parent's settings without what is about the parent alone."""
        assert isinstance(settings.value, dict)
        if len(self.chain) == 1:
            return settings
        return Node(
            {
                key: entry
                for key, entry in settings.value.items()
                if key != "description" and not (key == "extends" and isinstance(entry.node.value, str | None))
            },
            settings.mark,
        )


def upgrade(project: Path, table: Table) -> list[Outdated]:
    """Rewrite the old names in the files of all profiles in place; what was rewritten."""
    done: list[Outdated] = []
    for name in names(project):
        for path in sorted((project / FOLDER / name).glob("*.yaml")):
            tree, outdated = renames.read(_file(path, label(project, path)), path.stem, table)
            if tree.mistakes:
                raise error(tree.mistakes)
            if outdated:
                data = path.read_bytes()
                bom = data[: len(data) - len(data.removeprefix(b"\xef\xbb\xbf"))]
                text = outdated[0].key.file.text
                write_atomic(path, bom + renames.rewrite(text, outdated).encode())
                done += outdated
    return done


def _file(path: Path, name: str) -> Tree:
    nothing = _nothing(name)
    if path.suffix != ".yaml":
        return Tree(nothing, (Mistake(nothing.mark, f"a spec file ends in .yaml: rename it to {path.stem}.yaml"),))
    if not path.is_file():  # also a pipe, which would block
        return Tree(nothing, (Mistake(nothing.mark, "not a file"),))
    try:
        with path.open("rb") as file:
            return yamltree.read(file.read(yamltree.MAX_BYTES + 1), name)
    except OSError as refused:
        return Tree(nothing, (Mistake(nothing.mark, f"cannot be read: {refused.strerror}"),))


def _task(settings: Node) -> str | None:
    entry = settings.value.get("task") if isinstance(settings.value, dict) else None
    return entry.node.value if entry and isinstance(entry.node.value, str) else None


def _nothing(name: str) -> Node:
    return Node({}, Mark(SpecText(name, ""), 0, 0))
