"""Long documents: made-up records of several thousand characters, then a question about them."""

from __future__ import annotations

from collections.abc import Sequence

from bitwright.measure.horizon.draw import NAMES, PLACES, Draw

LENGTH = 4000  # characters of a document, at least
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
          "December")  # fmt: skip


def turns(d: Draw, family: int) -> list[str]:
    """One message: the document and a question."""
    title, entry, questions = FAMILIES[family % len(FAMILIES)](d)
    parts, number = [title], 1
    while sum(map(len, parts)) < LENGTH:
        parts.append(entry(number))
        number += 1
    return ["Read the document and answer the question below it.\n\n" + "\n\n".join(parts) + f"\n\n{d.of(questions)}"]


class _Entries:
    """A document's paragraphs: sentences of a drawn selection, filled with drawn words."""

    def __init__(self, d: Draw, heading: str, sentences: Sequence[str], words: dict[str, Sequence[str]]) -> None:
        self.d, self.heading, self.sentences = d, heading, sentences
        self.people, self.places = d.some(NAMES, 5), d.some(PLACES, 4)
        self.words, self.day, self.left = words, d.between(1, 200), list[str]()

    def __call__(self, number: int) -> str:
        d = self.d
        self.day += d.between(1, 9)
        date = f"{1 + self.day % 28} {MONTHS[self.day // 28 % 12]}"
        sentences = [self.sentence() for _ in range(d.between(4, 6))]
        return self.heading.format(number=number, date=date, **self.drawn()) + " ".join(sentences)

    def sentence(self) -> str:
        """Each kind of sentence comes once before any comes again."""
        self.left = self.left or self.d.some(self.sentences, len(self.sentences))
        return self.left.pop().format(**self.drawn())

    def drawn(self) -> dict[str, str]:
        d = self.d
        who, other = d.some(self.people, 2)
        fixed = {"who": who, "other": other, "place": d.of(self.places)}
        numbers = {"few": d.between(2, 9), "some": d.between(11, 60), "many": d.between(70, 900)}
        drawn = {name: d.of(choices) for name, choices in self.words.items()}
        return fixed | {name: str(value) for name, value in numbers.items()} | drawn


Document = tuple[str, _Entries, Sequence[str]]  # title, paragraphs, questions


def _keeper(d: Draw) -> Document:
    entries = _Entries(d, "{date}. ", (
        "Wind {wind} all day, {few} by the scale, and the sea the colour of {colour}.",
        "{who} rowed over from {place} with {some} pounds of flour and a letter that had lain there for {few} weeks.",
        "The lamp burned {many} measures of oil, more than I like; the {part} leaks again, and I packed it with tow.",
        "Counted {some} {bird} on the north ledge before the fog came down.",
        "A schooner stood in too close at dusk, and I rang the bell until she saw the breakers.",
        "{other} says the cistern will last {few} more weeks if the rain keeps away, which it will not.",
        "Mended the {part}, which had worked loose since {who} last looked at it.",
        "I read to {other} from the almanac in the evening, and we disagreed about the date of the tide.",
        "Nothing passed but {some} {bird}, going south and in no hurry.",
        "The barometer fell {few} tenths in an hour and I drew the boat up to the second ring.",
    ), {"wind": ("north-west", "south", "east by north", "south-west"), "colour": ("slate", "milk", "ink", "old brass"),
        "bird": ("gannets", "puffins", "eiders", "terns", "oystercatchers"),
        "part": ("burner", "wick guide", "south shutter", "winding chain", "reflector")})  # fmt: skip
    return (
        f"From the journal of the keeper at {d.of(PLACES)} light",
        entries,
        (
            "Which parts of the light needed repair, and in what order?",
            "Who brought supplies, from where, and how often? Write two sentences.",
            "Continue the journal with the next entry, in the same voice.",
        ),
    )


def _minutes(d: Draw) -> Document:
    entries = _Entries(d, "Item {number}, {subject} (introduced by {who}). ", (
        "{other} reported that the works at {place} are {few} weeks late, because {reason}.",
        "The committee compared {few} offers, the lowest at {many} thousand.",
        "{who} asked for the figures of the past {few} years, which the clerk will send by Friday.",
        "It was agreed to spend no more than {many} thousand before the summer, {some} votes to {few}.",
        "{other} moved to postpone the matter; the motion failed, because {reason}.",
        "The residents of {place} have handed in a list with {many} signatures.",
        "A visit to {place} is planned; {who} and {other} will take part and report in writing.",
        "{who} abstained, being related to one of the bidders.",
        "The chair recalled that the same question was settled {few} years ago and lay {some} months with the courts.",
    ), {"subject": ("the footbridge", "the school roof", "street lamps", "the ferry timetable", "the market square",
                    "winter service", "the swimming bath", "the archive"),
        "reason": ("the ground is softer than expected", "two deliveries were of the wrong size",
                   "the surveyor is ill", "the frost lasted into April", "the plans lack a signature")})  # fmt: skip
    return (
        f"Minutes of the works committee of {d.of(PLACES)}, {d.of(MONTHS)} sitting",
        entries,
        (
            "List every decision that was taken, with its vote, as bullet points.",
            "Which matters concern delays, and what are the reasons given?",
            "Write a notice of at most eighty words for the residents that says what was decided.",
        ),
    )


def _inspection(d: Draw) -> Document:
    entries = _Entries(d, "{number}. Unit {many}, {place}. ", (
        "The {part} shows {damage} over {some} mm; the limit is {few} mm.",
        "Readings were taken at {some} points, the largest being {many}.",
        "{who} replaced the {part} during the inspection and kept the old one as evidence.",
        "The log says the unit ran for {many} hours since the last visit, but the counter shows {some} fewer.",
        "No {damage} was found on the {part}, though {other} had reported it twice.",
        "The operator was told to keep the load below {some} percent until the {part} is renewed.",
        "Access was possible only from the {side} side, so {few} bolts could not be checked.",
        "The unit may stay in use for {few} months.",
        "A second opinion by {other} is attached and differs in {few} points.",
    ), {"part": ("bearing", "guide rail", "coupling", "pressure valve", "brake lining", "cable drum", "inlet screen"),
        "damage": ("wear", "corrosion", "hairline cracks", "discolouration", "play"),
        "side": ("north", "water", "rear", "left")})  # fmt: skip
    return (
        f"Inspection report, lifting and pumping stations around {d.of(PLACES)}",
        entries,
        (
            "Which units must not be run at full load? Give their numbers and the reason.",
            "Make a table with the columns unit, part, damage, and what was done.",
            "Which two findings are the most urgent? Explain in three sentences.",
        ),
    )


def _laboratory(d: Draw) -> Document:
    entries = _Entries(d, "{date}, run {number}. ", (
        "Held batch {many} at {some} degrees for {few} hours; it turned {colour} after the first.",
        "{who} weighed the residue: {few}.{some} g, against {few}.{some} g in the blank.",
        "Changed one thing only: the {tool} was rinsed with {liquid} before use.",
        "The curve bends at {some} minutes, as in the run that {other} made at {place}.",
        "The {tool} had to be calibrated twice, and the second value was {few} percent higher.",
        "Spilled part of the {liquid}; the run counts, but its yield does not.",
        "Yield {some} percent. That is {few} points more than without {liquid}.",
        "{other} doubts the result and will repeat it blind with {few} samples.",
        "Next time: slower heating, and let {who} read the scale so that I cannot hope.",
    ), {"colour": ("amber", "cloudy", "pale green", "almost black", "clear again"),
        "tool": ("balance", "condenser", "pipette", "thermocouple", "stirrer"),
        "liquid": ("ethanol", "acetone", "dilute vinegar", "distilled water", "glycerol")})  # fmt: skip
    return (
        f"Laboratory notebook of {d.of(NAMES)}, {d.of(MONTHS)} to {d.of(MONTHS)}",
        entries,
        (
            "Which changes raised the yield, and how sure can one be?",
            "Plan the next run: say what to change, what to keep, and what to measure.",
            "Summarize the notebook for a colleague in one paragraph.",
        ),
    )


def _regulations(d: Draw) -> Document:
    entries = _Entries(d, "§ {number}. ", (
        "Whoever keeps a {thing} within {some} metres of the {area} needs a permit from the office in {place}.",
        "The permit is valid for {few} years and costs {many} crowns, half of that for schools and clubs.",
        "This does not apply to a {thing} that was in use before the year in which this rule came into force.",
        "Applications are decided within {some} days; silence counts as consent.",
        "A {thing} must be marked with its number in figures at least {some} millimetres high.",
        "Exceptions may be granted if {condition}.",
        "Violations are punished with a fine of up to {many} crowns, or twice that if they are repeated.",
        "In the {area}, the rule holds only from hour {few} until dusk.",
        "Fees already paid are not returned unless {condition}.",
        "Officers may enter the {area} at any time, but a dwelling only with an order.",
    ), {"thing": ("boat", "beehive", "stall", "kiln", "kite line", "drone", "raft"),
        "area": ("harbour", "common", "orchard belt", "old wall", "water meadow"),
        "condition": ("nobody objects within two weeks", "the applicant is older than seventy",
                      "public safety does not suffer", "the owner of the ground agrees in writing")})  # fmt: skip
    return (
        f"Bylaws of the borough of {d.of(PLACES)}",
        entries,
        (
            "Someone wants to put up a stall for one day. Which paragraphs apply, and what must be done?",
            "Find two paragraphs that contradict each other or could be read so, and say how you would settle it.",
            "Explain the fees and fines in plain words for a leaflet.",
        ),
    )


def _letters(d: Draw) -> Document:
    entries = _Entries(d, "{place}, {date}. ", (
        "You ask how {who} is: better, and already quarrelling with {other} about the {object}.",
        "The road from {place} was under water, so the carrier took {few} days instead of one.",
        "I have sold the {object} for {many}, less than it was worth and more than we paid.",
        "Send the {object} if you can, and the recipe with {few} eggs, which nobody here believes.",
        "{who} has written {few} pages of the play and torn up {some}.",
        "The children count the days to {feast} and have reached {some}.",
        "At {feast} there were {some} of us at the table, and {other} sang.",
        "Do not tell {other} yet, but we think of moving to {place} when the lease ends.",
        "I dreamt of the house again, with all {some} windows open.",
        "The money you sent paid for the {object} and {few} months of coal.",
    ), {"object": ("piano", "sewing machine", "brown mare", "clock", "copper pan", "garden gate"),
        "feast": ("midsummer", "the harvest", "the wedding", "New Year")})  # fmt: skip
    return (
        f"Letters to {d.of(NAMES)}",
        entries,
        (
            "What became of the things that are mentioned: which were sold, sent for or paid for?",
            "Write the reply to the last letter, in about a hundred words.",
            "Who moves, or means to move, and where? Quote the sentence that says so.",
        ),
    )


FAMILIES = (_keeper, _minutes, _inspection, _laboratory, _regulations, _letters)
