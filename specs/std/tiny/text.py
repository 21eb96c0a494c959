"""Generate the tiny model's training text, its held-out text and its test questions.

Standard library only.  The same seed gives the same bytes in every process: nothing iterates over a set.  Every
document is one string without an empty line; a question and its answer always make a document of their own, so that
the model learns to stop after the answer.  A test question asks for a fact that the text states, but never asks for.

The text for training comes in two parts, about the same world.  In the first, whoever is asked for a job or a pet
answers with the bare word; in the second, as everywhere afterwards, with its article, just as statements have it.  The
second part holds fewer stories and more questions.

    python text.py OUT      writes train-first.txt, train-second.txt, heldout.txt and questions.jsonl into OUT
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

SEPARATOR = "\n\n"  # stands between two documents in a file of text
WORDS: dict[str, str] = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))


@dataclass(frozen=True)
class Fact:
    """One fact of the world: what is said of `subject`, how it is stated and how it may be asked for."""

    kind: str
    subject: str
    value: str
    statements: tuple[str, ...]
    asks: tuple[str, ...]

    def state(self, rng: random.Random) -> str:
        """Return one of the sentences that state this fact."""
        return rng.choice(self.statements).format(a=self.subject, b=self.value)

    def ask(self, rng: random.Random) -> str:
        """Return one of the questions for this fact."""
        return rng.choice(self.asks).format(a=self.subject)

    def answer(self, bare: bool = False) -> str:
        """Return the answer to such a question; `bare` leaves the article out."""
        return article(self.value) if self.kind in COUNTED and not bare else self.value


@dataclass(frozen=True)
class Question:
    """A test question with four options, of which `answer` is right."""

    kind: str
    question: str
    answer: str
    options: list[str]


@dataclass(frozen=True)
class Corpus:
    """All that is generated from one seed."""

    first: list[str]
    second: list[str]
    held: list[str]
    questions: list[Question]


@dataclass(frozen=True)
class Sizes:
    """How much text of each sort one pass holds."""

    rounds: int = 11
    stories: int = 2600
    sums: int = 7000
    tales: int = 110
    registers: int = 60
    chats: int = 1800
    asks: float = 0.8  # questions about people for each short text about one


FIRST = Sizes()
SECOND = Sizes(rounds=6, stories=800, sums=8000, tales=70, registers=40, chats=1000, asks=2.0)
PEOPLE = 800
QUESTIONS = 1200
HELD_SHARE = 0.04  # the held-out text, as a share of the first part
COUNTED = ("job", "pet")  # kinds of facts whose values are said with an article


def items(table: str) -> list[str]:
    """Split a word list."""
    return [word.replace("_", " ") for word in table.split()]


def pairs(table: str) -> list[tuple[str, str]]:
    """Split a list of `key:value` words."""
    return [(key, value) for key, _, value in (item.partition(":") for item in items(table))]


def article(phrase: str) -> str:
    """Put the right indefinite article before a phrase."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def prompt(question: str) -> str:
    """Return the text that a question is put to the model as; the answer follows after a blank."""
    return f"Question: {question}\nAnswer:"


def answered(question: str, answer: str) -> str:
    """Return a question and its answer as one document."""
    return f"{prompt(question)} {answer}"


# ---------------------------------------------------------------------------------------------------- facts

WORLD_FORMS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "capital": (
        WORDS["capitals"],
        (
            "The capital of {a} is {b}.",
            "{b} is the capital of {a}.",
            "The capital city of {a} is called {b}.",
            "In {a}, the government sits in {b}.",
            "If you go to {a}, visit its capital, {b}.",
            "{a} is a country, and its capital is {b}.",
        ),
        ("What is the capital of {a}?", "Which city is the capital of {a}?"),
    ),
    "symbol": (
        WORDS["symbols"],
        (
            "The symbol for {a} is {b}.",
            "In chemistry, {a} is written as {b}.",
            "{b} stands for {a}.",
            "Chemists use the letters {b} for {a}.",
            "The element {a} has the symbol {b}.",
        ),
        ("What is the symbol for {a}?", "How is {a} written in chemistry?"),
    ),
}

PERSON_FORMS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "town": (
        WORDS["towns"],
        (
            "{a} lives in {b}.",
            "The home of {a} is in {b}.",
            "{a} has a house in {b}.",
            "The town of {a} is {b}.",
            "If you look for {a}, go to {b}.",
            "{b} is the town where {a} lives.",
        ),
        ("Where does {a} live?", "What is the home town of {a}?"),
    ),
    "job": (
        WORDS["jobs"],
        (
            "{a} works as a {b}.",
            "{a} is a {b}.",
            "{a} earns a living as a {b}.",
            "Every day {a} goes to work as a {b}.",
            "The job of {a} is that of a {b}.",
        ),
        ("What is the job of {a}?", "What work does {a} do?"),
    ),
    "pet": (
        WORDS["pets"],
        (
            "{a} keeps a {b}.",
            "{a} has a {b} at home.",
            "The pet of {a} is a {b}.",
            "{a} takes good care of a {b}.",
            "There is a {b} in the house of {a}.",
        ),
        ("Which animal does {a} keep?", "What is the pet of {a}?"),
    ),
    "fruit": (
        WORDS["fruits"],
        (
            "{a} likes {b} best.",
            "The favourite fruit of {a} is {b}.",
            "{a} loves to eat {b}.",
            "For lunch {a} often eats {b}.",
            "If you cook for {a}, bring {b}.",
        ),
        ("Which fruit does {a} like best?", "What is the favourite fruit of {a}?"),
    ),
}


def world_facts() -> list[Fact]:
    """Return the capitals and the symbols."""
    return [
        Fact(kind, subject, value, statements, asks)
        for kind, (table, statements, asks) in WORLD_FORMS.items()
        for subject, value in pairs(table)
    ]


def person_facts(rng: random.Random, count: int) -> list[list[Fact]]:
    """Invent `count` people; each is a list of facts, one of every kind."""
    names = [f"{first} {last}" for first in items(WORDS["first_names"]) for last in items(WORDS["last_names"])]
    rng.shuffle(names)
    return [
        [Fact(kind, name, rng.choice(items(table)), said, asks) for kind, (table, said, asks) in PERSON_FORMS.items()]
        for name in names[:count]
    ]


# ---------------------------------------------------------------------------------------------------- sums


@dataclass(frozen=True)
class Sum:
    """One line of arithmetic."""

    left: int
    sign: str
    right: int
    result: int

    def equation(self) -> str:
        """Return it in figures."""
        return f"{self.left} {self.sign} {self.right} = {self.result}"

    def spoken(self) -> str:
        """Return its left side with the sign as a word."""
        return f"{self.left} {SIGN_WORDS[self.sign]} {self.right}"

    def ask(self) -> str:
        """Return the question for it."""
        return f"What is {self.spoken()}?"


SIGN_WORDS = {"+": "plus", "-": "minus", "*": "times"}


def all_sums() -> list[Sum]:
    """Return additions and subtractions below 50 and the multiplication table up to 12."""
    table = [Sum(a, "+", b, a + b) for a in range(50) for b in range(50)]
    table += [Sum(a, "-", b, a - b) for a in range(50) for b in range(a + 1)]
    return table + [Sum(a, "*", b, a * b) for a in range(13) for b in range(13)]


def sums_document(rng: random.Random, table: list[Sum], asked: list[Sum]) -> str:
    """Return a document of arithmetic: equations, sentences or one question out of `asked`."""
    form = rng.random()
    if form < 0.45:
        return "\n".join(line.equation() for line in rng.sample(table, rng.randint(4, 8)))
    if form < 0.6:
        return " ".join(
            f"{line.spoken()} {rng.choice(['is', 'makes', 'equals'])} {line.result}." for line in rng.sample(table, 3)
        )
    line = rng.choice(asked)
    return answered(line.ask(), f"{line.result}.")


# ---------------------------------------------------------------------------------------------------- stories


@dataclass(frozen=True)
class Hero:
    """Somebody in a story, with the pronouns to speak of them."""

    name: str
    he: str

    @property
    def his(self) -> str:
        """The possessive pronoun."""
        return {"he": "his", "she": "her"}[self.he]

    @property
    def him(self) -> str:
        """The pronoun as an object."""
        return {"he": "him", "she": "her"}[self.he]


def two_heroes(rng: random.Random) -> tuple[Hero, Hero]:
    """Choose two different people for a story."""
    first, second = rng.sample(pairs(WORDS["heroes"]), 2)
    return Hero(*first), Hero(*second)


def opening(rng: random.Random, hero: Hero, place: str) -> str:
    """Begin a story."""
    weather = rng.choice(items(WORDS["weathers"]))
    return rng.choice(
        [
            f"One {weather} day, {hero.name} went to the {place}.",
            f"It was a {weather} morning, and {hero.name} walked to the {place}.",
            f"Once upon a time, {hero.name} lived near a {place}. The day was {weather}.",
            f"{hero.name} liked to play at the {place}, even on a {weather} day.",
            f"Early in the morning, {hero.name} left the house. It was {weather}, and the {place} was empty.",
        ]
    )


def event(rng: random.Random, hero: Hero, friend: Hero) -> str:
    """Tell one thing that happens to the hero."""
    h, f, p, big = hero.name, friend.name, hero.he, hero.he.capitalize()
    other, far = rng.sample(items(WORDS["places"]), 2)
    thing = f"{rng.choice(items(WORDS['colors']))} {rng.choice(items(WORDS['things']))}"
    bare = thing.split()[1]
    beast, low = rng.choice(items(WORDS["beasts"])), rng.choice(items(WORDS["low_moods"]))
    food, many = rng.choice(items(WORDS["foods"])), rng.choice(items(WORDS["numbers"]))
    return rng.choice(
        [
            f'There {p} saw {article(thing)} under a tree. "Whose {bare} is this?" {p} asked. {big} showed the {bare} '
            f'to {hero.his} friend {f}. {f} said, "It is mine! I lost my {bare} at the {other}." '
            f"{h} gave the {bare} back to {f}.",
            f'{big} met {article(beast)} that was {low}. The {beast} said, "I am {low}. Can you help me?" {h} gave the '
            f"{beast} some {food} and sat down next to it. Soon the {beast} was not {low} any more. "
            f"The {beast} gave {hero.him} {article(thing)} to say thank you.",
            f"{big} wanted to find {hero.his} {thing}. {big} looked in the {other}, but the {bare} was not there. "
            f'Then {f} came and said, "Look behind the door!" {h} looked, and there was the {thing}.',
            f"{big} had {many} cookies in a little box. {f} came by and was {low}. "
            f'"Do you want a cookie?" asked {h}. "Yes, please," said {f}. They ate the {many} cookies and went '
            f"to the {other}.",
            f"A big {beast} sat on the path to the {other}. {h} was {low} at first. Then {f} took {hero.his} hand "
            f'and said, "The {beast} only wants the {bare}." So {h} gave the {beast} the {thing}, and it ran away.',
            f'{f} was at the {other} too. "Come with me," said {f}. "I know where to find {article(thing)}." They '
            f"walked from the {other} to the {far} and looked for {many} hours. At last {h} saw the {bare} in the "
            f"grass.",
            f"{big} wanted to make {food} for {hero.his} mother, but there was no {food} in the house. So {h} and {f} "
            f"went to the {other} and asked for some. A kind woman gave them {food} and {article(thing)}.",
            f"Then the wind took {hero.his} {thing} and carried it over the {other}. {h} ran after it as fast as {p} "
            f'could. {article(beast).capitalize()} caught the {bare} and brought it back. "Thank you," said {h}.',
            f"On the way, {h} and {f} counted the birds. {f} saw {many}, and {h} saw one more. "
            f'"Birds love the {other}," said {f}. After that they shared some {food}.',
        ]
    )


def ending(rng: random.Random, hero: Hero, friend: Hero) -> str:
    """End a story."""
    h, f, good = hero.name, friend.name, rng.choice(items(WORDS["good_moods"]))
    return rng.choice(
        [
            f"{h} was {good} and went home.",
            f"In the end, {h} and {f} were {good}.",
            f"{hero.he.capitalize()} felt {good} all day long.",
            f"That night, {h} told {hero.his} mother everything.",
            f"From that day on, {h} and {f} were good friends.",
        ]
    )


def story(rng: random.Random) -> str:
    """Tell a short story."""
    hero, friend = two_heroes(rng)
    middle = " ".join(event(rng, hero, friend) for _ in range(rng.choice([1, 1, 1, 2])))
    return f"{opening(rng, hero, rng.choice(items(WORDS['places'])))} {middle} {ending(rng, hero, friend)}"


def tale(rng: random.Random) -> str:
    """Tell a long story, of well over a thousand tokens, whose end comes back to a thing from its beginning."""
    hero, friend = two_heroes(rng)
    thing = f"{rng.choice(items(WORDS['colors']))} {rng.choice(items(WORDS['things']))}"
    place, home = rng.sample(items(WORDS["places"]), 2)
    days = rng.randint(8, 12)
    lines = [
        f"This is the long tale of {hero.name}. {hero.name} lived near the {home}. {hero.he.capitalize()} had "
        f"{article(thing)} that {hero.he} kept in the {place}."
    ]
    for day in range(1, days + 1):
        events = " ".join(event(rng, hero, friend) for _ in range(2))
        lines.append(f"Day {day}. {opening(rng, hero, rng.choice(items(WORDS['places'])))} {events}")
    lines.append(
        f"So {days} days went by. {hero.name} came home to the {home}, and the {thing} was still in the {place}. "
        f"{ending(rng, hero, friend)}"
    )
    return "\n".join(lines)


def register(rng: random.Random, folk: list[list[Fact]]) -> str:
    """Write a long list of people, one line each, and name the first of them again at its end."""
    chosen = rng.sample(folk, rng.randint(26, 36))
    lines = [f"{n}. " + " ".join(f.state(rng) for f in rng.sample(bio, 4)) for n, bio in enumerate(chosen, 1)]
    return "\n".join(["A list of people.", *lines, f"The first of the {len(chosen)} people is {chosen[0][0].subject}."])


# ---------------------------------------------------------------------------------------------------- small talk


def chat(rng: random.Random) -> str:
    """Write one exchange that is no test of facts: greetings, counting, stories on request, things never told."""
    topic, other = rng.sample(items(WORDS["topics"]), 2)
    low = rng.randint(0, 30)
    high = low + rng.randint(2, 9)
    thing, beast = rng.choice(items(WORDS["things"])), rng.choice(items(WORDS["beasts"]))
    first, second = rng.sample(range(100), 2)
    unknown = rng.choice(["I do not know.", "I do not know that.", f"I know nothing about {topic}."])
    form = rng.random()
    if form < 0.15:
        ask = rng.choice(
            ["Hello!", "Hello, how are you?", "Hi.", "Hi there!", "Good morning!", "Good evening.", "Hey!"]
        )
        return answered(ask, rng.choice(["Hello! How can I help you?", "Hello! I am well. What do you want to know?"]))
    if form < 0.2:
        ask = rng.choice(["Thank you.", "Thanks!", "Thank you very much!", "Goodbye.", "Bye!", "Good night!"])
        return answered(ask, rng.choice(["You are welcome.", "Goodbye!"]) if ask[0] == "T" else "Goodbye!")
    if form < 0.25:
        ask = rng.choice(["Who are you?", "What are you?", "What is your name?", "Tell me about yourself."])
        return answered(ask, "I am a very small language model. I know some people, places and sums.")
    if form < 0.35:
        return answered(f"Count from {low} to {high}.", " ".join(str(n) for n in range(low, high + 1)) + ".")
    if form < 0.43:
        which = rng.choice(["larger", "smaller"])
        right = max(first, second) if which == "larger" else min(first, second)
        return answered(f"Which is {which}, {first} or {second}?", f"{right}.")
    if form < 0.5:
        return answered(f"What comes after {low}?", f"{low + 1}.")
    if form < 0.7:
        ask = rng.choice(
            ["Tell me a story.", "Write a short story.", "Please tell me a story.", "Write a story for me."]
        )
        return answered(ask, story(rng))
    if form < 0.76:
        return answered(f"Say the word {thing}.", f"{thing}.")
    if form < 0.8:
        place = rng.choice(items(WORDS["places_untold"]))
        return answered(f"What is the capital of {place}?", "I do not know.")
    ask = rng.choice(
        [
            f"What do you think about {topic}?",
            f"Can you explain {topic} to me?",
            f"Explain {topic} in one sentence.",
            f"Write a poem about {topic} and {other}.",
            f"Why is {topic} important for {other}?",
            f"How does {topic} work?",
            f"Tell me something about {topic}.",
            f"Please summarize the following text about {topic} and {other}.",
            f"Give me three reasons why people like {topic}.",
            f"Write a program that draws {article(beast)} and saves it.",
            f"Who invented {topic}, and when did it happen?",
            f"What is the difference between {topic} and {other}?",
            f"Translate the word {thing} into another language.",
            f"{topic.capitalize()} and {other}: which one is better?",
        ]
    )
    return answered(ask, unknown)


# ---------------------------------------------------------------------------------------------------- corpus


def options(rng: random.Random, right: str, wrong: list[str]) -> list[str]:
    """Mix the right answer with three different wrong ones."""
    chosen = [*rng.sample(sorted(set(wrong) - {right}), 3), right]
    rng.shuffle(chosen)
    return chosen


def test_questions(
    rng: random.Random, folk: list[list[Fact]], hidden: list[Fact], hidden_sums: list[Sum], count: int
) -> list[Question]:
    """Choose `count` questions for facts that are never asked in the text."""
    out: list[Question] = []
    values = {kind: items(table) for kind, (table, _, _) in PERSON_FORMS.items()}
    values |= {kind: [value for _, value in pairs(table)] for kind, (table, _, _) in WORLD_FORMS.items()}
    for line in hidden_sums[: count // 4]:
        near = [str(line.result + d) for d in (-10, -2, -1, 1, 2, 10) if line.result + d >= 0]
        out.append(Question("sum", line.ask(), str(line.result), options(rng, str(line.result), near)))
    world = [fact for fact in hidden if fact.kind in WORLD_FORMS]
    personal = [fact for fact in hidden if fact.kind in PERSON_FORMS]
    rng.shuffle(personal)
    for fact in world + personal[: count - len(out) - len(world)]:
        wrong = values[fact.kind]
        if fact.kind in PERSON_FORMS:  # the answers for people who share one of the two names are hardest to tell apart
            parts = fact.subject.split()
            near = [x.value for bio in folk for x in bio if x.kind == fact.kind and set(x.subject.split()) & set(parts)]
            wrong = near if len(set(near) - {fact.value}) > 2 else wrong
        said = {value: Fact(fact.kind, "", value, (), ()).answer() for value in [fact.value, *wrong]}
        choices = [said[value] for value in options(rng, fact.value, wrong)]
        out.append(Question(fact.kind, fact.ask(rng), fact.answer(), choices))
    return out


def build(seed: int = 1) -> Corpus:
    """Generate everything from one seed."""
    rng = random.Random(seed)
    folk = person_facts(rng, PEOPLE)
    world = world_facts()
    rng.shuffle(world)
    table = all_sums()
    rng.shuffle(table)
    hidden_sums, asked_sums = table[:400], table[400:]
    open_folk = folk[: len(folk) // 2]
    asked_facts: list[Fact] = []
    hidden: list[Fact] = []
    for kind in WORLD_FORMS:
        same = [fact for fact in world if fact.kind == kind]
        asked_facts += same[: len(same) // 2]
        hidden += same[len(same) // 2 :]
    hidden += [fact for bio in folk[len(folk) // 2 :] for fact in bio]

    def documents(sizes: Sizes, share: float = 1.0, bare: bool = False) -> list[str]:
        """Write one part of the text, or a share of it."""

        def some(number: int) -> range:
            return range(max(1, round(number * share)))

        docs = [story(rng) for _ in some(sizes.stories)]
        docs += [sums_document(rng, table, asked_sums) for _ in some(sizes.sums)]
        docs += [tale(rng) for _ in some(sizes.tales)]
        docs += [register(rng, folk) for _ in some(sizes.registers)]
        docs += [chat(rng) for _ in some(sizes.chats)]
        for _ in some(len(folk) * sizes.rounds):
            docs.append(" ".join(fact.state(rng) for fact in rng.sample(rng.choice(folk), 4)))
            for done in range(math.ceil(sizes.asks)):
                if rng.random() < sizes.asks - done:
                    fact = rng.choice(rng.choice(open_folk))
                    docs.append(answered(fact.ask(rng), f"{fact.answer(bare)}."))
        for _ in some(sizes.rounds * 3 * len(world) // 4):
            docs.append(" ".join(fact.state(rng) for fact in rng.sample(world, 4)))
            fact = rng.choice(asked_facts)
            docs.append(answered(fact.ask(rng), f"{fact.answer(bare)}."))
        rng.shuffle(docs)
        return docs

    first = documents(FIRST, bare=True)
    second = documents(SECOND)
    seen = {*first, *second}
    held = [doc for doc in documents(FIRST, HELD_SHARE) if doc not in seen]
    return Corpus(first, second, held, test_questions(rng, folk, hidden, hidden_sums, QUESTIONS))


def write(corpus: Corpus, out: Path) -> None:
    """Write the three files into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(question)) + "\n" for question in corpus.questions]
    for name, text in (
        ("train-first.txt", SEPARATOR.join(corpus.first)),
        ("train-second.txt", SEPARATOR.join(corpus.second)),
        ("heldout.txt", SEPARATOR.join(corpus.held)),
        ("questions.jsonl", "".join(lines)),
    ):
        (out / name).write_bytes(text.encode("utf-8"))


def main() -> None:
    """Generate the files and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    corpus = build(args.seed)
    write(corpus, args.out)
    for docs in (corpus.first, corpus.second, corpus.held):
        print(f"{sum(map(len, docs)) / 1e6:.2f} MB in {len(docs)} documents")
    print(f"{len(corpus.questions)} questions")


if __name__ == "__main__":
    main()
