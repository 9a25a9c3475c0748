"""Replies of models: text, reasoning and calls of tools, told apart as they come, in the formats of the families."""

from bitwright.model.replies.formats import ReplyFormat, reply_format
from bitwright.model.replies.parts import Arguments, Call, Part, Reasoning, Text
from bitwright.model.replies.reply import Reply

__all__ = ["Arguments", "Call", "Part", "Reasoning", "Reply", "ReplyFormat", "Text", "reply_format"]
