"""What the e-mails of `text.emails` are put together from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TONES = ("formal", "friendly", "brief")
NAMES = (
    "Alice", "Amir", "Anna", "Ben", "Carla", "Chen", "Clara", "Daniel", "David", "Elena", "Emma", "Farid", "Fiona",
    "Grace", "Hannah", "Hugo", "Ines", "Ivan", "Jack", "Julia", "Karim", "Kate", "Leo", "Lina", "Lucas", "Maria",
    "Marta", "Mei", "Nadia", "Noah", "Nora", "Olga", "Omar", "Paul", "Priya", "Rosa", "Sam", "Sofia", "Tom", "Yuki",
)  # fmt: skip
FRAMES: Mapping[str, str] = {
    "formal": "Dear {to},\n{body}\nKind regards,\n{by}",
    "friendly": "Hi {to}!\n{body}\nAll the best,\n{by}",
    "brief": "{to},\n{body}\n{by}",
}
"""An e-mail around what it says, by tone."""

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday")
SLOTS = tuple(f"{day} at {hour}" for day in DAYS for hour in ("9", "10", "11", "2", "3", "4"))
NUMBERS = tuple(str(number) for number in range(1013, 10000, 137))
HELP = (
    "the report", "the budget", "the fence", "the slides", "the contract", "the party", "my thesis", "the garden",
    "the new printer", "the translation", "the survey", "the website",
)  # fmt: skip
THINGS = (
    "kettle", "lamp", "chair", "phone", "radio", "blender", "clock", "camera", "printer", "heater", "tent", "bicycle",
)  # fmt: skip
ROLES = (
    "bookkeeper", "gardener", "nurse", "cook", "driver", "teacher", "writer", "designer", "mechanic", "librarian",
    "translator", "receptionist",
)  # fmt: skip
TOPICS = (
    "the evening course", "the summer school", "the guided tour", "the boat trip", "the music lessons", "the gym",
    "the language class", "the holiday flat", "the choir", "the art workshop", "the ski week", "the book club",
)  # fmt: skip
SUBSCRIPTIONS = (
    "newspaper", "magazine", "gym card", "phone plan", "wine box", "parking permit", "train pass", "film club",
    "coffee box", "cloud plan", "insurance", "season ticket",
)  # fmt: skip
SYSTEMS = (
    "the library", "the payroll", "the shop", "the calendar", "the forum", "the wiki", "the bank", "the archive",
    "the mailbox", "the ticket desk", "the server", "the portal",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What a message wants, and how it is answered. Each wording holds ``{detail}``."""

    details: tuple[str, ...]
    messages: Mapping[str, tuple[str, ...]]
    """By tone."""
    replies: Mapping[str, tuple[str, ...]]
    """By tone."""
    asks: str
    """A regular expression that a message of this intent, and of no other, matches in lower case."""
    answers: str
    """The same for its replies."""


INTENTS: Mapping[str, Intent] = {
    "meeting": Intent(
        details=SLOTS,
        asks=r"\bmeet(ing)?\b",
        answers=r"\bmeet(ing)?\b",
        messages={
            "formal": (
                "Would it be possible to meet on {detail} to discuss the project?",
                "I would like to propose a meeting on {detail}.",
            ),
            "friendly": (
                "Shall we meet on {detail}? I would love to catch up.",
                "Do you have time for a meeting on {detail}?",
            ),
            "brief": ("Can we meet on {detail}?", "Meeting on {detail}?"),
        },
        replies={
            "formal": (
                "I will be pleased to meet you on {detail}.",
                "The meeting on {detail} suits me well. I have noted it.",
            ),
            "friendly": (
                "Yes, let us meet on {detail}. I look forward to it!",
                "A meeting on {detail} is perfect for me!",
            ),
            "brief": ("Yes, we meet on {detail}.", "Meeting on {detail} is fine."),
        },
    ),
    "reschedule": Intent(
        details=SLOTS,
        asks=r"\b(reschedule|postpone)\b",
        answers=r"\bmoved?\b",
        messages={
            "formal": (
                "I am afraid that I must reschedule our appointment. Would {detail} be convenient?",
                "Might we postpone our appointment to {detail}?",
            ),
            "friendly": (
                "Something came up, can we reschedule? How about {detail}?",
                "Is it all right if we postpone our chat to {detail}?",
            ),
            "brief": ("Must reschedule. Is {detail} possible?", "Please postpone our call to {detail}."),
        },
        replies={
            "formal": (
                "Of course. I have moved our appointment to {detail}.",
                "I can move the appointment, and {detail} is convenient.",
            ),
            "friendly": ("No worries, I moved it to {detail}!", "Sure, let us move it to {detail}. See you then!"),
            "brief": ("Moved to {detail}.", "Fine, I will move it to {detail}."),
        },
    ),
    "invoice": Intent(
        details=NUMBERS,
        asks=r"\binvoice\b",
        answers=r"\binvoice\b",
        messages={
            "formal": (
                "I am writing about invoice {detail}. The total does not seem to be right.",
                "Could you please explain the second item of invoice {detail}?",
            ),
            "friendly": (
                "Could you have a look at invoice {detail}? I think there is a mistake.",
                "I am a bit puzzled by invoice {detail}. Can you help?",
            ),
            "brief": (
                "Question about invoice {detail}: is the sum right?",
                "Invoice {detail} looks wrong. Please check.",
            ),
        },
        replies={
            "formal": (
                "I have checked invoice {detail} and will send you a corrected copy today.",
                "We are looking into invoice {detail} and will write to you by tomorrow.",
            ),
            "friendly": (
                "Good that you asked! I will check invoice {detail} right away.",
                "You are right about invoice {detail}, a new one is on its way!",
            ),
            "brief": ("Will check invoice {detail} today.", "New copy of invoice {detail} follows."),
        },
    ),
    "thanks": Intent(
        details=HELP,
        asks=r"\bthank(s| you)\b",
        answers=r"\b(welcome|pleasure)\b",
        messages={
            "formal": (
                "I would like to thank you for your support with {detail}.",
                "Please accept my thanks for your work on {detail}.",
            ),
            "friendly": (
                "Thank you so much for helping with {detail}!",
                "Many thanks for your help with {detail}, you saved me!",
            ),
            "brief": ("Thanks for {detail}.", "Thank you for the help with {detail}."),
        },
        replies={
            "formal": (
                "You are most welcome. I was happy to assist with {detail}.",
                "It was a pleasure to work on {detail} with you.",
            ),
            "friendly": ("You are welcome, {detail} was fun!", "It was a pleasure to help with {detail}, any time!"),
            "brief": ("You are welcome, happy to help with {detail}.", "My pleasure. Glad {detail} went well."),
        },
    ),
    "delay": Intent(
        details=NUMBERS,
        asks=r"\b(late|delayed)\b",
        answers=r"\bwait(ing)?\b",
        messages={
            "formal": (
                "We regret to inform you that your order {detail} will arrive a week late.",
                "Please accept our apologies: order {detail} is delayed by our supplier.",
            ),
            "friendly": (
                "So sorry, your order {detail} is going to be a few days late!",
                "Bad news, I am afraid: order {detail} has been delayed.",
            ),
            "brief": ("Order {detail} will be late. Sorry.", "Sorry, order {detail} is delayed."),
        },
        replies={
            "formal": (
                "I appreciate your notice. We are able to wait for order {detail}.",
                "We do not mind waiting a little longer for order {detail}.",
            ),
            "friendly": (
                "No problem at all, I can wait for order {detail}!",
                "Do not worry, order {detail} is worth the wait!",
            ),
            "brief": ("All right, we wait for order {detail}.", "Fine. Waiting for order {detail}."),
        },
    ),
    "complaint": Intent(
        details=THINGS,
        asks=r"\b(broken|faulty)\b",
        answers=r"\b(replacement|refund)\b",
        messages={
            "formal": (
                "I regret to say that the {detail} I bought from you arrived broken.",
                "I wish to complain about the {detail} that you delivered. It is faulty.",
            ),
            "friendly": (
                "Oh dear, the {detail} you sent me is broken. What can we do?",
                "I was so happy about the {detail}, but it is faulty!",
            ),
            "brief": ("The {detail} is broken. I am not happy.", "You sent me a faulty {detail}."),
        },
        replies={
            "formal": (
                "Please accept our apologies. A replacement for the {detail} will be sent today.",
                "We are very sorry about the {detail} and will refund the full price.",
            ),
            "friendly": (
                "Oh no, I am so sorry! A replacement {detail} is on its way.",
                "Sorry about the {detail}! You get a full refund, of course.",
            ),
            "brief": ("Sorry. Replacement {detail} is on its way.", "Sorry, we will refund the {detail}."),
        },
    ),
    "application": Intent(
        details=ROLES,
        asks=r"\b(apply|application)\b",
        answers=r"\b(application|interview)\b",
        messages={
            "formal": (
                "I would like to apply for the post of {detail} that you advertised.",
                "Please find enclosed my application for the position of {detail}.",
            ),
            "friendly": (
                "I saw that you need a {detail}, and I would love to apply!",
                "Here is my application to join your team as a {detail}.",
            ),
            "brief": ("I apply for the job as {detail}. CV attached.", "My application as {detail} is attached."),
        },
        replies={
            "formal": (
                "We have received your application as {detail} and will be in touch soon.",
                "We would like to invite you to an interview for the post of {detail}.",
            ),
            "friendly": (
                "How nice that you want to be our {detail}! Your application is in good hands.",
                "Great, we need a {detail}! Would you come for an interview?",
            ),
            "brief": ("Application as {detail} received.", "Please come for an interview as {detail}."),
        },
    ),
    "information": Intent(
        details=TOPICS,
        asks=r"\b(information|know more)\b",
        answers=r"\bbrochure\b",
        messages={
            "formal": (
                "Could you kindly send me further information about {detail}?",
                "I should like to know more about {detail} and its price.",
            ),
            "friendly": (
                "I am curious about {detail}! Do you have any information for me?",
                "I would love to know more about {detail}.",
            ),
            "brief": ("Please send information about {detail}.", "Want to know more about {detail}."),
        },
        replies={
            "formal": (
                "Please find enclosed our brochure about {detail}, with all prices.",
                "I have sent you the brochure for {detail} by post.",
            ),
            "friendly": (
                "Great that you like {detail}! Our brochure tells you everything.",
                "Here is our brochure about {detail}, have fun with it!",
            ),
            "brief": ("Brochure about {detail} attached.", "See the brochure for {detail}."),
        },
    ),
    "cancellation": Intent(
        details=SUBSCRIPTIONS,
        asks=r"\bcancel\b",
        answers=r"\bcancell?ed\b",
        messages={
            "formal": (
                "I hereby wish to cancel my {detail} at the end of this month.",
                "Would you please cancel my {detail} and confirm it in writing?",
            ),
            "friendly": (
                "Sadly I have to cancel my {detail}, it was nice while it lasted!",
                "Could you please cancel the {detail} for me?",
            ),
            "brief": ("Please cancel my {detail}.", "I want to cancel the {detail} now."),
        },
        replies={
            "formal": (
                "As you requested, your {detail} has been cancelled.",
                "This is to confirm that we have cancelled your {detail}.",
            ),
            "friendly": (
                "All done, your {detail} is cancelled. Come back soon!",
                "We cancelled your {detail} and will miss you!",
            ),
            "brief": ("Your {detail} is cancelled.", "Cancelled: {detail}."),
        },
    ),
    "access": Intent(
        details=SYSTEMS,
        asks=r"\b(password|log in)\b",
        answers=r"\breset\b",
        messages={
            "formal": (
                "I am unable to log in to {detail} since this morning.",
                "The password of my account at {detail} is no longer accepted.",
            ),
            "friendly": (
                "Silly me, I forgot my password for {detail}! Can you help?",
                "I just can not log in to {detail} today, any idea?",
            ),
            "brief": ("Can not log in to {detail}.", "Lost my password for {detail}."),
        },
        replies={
            "formal": (
                "We have reset your account at {detail}. Please try again.",
                "Please use the link that we sent to reset your access to {detail}.",
            ),
            "friendly": (
                "That happens to everyone! I have reset your account for {detail}.",
                "Easy, just follow the link to reset your access to {detail}!",
            ),
            "brief": ("Account for {detail} is reset.", "Use the link to reset {detail}."),
        },
    ),
}
