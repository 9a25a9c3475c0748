"""The full-screen chat: what is on the screen, and what keys do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from functools import partial
from typing import Any

from prompt_toolkit.application import Application, run_in_terminal
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout import BufferControl, Dimension, FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.output import Output, create_output
from prompt_toolkit.shortcuts import print_formatted_text
from prompt_toolkit.utils import get_cwidth

from bitwright.cli import output
from bitwright.cli.answering import FULL
from bitwright.cli.chat import history
from bitwright.cli.commands import Talk, context, obey, speed
from bitwright.cli.screen.asking import Asking
from bitwright.cli.screen.transcript import Transcript
from bitwright.engine.conversation import Conversation
from bitwright.errors import UsageError

PAUSE, SHARE = 0.05, 0.1  # seconds between two looks at the answer; the most of a core that drawing it may take
ESCAPE = 0.1  # seconds after which Esc is a key, and no more the beginning of one
INPUT = 0.4  # the most of the screen that a question being typed takes
KEYS = (
    ("Enter", "send; after \\, or with Alt, or Ctrl-J: begin a line"),
    ("Esc, Ctrl-C", "stop an answer; Ctrl-C at an empty prompt ends"),
    ("PgUp, PgDn", "scroll, as the wheel does"),
    ("Ctrl-T", "show reasoning, or fold it"),
)


def converse(conversation: Conversation, count: int | None) -> None:
    """Chat on the whole screen until the user ends it; what was said is then left on the terminal."""
    with history() as readline:
        screen = Screen(conversation, count, create_output(output.unchanged()), Typed(readline))
        try:
            screen.app.run(pre_run=screen.listen)
        except EOFError:  # the terminal is gone
            return
        except KeyboardInterrupt:
            screen.leave()
            raise
        finally:
            screen.stop()
        screen.leave()


class Typed(History):
    """The history of the plain chat, which readline keeps; without it, what was typed in this chat."""

    def __init__(self, readline: Any) -> None:
        super().__init__()
        self._readline = readline

    def load_history_strings(self) -> list[str]:
        """The latest first."""
        if self._readline is None:
            return []
        count = self._readline.get_current_history_length()
        return [self._readline.get_history_item(i).replace("\r", "\n") for i in range(count, 0, -1)]

    def store_string(self, string: str) -> None:
        """Its file has a line for each."""
        if self._readline is not None:
            self._readline.add_history(string.replace("\n", "\r").replace("\0", ""))  # which C would end it at


class Screen:
    """The transcript, a line about the model and the context, and below it what is typed. `app` runs until the user
    ends the chat, and raises what answering raised, or KeyboardInterrupt after Ctrl-C."""

    def __init__(self, conversation: Conversation, count: int | None, terminal: Output, typed: History) -> None:
        self.talk = Talk(conversation, count, terminal.write_raw, KEYS)
        self.transcript = Transcript(markdown=not conversation.raw)
        self.input = Buffer(multiline=True, history=typed)
        self.asking: Asking | None = None
        self._cost = 0.0  # processor time that drawing took, in seconds
        self.app = Application[None](self._layout(), key_bindings=self._keys(), full_screen=True, mouse_support=True,
                                     output=terminal, before_render=self._began, after_render=self._drawn)  # fmt: skip
        self.app.ttimeoutlen = self.app.timeoutlen = ESCAPE
        kind = "it continues your text" if conversation.raw else "ask it something"
        self.transcript.add(f"{conversation.engine.path.name}: {kind}; /help lists commands, Ctrl-D ends", "dim")

    def listen(self) -> None:
        """Leave the screen before a signal stops the process, as Ctrl-Z does."""
        if sys.platform != "win32" and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTSTP, self._suspend)

    def stop(self) -> None:
        """Stop the answer that is being written, if there is one."""
        if self.asking is not None:
            self.asking.stop()

    def leave(self) -> None:
        """Print what was said below the shell's prompt."""
        lines = self.transcript.lines(self.app.output.get_size().columns)
        text = [fragment for line in lines for fragment in (*line, ("", "\n"))]
        print_formatted_text(FormattedText(text), output=self.app.output, end="")

    def _began(self, app: Application[None]) -> None:
        self._cost = -time.thread_time()

    def _drawn(self, app: Application[None]) -> None:
        self._cost += time.thread_time()

    def _layout(self) -> Layout:
        prompt = Window(
            BufferControl(self.input),
            height=lambda: Dimension(min=1, max=max(1, int(INPUT * self.app.output.get_size().rows))),
            get_line_prefix=lambda line, wrapped: "> " if line == wrapped == 0 else "  ",
            wrap_lines=True, dont_extend_height=True,
        )  # fmt: skip
        status = Window(FormattedTextControl(self._status), height=1, style="reverse")
        return Layout(HSplit([Window(self.transcript), status, prompt]), prompt)

    def _status(self) -> str:
        """What matters most comes first, and what there is no room for is left out."""
        answer, engine = self.talk.answer, self.talk.conversation.engine
        busy = "" if self.asking is None else "writing: Esc stops" if answer.ids else "reading: Esc stops"
        below = "PgDn: more below" if self.transcript.more_below else ""
        text = ""
        for part in filter(None, (busy, below, context(self.talk), speed(answer), engine.model.format,
                                  engine.path.name)):  # fmt: skip
            if get_cwidth(text) + get_cwidth(part) + 3 <= self.app.output.get_size().columns:
                text += f" {part} "
        return text

    def _keys(self) -> KeyBindings:
        keys, idle = KeyBindings(), Condition(lambda: self.asking is None)
        page, transcript = self.transcript.page, self.transcript
        for names, do in (
            (["enter"], self._enter),
            (["escape", "enter"], partial(self.input.insert_text, "\n")),
            (["c-j"], partial(self.input.insert_text, "\n")),
            (["pageup"], partial(page, -1)),
            (["pagedown"], partial(page, 1)),
            (["c-t"], transcript.fold),
            (["c-z"], self._suspend),
        ):
            keys.add(*names)(lambda event, do=do: do())
        for key in ("escape", "c-c", "<sigint>"):
            keys.add(key, filter=~idle)(lambda event: self.stop())
        for key in ("c-c", "<sigint>"):
            keys.add(key, filter=idle)(lambda event: self._interrupt())
        keys.add("c-d", filter=idle & Condition(lambda: not self.input.text))(lambda event: event.app.exit())
        return keys

    def _enter(self) -> None:
        if self.input.document.char_before_cursor == "\\":
            self.input.delete_before_cursor()
            self.input.insert_text("\n")
        elif self.asking is None and (text := self.input.text.strip()):
            self.input.append_to_history()
            self.input.reset()
            self._typed(text)

    def _interrupt(self) -> None:
        if self.input.text:
            self.input.reset()
        else:
            self.app.exit(exception=KeyboardInterrupt)

    def _suspend(self) -> None:
        if sys.platform != "win32":

            def stop() -> None:
                asyncio.get_running_loop().remove_signal_handler(signal.SIGTSTP)
                os.kill(0, signal.SIGTSTP)  # the whole job; returns when the shell continues it
                self.listen()

            run_in_terminal(stop)

    def _typed(self, text: str) -> None:
        """Carry out a command, or ask."""
        self.transcript.to_end()
        if (done := obey(self.talk, text)) is not None:
            self.app.output.flush()  # what a command sent to the terminal
            if done.cleared:
                self.transcript.clear()
            if done.said:
                self.transcript.add(done.said, "dim")
            if done.ends:
                self.app.exit()
            if done.question is None:
                return
            text = done.question
        self.transcript.add(f"> {text}", "bold")
        self.asking = Asking(self.talk.ask(text))
        self.app.create_background_task(self._watch(self.asking))

    async def _watch(self, asking: Asking) -> None:
        """Show an answer as it is written."""
        while True:
            over = not asking.is_alive()
            for part in asking.taken():
                self.transcript.feed(part)
            self.app.invalidate()
            if over:
                break
            await asyncio.sleep(max(PAUSE, self._cost / SHARE))
        self.transcript.finish()
        self.asking = None
        if isinstance(asking.error, UsageError):  # too long a question, or too long a conversation
            self.talk.conversation.forget_last()
            self.transcript.add(str(asking.error), "dim")
        elif asking.error is not None:
            self.app.exit(exception=asking.error)
        elif said := {"context": FULL, "interrupted": "stopped"}.get(self.talk.answer.stopped):
            self.transcript.add(said, "dim")
