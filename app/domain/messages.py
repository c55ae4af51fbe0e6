"""What one may write to a participant: texts to start from, in the tone that marketplaces ask for."""

from dataclasses import dataclass

from app.domain.protocol import Protocol


@dataclass(frozen=True)
class Message:
    """`occasion` says when to send it."""

    occasion: str
    text: str


_MESSAGES = (
    Message(
        "Something went wrong on our side",
        "Hello, thank you for taking part in “{title}”. Something went wrong on our side while you did, and we are "
        "sorry for it. You will be paid in full, and there is nothing that you need to do.",
    ),
    Message(
        "Paid, but not used",
        "Hello, thank you for taking part in “{title}”. You will be paid in full. Some of the trials had a known "
        "answer, and in your session several of them were missed, so we cannot use it for our analysis. This has "
        "no effect on your standing.",
    ),
    Message(
        "Please return it",
        "Hello, thank you for taking part in “{title}”. Your session did not come to its end, so we cannot approve it. "
        "Please return your submission; returning it has no effect on your standing. If you think that this is wrong, "
        "please write to us.",
    ),
    Message(
        "Why it is rejected",
        "Hello, thank you for your time. We are sorry that we cannot approve your submission to “{title}”: several of "
        "the trials had an obvious answer that the instructions describe, and more of them were missed than happens "
        "to somebody who looks at the images. If you think that this is wrong, please write to us, and we will look "
        "at it again.",
    ),
)


def messages(protocol: Protocol) -> list[Message]:
    """The texts, about this study."""
    return [Message(each.occasion, each.text.replace("{title}", protocol.title)) for each in _MESSAGES]
