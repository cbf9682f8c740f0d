"""The graph as a picture: layers from top to bottom, what the time went into, each stage a link to its panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from so8t.report import svg, words
from so8t.report.facts import StageFacts

WIDE, HIGH, BESIDE, BELOW = 172, 46, 20, 34  # a stage's box, and the room between two
_BEND = 10  # of a line that passes a layer
_SWEEPS = 24
Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Node:
    """A stage, or the place where a line passes a layer that it has no stage in (`stage` is None)."""

    layer: int
    stage: StageFacts | None = None

    @property
    def width(self) -> int:
        return WIDE if self.stage else _BEND


def critical(stages: Sequence[StageFacts]) -> tuple[str, ...]:
    """The chain of stages that a build of everything waits for, whatever runs beside it."""
    ends: dict[str, float] = {}
    before: dict[str, str | None] = {}
    for stage in stages:
        known = [up for up in stage.upstream if up in ends]
        before[stage.name] = max(known, key=lambda up: ends[up], default=None)
        ends[stage.name] = stage.seconds + max((ends[up] for up in known), default=0.0)
    last = max(ends, key=lambda name: ends[name], default=None)
    chain: list[str] = []
    while last is not None:
        chain.append(last)
        last = before[last]
    return tuple(reversed(chain))


@dataclass(frozen=True)
class Net:
    """Every node, those of the stages among them, and each line as the nodes that it passes."""

    nodes: list[Node] = field(default_factory=list)
    lines: dict[tuple[str, str], list[Node]] = field(default_factory=dict)

    @property
    def layers(self) -> list[list[Node]]:
        depth = max((node.layer for node in self.nodes), default=-1) + 1
        found: list[list[Node]] = [[] for _ in range(depth)]
        for node in self.nodes:
            found[node.layer].append(node)
        return found

    @property
    def neighbours(self) -> dict[Node, list[Node]]:
        found: dict[Node, list[Node]] = {node: [] for node in self.nodes}
        for chain in self.lines.values():
            for one, other in pairwise(chain):
                found[one].append(other)
                found[other].append(one)
        return found


def draw(stages: Sequence[StageFacts]) -> Markup:
    path = critical(stages)
    slow = set(pairwise(path))
    net = _net(stages, direct(stages), slow)
    places = _places(net)
    width = max((x + node.width / 2 for node, (x, _) in places.items()), default=0.0) + BESIDE
    height = len(net.layers) * (HIGH + BELOW) - BELOW + 4
    lines = {ends: _line([places[node] for node in chain], ends in slow) for ends, chain in net.lines.items()}
    ordered = [lines[ends] for ends in sorted(lines, key=lambda ends: ends in slow)]  # the slow ones over the others
    boxes = [_box(node.stage, places[node], node.stage.name in path) for node in net.nodes if node.stage]
    label = f"The graph of {len(stages)} stages. The longest chain: {', '.join(path)}"
    look = f"min-width:{0.66 * width:.0f}px;max-width:{width:.0f}px"
    return svg.picture(width, height, label, *ordered, *boxes, class_="graph", role="group", style=look)


def direct(stages: Sequence[StageFacts]) -> set[tuple[str, str]]:
    """The lines that follow from no others: who takes a stage that takes raw stands below raw anyway."""
    reached: dict[str, set[str]] = {}
    kept = set()
    for stage in stages:
        known = [up for up in stage.upstream if up in reached]
        above = set().union(*(reached[up] for up in known))
        kept |= {(up, stage.name) for up in known if up not in above}
        reached[stage.name] = above | set(known)
    return kept


def _net(stages: Sequence[StageFacts], shown: Set[tuple[str, str]], slow: Set[tuple[str, str]]) -> Net:
    """Each stage one layer below the lowest that it takes."""
    net, known = Net(), dict[str, Node]()
    for stage in stages:
        above = [known[up] for up in stage.upstream if up in known]
        node = Node(1 + max((up.layer for up in above), default=-1), stage)
        for name in stage.upstream:
            if (name, stage.name) in shown or (name, stage.name) in slow:
                up = known[name]
                passed = [Node(layer) for layer in range(up.layer + 1, node.layer)]
                net.nodes.extend(passed)
                net.lines[name, stage.name] = [up, *passed, node]
        net.nodes.append(node)
        known[stage.name] = node
    return net


def _places(net: Net) -> dict[Node, Point]:
    """The middle of each node's upper edge: near what it is tied to, none over another."""
    neighbours, layers = net.neighbours, net.layers
    x = {node: float(at * (WIDE + BESIDE)) for layer in layers for at, node in enumerate(layer)}
    for sweep in range(_SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = {node: _mean([x[each] for each in neighbours[node]], x[node]) for node in layer}
            x.update(_apart(sorted(layer, key=lambda node: wanted[node]), wanted))
    left = min((x[node] - node.width / 2 for node in net.nodes), default=0.0) - BESIDE
    return {node: (x[node] - left, node.layer * (HIGH + BELOW) + 2.0) for node in net.nodes}


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _apart(ordered: Sequence[Node], wanted: Mapping[Node, float]) -> dict[Node, float]:
    """As near to what is wanted as their widths allow: pushed to the right, then all moved back by the mean push."""
    found: dict[Node, float] = {}
    edge = float("-inf")
    for node in ordered:
        found[node] = max(wanted[node], edge + node.width / 2)
        edge = found[node] + node.width / 2 + BESIDE
    back = _mean([found[node] - wanted[node] for node in ordered], 0.0)
    return {node: place - back for node, place in found.items()}


def _line(points: Sequence[Point], slow: bool) -> Markup:
    """From the lower edge of the first to the upper edge of the last, past the others."""
    (x, y), *rest = points
    path = [f"M{x:.1f} {y + HIGH:.1f}"]
    for at, (to_x, to_y) in enumerate(rest, 1):
        path.append(f"C{x:.1f} {to_y - BELOW / 2:.1f} {to_x:.1f} {to_y - BELOW / 2:.1f} {to_x:.1f} {to_y:.1f}")
        if at < len(rest):
            path.append(f"V{to_y + HIGH:.1f}")
        x = to_x
    return svg.element("path", d="".join(path), class_="edge slow" if slow else "edge")


def _box(stage: StageFacts, place: Point, slow: bool) -> Markup:
    x, y = place[0] - WIDE / 2, place[1]
    state = state_of(stage)
    facts = [state]
    if stage.made:
        took = [words.seconds(stage.built.build_seconds)] if stage.built and stage.built.build_seconds else []
        facts = [state, *took, words.size(stage.size)]
    inner = [
        svg.element("rect", x=x, y=y, width=WIDE, height=HIGH, rx=7, class_="box"),
        svg.element("rect", x=x, y=y + 9, width=4, height=HIGH - 18, rx=2, class_="bar"),
        svg.element("text", stage.name, x=x + 14, y=y + 19, class_="name"),
        svg.element("text", " · ".join(facts), x=x + 14, y=y + 36, class_="facts"),
    ]
    kind = f"node {state.split()[-1]}" + (" slow" if slow else "")
    return svg.element("a", svg.element("g", *inner, class_=kind), href=f"#stage-{stage.name}")


def state_of(stage: StageFacts) -> str:
    if stage.made is None:
        return "on request" if stage.on_request else "not built"
    if stage.built is None:
        return "there"  # the journal does not know how it came
    return "built" if stage.built.outcome == "built" else "restored"
