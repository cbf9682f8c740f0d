"""The graph: raw JSONL to an Ollama model, one task per stage.  Each stage lives in stages/<name>.py."""

from doit import get_var

from so8t.engine.tasks import Graph

graph = Graph(get_var("profile"))
DOIT_CONFIG = graph.config()


def task_raw():
    return graph.task("raw")


def task_cleaned():
    return graph.task("cleaned")


def task_labelled():
    return graph.task("labelled")


def task_thinking_sft():
    return graph.task("thinking_sft")


def task_base_model():
    return graph.task("base_model")


def task_so8t_model():
    return graph.task("so8t_model")


def task_adapter():
    return graph.task("adapter")


def task_curves():
    return graph.task("curves")


def task_adapter_scores():
    return graph.task("adapter_scores")


def task_merged_model():
    return graph.task("merged_model")


def task_baked_model():
    return graph.task("baked_model")


def task_gguf():
    return graph.task("gguf")


def task_modelfile():
    return graph.task("modelfile")


def task_evaluation():
    return graph.task("evaluation")


def task_ollama():
    return graph.task("ollama")
