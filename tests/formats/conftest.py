"""A small checkpoint's tokenizer, as the models' tests make it."""

from tests.models.conftest import pico, sft  # noqa: F401 - fixtures
