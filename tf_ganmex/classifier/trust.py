"""Refuses model files that run code, or touch other files, when they are loaded or called."""

from __future__ import annotations

import builtins
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from tf_ganmex._backend import keras
from tf_ganmex.errors import ModelError, UntrustedModelError

_CODE_OPS = re.compile(r"PyFunc|^Remote|^Rpc")
_FILE_OPS = re.compile(
    r"File(?!name|spec)|Reader|(Record|TextLine|CSV|Sql|LMDB|Cache|Save|Load|DataService)Dataset|RegisterDataset"
    r"|Snapshot.|DatasetToTFRecord|^Debug|DumpTensor|ImmutableConst|SummaryDbWriter|DistributedSave|LoadAndRemap"
    r"|VocabRemap|CalibrationStatisticsSaver|InitializeTRT"
)
# Every SavedModel holds these in the functions that save and restore it; they have no place in what is called.
_CHECKPOINT_OPS = re.compile(r"^(Save(V2|Slices)?|(DTensor)?Restore(V2|Slice)?|MergeV2Checkpoints)$")
_RUN_BY_LOADING = {"_initialize", "_create_resource", "_destroy_resource"}

_CODE_LAYERS = {"Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer"}
_KERAS_PACKAGES = {"keras", "tf_keras", "keras_hub", "keras_cv", "keras_nlp"}
# What a layer of Keras 2 that stands for a TensorFlow function must not stand for.
_OUTWARD_FUNCTIONS = re.compile(r"^(io|data|train|lookup|summary|saved_model|load_\w+|print|(py|numpy)_function)\b")

_WAY_OUT = "Pass trusted=True if you trust whoever made the file."


# --- SavedModels and graphs -------------------------------------------------------------------------------------------


def check_saved_model(path: Path) -> saved_model_pb2.SavedModel:
    """Reads ``saved_model.pb`` without loading it; UntrustedModelError if an op of it runs code or touches files."""
    saved_model = read_saved_model(path)
    for meta_graph in saved_model.meta_graphs:
        # The functions that restore the model's own variables are allowed here; check_graph sees what is called.
        _check_nodes(_nodes(meta_graph.graph_def), str(path), checkpoints=True)
        _check_nodes(_nodes_run_by_loading(meta_graph), str(path), checkpoints=False)
    return saved_model


def check_graph(definition: graph_pb2.GraphDef, source: str) -> None:
    """UntrustedModelError if a graph that will be called runs code or touches files."""
    _check_nodes(_nodes(definition), source, checkpoints=False)


def read_saved_model(path: Path) -> saved_model_pb2.SavedModel:
    """The parsed ``saved_model.pb`` of a directory."""
    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(file.read_bytes())
    except Exception as error:
        raise ModelError(
            f"Expected a SavedModel. Received: {str(file)!r}, which cannot be parsed ({error}). Export it again."
        ) from error
    if not saved_model.meta_graphs:
        raise ModelError(f"Expected a SavedModel. Received: {str(file)!r}, which holds no graph. Export it again.")
    return saved_model


def _nodes(definition: graph_pb2.GraphDef) -> Iterator[Any]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _nodes_run_by_loading(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[Any]:
    """The nodes that loading runs: initializers of resources (TF2) and the initialization op (TF1)."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    functions = {function.signature.name: function for function in meta_graph.graph_def.library.function}
    waiting = [*_initializers(meta_graph), *_initialization_ops(meta_graph)]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        found = list(functions[name].node_def) if name in functions else []
        if name in nodes:
            found.append(nodes[name])
            waiting.extend(reference.removeprefix("^").split(":")[0] for reference in nodes[name].input)
        yield from found
        waiting.extend(value.func.name for node in found for value in node.attr.values() if value.HasField("func"))


def _initializers(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    objects = meta_graph.object_graph_def.nodes
    for node in objects:
        for child in node.children:
            if child.local_name in _RUN_BY_LOADING:
                called = objects[child.node_id]
                yield from [*called.function.concrete_functions, called.bare_concrete_function.concrete_function_name]


def _initialization_ops(meta_graph: meta_graph_pb2.MetaGraphDef) -> Iterator[str]:
    for key in ("saved_model_main_op", "legacy_init_op"):
        yield from meta_graph.collection_def[key].node_list.value if key in meta_graph.collection_def else []
    if "__saved_model_init_op" in meta_graph.signature_def:
        for output in meta_graph.signature_def["__saved_model_init_op"].outputs.values():
            yield output.name.split(":")[0]


def _check_nodes(nodes: Iterable[Any], source: str, *, checkpoints: bool) -> None:
    for node in nodes:
        what = _what_it_does(node, checkpoints=checkpoints)
        if what:
            raise UntrustedModelError(
                f"Expected a model that only computes. Received: {source} holds the op {node.op} ({node.name!r}), "
                f"which {what}. {_WAY_OUT}"
            )


def _what_it_does(node: Any, *, checkpoints: bool) -> str:
    """Why an op is refused; empty if it only computes (or saves and restores, where ``checkpoints`` allows it)."""
    if _CODE_OPS.search(node.op):
        return "runs code that is not in the graph"
    prints_to_file = node.op == "PrintV2" and node.attr["output_stream"].s.startswith(b"file:")
    if _FILE_OPS.search(node.op) or prints_to_file or (not checkpoints and _CHECKPOINT_OPS.search(node.op)):
        return "reads or writes files"
    return ""


# --- Keras configurations ---------------------------------------------------------------------------------------------


def check_keras_config(config: Any, source: str, library: Any = keras) -> None:
    """UntrustedModelError if a Keras model's configuration holds a layer or function that carries or names code.

    Args:
        config: the configuration as JSON gives it.
        source: what to call the file in a message.
        library: ``keras`` or ``tf_keras``, whose registered classes and functions are the user's own and allowed.
    """
    if isinstance(config, dict):  # files are read with compile=False: losses and metrics are never made
        config = {key: value for key, value in config.items() if key != "compile_config"}
    for entry in _dicts(config):
        what = _what_it_carries(entry, library)
        if what:
            raise UntrustedModelError(
                f"Expected a model that only computes. Received: {source} holds {what}. {_WAY_OUT}"
            )


def _what_it_carries(entry: dict, library: Any) -> str:
    name, config = entry.get("class_name"), entry.get("config")
    if name in _CODE_LAYERS:
        return f"the layer {name}, which runs code stored in the file or beside it"
    if name == "__lambda__":
        return "a Python lambda, which runs code stored in the file"
    if isinstance(config, dict):
        if isinstance(config.get("vocabulary"), str) and config["vocabulary"]:
            return f"the layer {name}, which reads the file {config['vocabulary']!r} when it is loaded"
        symbol = config.get("function") or config.get("cls_symbol")  # layers of Keras 2 around a TensorFlow function
        if isinstance(symbol, str) and _reaches_outside(symbol):
            return f"the layer {name} of tf.{symbol}, which runs code or reads or writes files"
    if _is_foreign(entry, library):
        of = f"{entry['module']}.{config if name == 'function' else name}"
        return (
            f"{of}, which is code outside Keras. Register it with keras.saving.register_keras_serializable, or load "
            "the model yourself with its custom_objects and pass the model"
        )
    return ""


def _reaches_outside(symbol: str) -> bool:
    op = symbol.removeprefix("raw_ops.")
    return any(pattern.search(op) for pattern in (_OUTWARD_FUNCTIONS, _CODE_OPS, _FILE_OPS, _CHECKPOINT_OPS))


def _is_foreign(entry: dict, library: Any) -> bool:
    """Whether an entry names a class or function that reading it would import from outside Keras (tf_keras does)."""
    module, name, config = entry.get("module"), entry.get("class_name"), entry.get("config")
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    wanted = config if name == "function" else entry.get("registered_name")
    if isinstance(wanted, str) and library.saving.get_registered_object(wanted) is not None:
        return False
    if name == "function":  # Keras writes its own functions with the module "builtins"
        return module != "builtins" or not isinstance(config, str) or hasattr(builtins, config)
    return module.split(".")[0] not in _KERAS_PACKAGES


def _dicts(config: Any) -> Iterator[dict]:
    if isinstance(config, dict):
        yield config
        for value in config.values():
            yield from _dicts(value)
    elif isinstance(config, list):
        for value in config:
            yield from _dicts(value)


# --- reading without loading ------------------------------------------------------------------------------------------


def keras_archive_json(path: Path, member: str) -> dict:
    """A JSON member of a ``.keras`` archive; ModelError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            text = archive.read(member)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise ModelError(
            f"Expected a .keras archive with {member}. Received: {str(path)!r}, which is not one ({error}). Save the "
            "model again with model.save('model.keras')."
        ) from error
    return parse_json(text, path)


def parse_json(text: str | bytes, path: Path) -> dict:
    """A model configuration stored as a JSON object; ModelError where it is none."""
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ModelError(
            f"Expected a model configuration in JSON. Received: {str(path)!r}, which holds none ({error}). Save the "
            "model again."
        ) from error
    if not isinstance(parsed, dict):
        raise ModelError(
            f"Expected a model configuration in JSON. Received: {str(path)!r}, which holds {parsed!r:.80}. Save the "
            "model again."
        )
    return parsed
