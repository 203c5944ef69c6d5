"""Takes the conditionals whose predicate is constant out of a graph: the training switches of TensorFlow 1."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.grappler import tf_optimizer

from tf_ganmex.classifier.graph import node_name, remove, tensor_name

_FUNCTIONAL = {"If": "StatefulPartitionedCall", "StatelessIf": "PartitionedCall"}


def fold_conditionals(definition: graph_pb2.GraphDef, output: str) -> graph_pb2.GraphDef:
    """The graph with calls inlined, and every conditional with a constant predicate replaced by the branch it takes.

    Control inputs must still be there: they alone say to which branch a constant belongs.

    Args:
        definition: the graph, which is changed.
        output: name of the tensor to keep.
    """
    if not any(node.op in {*_FUNCTIONAL, *_FUNCTIONAL.values(), "Switch"} for node in definition.node):
        return definition
    changed = True
    while changed:
        definition = _fold_constants(definition, output)
        constants = {node.name: node for node in definition.node if node.op == "Const"}
        called = _call_branches(definition, constants)
        switched = _take_switches(definition, constants)
        changed = called or switched
    return definition


def _fold_constants(definition: graph_pb2.GraphDef, output: str) -> graph_pb2.GraphDef:
    """Grappler's constants folded and calls inlined, so that predicates become constants."""
    meta = meta_graph_pb2.MetaGraphDef(graph_def=definition)
    meta.collection_def["train_op"].node_list.value.append(node_name(output))
    config = config_pb2.ConfigProto()
    rewrite = config.graph_options.rewrite_options
    rewrite.optimizers.extend(["function", "constfold", "pruning"])
    rewrite.min_graph_nodes = -1
    return tf_optimizer.OptimizeGraph(config, meta)


def _call_branches(definition: graph_pb2.GraphDef, constants: dict[str, Any]) -> bool:
    """Turns each If with a constant predicate into a call of its branch; whether there was one."""
    found = False
    for node in definition.node:
        if node.op in _FUNCTIONAL and node_name(node.input[0]) in constants:
            branch = "then_branch" if _is_true(constants[node_name(node.input[0])]) else "else_branch"
            node.attr["f"].CopyFrom(node.attr[branch])
            for name in node.attr.keys() - {"f", "Tin", "Tout"}:
                del node.attr[name]
            node.op = _FUNCTIONAL[node.op]
            del node.input[0]
            found = True
    return found


def _is_true(constant: Any) -> bool:
    return bool(tf.make_ndarray(constant.attr["value"].tensor).reshape(-1)[0])


def _take_switches(definition: graph_pb2.GraphDef, constants: dict[str, Any]) -> bool:
    """Cuts out the dead side of each Switch with a constant predicate; whether there was one."""
    passed: dict[str, str] = {}
    dead: set[str] = set()
    switches = [node for node in definition.node if node.op == "Switch" and node_name(node.input[1]) in constants]
    for node in switches:
        taken = int(_is_true(constants[node_name(node.input[1])]))
        passed[f"{node.name}:{taken}"] = node.input[0]
        dead.add(f"{node.name}:{1 - taken}")
    dead_nodes = _dead_nodes(definition, dead)
    for node in definition.node:
        live = [name for name in node.input if not _is_dead(name, dead, dead_nodes)]
        if node.op == "Merge" and len(live) < len(node.input):
            node.op = "Identity"
            del node.attr["N"]
        del node.input[:]
        node.input.extend(_follow(name, passed) for name in live)
    remove(definition, dead_nodes | {node.name for node in switches})
    return bool(switches)


def _dead_nodes(definition: graph_pb2.GraphDef, dead: set[str]) -> set[str]:
    """The nodes that never run because an input of theirs is dead; a Merge does as long as one of its is not."""
    nodes: set[str] = set()
    while True:
        found = set()
        for node in definition.node:
            inputs = [_is_dead(name, dead, nodes) for name in node.input if node.op != "Merge" or name[0] != "^"]
            if node.name not in nodes and inputs and (all(inputs) if node.op == "Merge" else any(inputs)):
                found.add(node.name)
        if not found:
            return nodes
        nodes |= found


def _is_dead(reference: str, dead: set[str], dead_nodes: set[str]) -> bool:
    return node_name(reference) in dead_nodes or tensor_name(reference) in dead


def _follow(reference: str, passed: dict[str, str]) -> str:
    """What a tensor is once the switches that passed it are gone; a control input of a switch is one of its data."""
    if reference.startswith("^"):
        for port in (0, 1):
            if f"{reference[1:]}:{port}" in passed:
                return f"^{node_name(_follow(f'{reference[1:]}:{port}', passed))}"
        return reference
    while tensor_name(reference) in passed:
        reference = passed[tensor_name(reference)]
    return reference
