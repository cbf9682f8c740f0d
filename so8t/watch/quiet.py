"""Libraries' chatter, kept from a terminal that is ours: bars while weights load, warnings that no user can act on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOGGERS = ("bitsandbytes.backends.cpu.ops", "transformers.utils.generic", "transformers.training_args")


def hush() -> None:
    """For good, in a process that only helps: what its libraries say, the first one has heard."""
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def quiet() -> Iterator[None]:
    from transformers.utils import logging as chatter

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", UserWarning)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        chatter.disable_progress_bar()
        try:
            yield
        finally:
            chatter.enable_progress_bar()
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)
