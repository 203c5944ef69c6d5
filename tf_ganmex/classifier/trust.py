"""Refuses model files that run code, or touch other files, when they are loaded or called."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tf_ganmex.errors import ModelError, UntrustedModelError

_CODE_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_FILE_OPS = {
    "ReadFile", "WriteFile", "MatchingFiles", "WholeFileReader", "WholeFileReaderV2", "FixedLengthRecordReader",
    "FixedLengthRecordReaderV2", "TextLineReader", "TextLineReaderV2", "TFRecordReader", "TFRecordReaderV2",
    "LMDBReader", "TextLineDataset", "TFRecordDataset", "TFRecordDatasetV2", "FixedLengthRecordDataset",
    "FixedLengthRecordDatasetV2", "SqlDataset", "LMDBDataset", "CacheDataset", "CacheDatasetV2", "SaveDataset",
    "SaveDatasetV2", "LoadDataset", "SnapshotDataset", "SnapshotDatasetV2", "ImmutableConst",
    "InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "CreateSummaryFileWriter",
    "CreateSummaryDbWriter", "DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DebugNanCount",
    "DebugNumericSummary", "DebugNumericSummaryV2",
}  # fmt: skip
# Every SavedModel holds these in the functions that save and restore it; they have no place in what is called.
_CHECKPOINT_OPS = {"Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2", "RestoreSlice", "MergeV2Checkpoints"}
_CODE_LAYERS = {"Lambda", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"}

_WAY_OUT = "Pass trusted=True if you trust whoever made the file."


def check_saved_model(path: Path) -> saved_model_pb2.SavedModel:
    """Reads ``saved_model.pb`` without loading it; UntrustedModelError if an op of it runs code or touches files."""
    saved_model = read_saved_model(path)
    for meta_graph in saved_model.meta_graphs:
        # The functions that restore the model's own variables are allowed here; check_graph sees what is called.
        _check_nodes(_nodes(meta_graph.graph_def), _CODE_OPS | _FILE_OPS, str(path))
    return saved_model


def check_graph(definition: graph_pb2.GraphDef, source: str) -> None:
    """UntrustedModelError if a graph that will be called runs code or touches files."""
    _check_nodes(_nodes(definition), _CODE_OPS | _FILE_OPS | _CHECKPOINT_OPS, source)


def read_saved_model(path: Path) -> saved_model_pb2.SavedModel:
    """The parsed ``saved_model.pb`` of a directory."""
    file = path / "saved_model.pb"
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(file.read_bytes())
    except Exception as error:
        raise ModelError(f"Expected a SavedModel. Received: {file} cannot be parsed ({error}).") from error
    return saved_model


def check_keras_config(config: Any, source: str) -> None:
    """UntrustedModelError if a Keras model's configuration holds a layer or function that carries code."""
    for entry in _dicts(config):
        name = entry.get("class_name")
        if name in _CODE_LAYERS or name == "__lambda__":
            what = "a Python lambda" if name == "__lambda__" else f"the layer {name}"
            raise UntrustedModelError(
                f"Expected a model that only computes. Received: {source} holds {what}, which runs code stored in the "
                f"file. {_WAY_OUT}"
            )
        vocabulary = entry.get("config", {}).get("vocabulary") if isinstance(entry.get("config"), dict) else None
        if isinstance(vocabulary, str) and vocabulary:
            raise UntrustedModelError(
                f"Expected a model that only computes. Received: {source} holds the layer {name}, which reads the file "
                f"{vocabulary!r} when it is loaded. {_WAY_OUT}"
            )


def keras_archive_json(path: Path, member: str) -> Any:
    """A JSON member of a ``.keras`` archive; ModelError where it is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read(member))
    except (zipfile.BadZipFile, KeyError, ValueError, OSError) as error:
        raise ModelError(
            f"Expected a .keras archive with {member}. Received: {path} is not one ({error}). Save the model again "
            "with model.save('model.keras')."
        ) from error


def parse_json(text: str | bytes, path: Path) -> Any:
    """A model configuration stored as JSON; ModelError where it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise ModelError(f"Expected a model configuration in JSON. Received: {path} holds none ({error}).") from error


def _dicts(config: Any) -> Iterator[dict]:
    if isinstance(config, dict):
        yield config
        for value in config.values():
            yield from _dicts(value)
    elif isinstance(config, list):
        for value in config:
            yield from _dicts(value)


def _nodes(definition: graph_pb2.GraphDef) -> Iterator[Any]:
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def _check_nodes(nodes: Iterable[Any], forbidden: set[str], source: str) -> None:
    for node in nodes:
        if node.op in forbidden:
            what = "runs Python code" if node.op in _CODE_OPS else "reads or writes files"
            raise UntrustedModelError(
                f"Expected a model that only computes. Received: {source} holds the op {node.op} ({node.name!r}), "
                f"which {what}. {_WAY_OUT}"
            )
