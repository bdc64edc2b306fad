"""A `torch.export` program as readable Python source: named layers, short variables, nothing but torch."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from itertools import chain, count

from torch import Tensor, fx, nn
from torch.export import ExportedProgram

from nas.export.program import require_single_input
from nas.export.python_calls import call, is_check, passes_through
from nas.export.python_tensors import Attributes, attributes

VARIABLES = ("x", "y", "z", "u", "v", "w", "a", "b", "c", "d")


def network_source(program: ExportedProgram, module: nn.Module) -> tuple[str, dict[str, Tensor]]:
    """The source of a class ``Network`` and the state dict it loads; ExportError where there is no source."""
    require_single_input(program)
    found = attributes(program, module)
    body = _Forward(program, found).lines()
    init = _init_lines(found)
    lines = ["class Network(nn.Module):", "    def __init__(self) -> None:", "        super().__init__()"]
    lines += [f"        {line}" for line in init] + [""]
    lines += ["    def forward(self, x: torch.Tensor) -> torch.Tensor:"] + [
        f"        {line}" for line in body
    ]
    return "\n".join(lines) + "\n", found.state


def _init_lines(found: Attributes) -> list[str]:
    lines = []
    for name, code in found.lines:
        if code.startswith("nn."):
            lines.append(f"self.{name} = {code}")
        else:
            lines.append(f'self.register_buffer("{name}", {code})')
    return lines


class _Forward:
    """Writes the calls of a graph in their order; a value takes the name of one that is needed no longer."""

    def __init__(self, program: ExportedProgram, found: Attributes) -> None:
        self._nodes = list(program.graph.nodes)
        self._found = found
        self._input = program.graph_signature.user_inputs[0]
        self._names: dict[fx.Node, str] = {}
        self._same: dict[fx.Node, fx.Node] = {}
        self._last_use = self._uses()
        self._section = ""

    def lines(self) -> list[str]:
        """The body of ``forward``."""
        found: list[str] = []
        for index, node in enumerate(self._nodes):
            if node.op == "placeholder" and node.name == self._input:
                self._names[node] = VARIABLES[0]
            elif node.op == "call_function" and node not in self._names:
                found += self._call(index, node)
            elif node.op == "output":
                result = node.args[0]
                value = result[0] if isinstance(result, tuple | list) else result
                found.append(f"return {self._expression(value)}")
            self._forget(index)
        return found

    def _uses(self) -> dict[fx.Node, int]:
        """Value → the index of the last call that reads it, through values that are only passed on."""
        last: dict[fx.Node, int] = {}
        for index, node in enumerate(self._nodes):
            if node.op == "call_function" and passes_through(node):
                self._same[node] = self._root(node.args[0])
            for read in node.all_input_nodes:
                last[self._root(read)] = index
        return last

    def _root(self, node: fx.Node) -> fx.Node:
        while node in self._same:
            node = self._same[node]
        return node

    def _call(self, index: int, node: fx.Node) -> Iterable[str]:
        if node in self._same or is_check(node) or (not node.users and node.target is operator.getitem):
            return
        layer = self._found.layers.get(node)
        code = f"self.{layer}({self._expression(node.args[0])})" if layer else call(node, self._expression)
        self._forget(index, dying_inputs_of=node)
        section = _section(node)
        if section and section != self._section:
            self._section = section
            yield f"# {section}"
        parts = _unpacked(node)
        if parts:
            for part in parts:
                self._names[part] = self._free_name(node)
            yield f"{', '.join(self._names[part] for part in parts)} = {code}"
        else:
            self._names[node] = self._free_name(node)
            yield f"{self._names[node]} = {code}"

    def _expression(self, value: object) -> str:
        assert isinstance(value, fx.Node)
        root = self._root(value)
        return self._found.tensors.get(root) or self._names[root]

    def _forget(self, index: int, dying_inputs_of: fx.Node | None = None) -> None:
        """Frees the names of values that no later call reads."""
        nodes = (
            list(self._names) if dying_inputs_of is None else map(self._root, dying_inputs_of.all_input_nodes)
        )
        for node in nodes:
            if self._last_use.get(node, -1) <= index:
                self._names.pop(node, None)

    def _free_name(self, node: fx.Node) -> str:
        taken = set(self._names.values())
        pool = VARIABLES if "Sym" not in type(node.meta.get("val")).__name__ else ()
        numbered = (f"{'t' if pool else 'n'}{number}" for number in count(1))
        return next(name for name in chain(pool, numbered) if name not in taken)


def _unpacked(node: fx.Node) -> list[fx.Node]:
    """The items of a call that gives several tensors, where they are all that is read of it."""
    value = node.meta.get("val")
    users = [user for user in node.users if user.target is operator.getitem]
    if (
        not isinstance(value, list | tuple)
        or len(users) != len(node.users)
        or len(users) != len(value)
        or len(value) < 2
    ):
        return []
    ordered = sorted(users, key=lambda user: int(user.args[1]))  # type: ignore[arg-type]
    return ordered if [user.args[1] for user in ordered] == list(range(len(value))) else []


def _section(node: fx.Node) -> str:
    """The part of the network a call belongs to, made safe for a comment: ``layers.3_metaformer``."""
    paths = [str(entry[0]) for entry in node.meta.get("nn_module_stack", {}).values()]
    path = max(paths, key=len, default="")
    return re.sub(r"[^\w.]", "_", ".".join(path.split(".")[:2]), flags=re.ASCII)[:80]
