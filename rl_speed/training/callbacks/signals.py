"""Signal handlers of the caller's stay in force while Lightning trains."""

from __future__ import annotations

import signal
import threading

import pytorch_lightning as pl
from pytorch_lightning import Callback

from rl_speed.training.signals import ending_signals


class KeepSignalHandlers(Callback):
    """Puts the handlers back in force that were there when this was made.

    Lightning wraps the SIGTERM handler when it starts to fit, and its wrapper would end the run without a save.
    """

    def __init__(self) -> None:
        self._handlers = {number: signal.getsignal(number) for number in ending_signals()}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After Lightning has put its own in."""
        if threading.current_thread() is not threading.main_thread():
            return
        # A SIGTERM that came in between has reached the caller's handler too; Lightning's would end the run without a
        # save.
        trainer._signal_connector.received_sigterm = False
        for number, handler in self._handlers.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)
