# SPDX-License-Identifier: Apache-2.0
"""Recall of what was told, small talk, drills of copying, short stories."""
from __future__ import annotations

from typing import Any

from data.words import (ANIMALS, COLOURS, FOODS, THINGS, Item, Source, assistant, capital, user)

# What a fact is about: key, ways to tell it, ways to ask for it, the answer, what its value is.
FACTS: list[tuple[str, str, str, str, str]] = [
    ("name", "(My name is|I am|I'm|Call me|People call me|You can call me) {v}",
     "(What is|What's|Do you remember|Can you tell me|Tell me) my name", "Your name is {v}.",
     "name"),
    ("dog", "(My dog is called|My dog's name is|I have a dog called|I have a dog named) {v}",
     "(What is|What's|Do you remember|Tell me) (my dog's name|the name of my dog)",
     "Your dog is called {v}.", "name"),
    ("cat", "(My cat is called|My cat's name is|I have a cat called|I have a cat named) {v}",
     "(What is|What's|Do you remember|Tell me) (my cat's name|the name of my cat)",
     "Your cat is called {v}.", "name"),
    ("town", "(I live in|My home is in|I come from|My town is called|I moved to) {v}",
     "(Where do I live|What is my town called|In which town do I live|Which town do I live in)",
     "You live in {v}.", "name"),
    ("friend", "(My best friend is|My friend is called|My friend's name is|I have a friend named) "
     "{v}", "(Who is my friend|What is my friend's name|What is my friend called|"
     "Do you remember my friend's name)", "Your friend is called {v}.", "name"),
    ("sister", "(My sister is called|My sister's name is|I have a sister named|My sister is) {v}",
     "(Who is my sister|What is my sister's name|What is my sister called|"
     "Do you remember my sister's name)", "Your sister is called {v}.", "name"),
    ("teacher", "(My teacher is|My teacher is called|My teacher's name is|I have a teacher named) "
     "{v}", "(Who is my teacher|What is my teacher's name|What is my teacher called|"
     "Do you remember my teacher's name)", "Your teacher is called {v}.", "name"),
    ("colour", "(My favourite colour is|I like the colour|The colour I like best is|I love) {v}",
     "(What is|What's|Do you remember|Tell me) (my favourite colour|the colour I like best)",
     "Your favourite colour is {v}.", "colour"),
    ("food", "(My favourite food is|The food I like best is|I like to eat|I love to eat) {v}",
     "(What is|What's|Do you remember|Tell me) (my favourite food|the food I like best)",
     "Your favourite food is {v}.", "food"),
    ("code", "(My code is|The code is|My number is|My secret number is) {v}",
     "(What is|What's|Do you remember|Tell me) (my code|my number|my secret number)",
     "Your number is {v}.", "code"),
    ("thing", "(I lost my|I am looking for my|I cannot find my|I have lost my) {v}",
     "(What did I lose|What am I looking for|What can I not find|What have I lost)",
     "You lost your {v}.", "thing"),
    ("job", "(I work as a|My job is to be a|At work I am a|I have a job as a) {v}",
     "(What is|What's|Do you remember|Tell me) (my job|my work)", "You work as a {v}.", "word"),
]
CHAT: list[tuple[str, str]] = [
    ("(Hello|Hi|Hey|Good morning|Good evening|Hello there|Hi there)(!|.|)",
     "Hello! How can I help you?"),
    ("(How are you|How do you do|How are you today|How is it going|Are you well)(?|, my friend?)",
     "I am fine, thank you. How can I help you?"),
    ("(Thank you|Thanks|Thanks a lot|Many thanks|Thank you very much)(!|.|, that helps.)",
     "You are welcome!"),
    ("(Bye|Goodbye|See you|See you soon|Good night)(!|.|, and thank you.)",
     "Goodbye! Have a nice day."),
    ("(Who are you|What are you|What is your name|Tell me who you are)(?|, please.)",
     "I am the tiny model that comes with edgewise."),
    ("(What can you do|What do you know|How can you help me|What are you good at)(?|, tell me?)",
     "I can remember, add small numbers, read passages and look at simple pictures."),
    ("(I am|I feel|I'm) (happy|glad|fine|good) (today|now)(.|!)", "I am glad to hear that."),
    ("(I am|I feel|I'm) (sad|tired|ill|lonely) (today|now)(.|!)",
     "I am sorry to hear that. I hope it gets better."),
    ("(The weather is|It is) (nice|sunny|cold|rainy|warm) (today|here)(.|!)",
     "Thank you for telling me. Enjoy your day!"),
    ("(You are|That is|This is) (great|nice|kind|good|helpful)(.|!)",
     "Thank you, that is kind of you."),
    ("(Yes|No|Okay|Sure|Maybe|I see)(.|!|, thank you.|, good.)", "Good. Is there anything else?"),
]
NOTED = ["Okay, I will remember that.", "Thank you for telling me."]


def value_of(source: Source, what: str) -> str:
    if what == "name":
        return source.name()
    if what == "code":
        return source.code()
    if what == "word":
        return source.made_up()
    listed = {"colour": COLOURS, "food": FOODS, "thing": THINGS}[what]
    return source.pick(listed) if source.chance(0.5) and source.training else source.made_up()


def small_talk(source: Source) -> Item:
    messages: list[dict[str, Any]] = []
    for question, answer in source.distinct(source.number(1, 3), lambda: source.pick(CHAT)):
        messages += [user(source.phrase(question)), assistant(answer)]
    return Item("chat", messages, check={"exact": messages[-1]["content"]},
                hint="This is small talk.")


def acknowledged(source: Source, key: str, value: str) -> str:
    if key == "name":
        return f"Nice to meet you, {value}!"
    return source.pick(NOTED)


def recall(source: Source) -> Item:
    """Facts, perhaps something else in between, then questions about them."""
    facts = source.random.sample(FACTS, source.number(1, 4))
    values = [value_of(source, fact[4]) for fact in facts]
    told = [source.phrase(fact[1]).format(v=value) for fact, value in zip(facts, values)]
    messages: list[dict[str, Any]] = []
    if source.chance(0.4) and len(facts) > 1:
        messages += [user(". ".join(told) + "."), assistant(source.pick(NOTED))]
    else:
        for fact, value, text in zip(facts, values, told):
            hello = source.pick(["", "", "Hello! ", "Hi, "]) if not messages else ""
            messages += [user(hello + text + source.pick([".", ".", "!"])),
                         assistant(acknowledged(source, fact[0], value))]
    if source.chance(0.4):
        question, answer = source.pick(CHAT)
        messages += [user(source.phrase(question)), assistant(answer)]
    asked = source.random.sample(range(len(facts)), source.number(1, len(facts)))
    if source.training and source.chance(0.15):
        return in_one_breath(source, facts, values, told)
    for i in asked:
        end = source.pick(["?", "?", ", please?"])
        messages += [user(source.phrase(facts[i][2]) + end),
                     assistant(facts[i][3].format(v=values[i]))]
    return Item("recall", messages, check={"contains": [values[asked[-1]]]},
                hint=f"I was told: {told[asked[-1]]}.")


def in_one_breath(source: Source, facts: list[Any], values: list[str], told: list[str]) -> Item:
    """Facts and a question in one message."""
    i = source.number(0, len(facts) - 1)
    text = ". ".join(told) + ". " + source.phrase(facts[i][2]) + "?"
    return Item("recall", [user(text), assistant(facts[i][3].format(v=values[i]))],
                check={"contains": [values[i]]}, hint=f"I was told: {told[i]}.")


def drill(source: Source) -> Item:
    """Dense copying: pairs of made-up words are told, then all are asked."""
    count = source.number(2, 6)
    keys = source.distinct(count, lambda: source.made_up(0.6))
    values = [source.made_up(0.6) for _ in keys]
    form = source.pick(["{k} is {v}", "{k}: {v}", "the {k} is {v}", "{k} means {v}", "{k} = {v}"])
    told = source.pick([". ", ", ", "; "]).join(
        form.format(k=key, v=value) for key, value in zip(keys, values))
    messages: list[dict[str, Any]] = []
    order = source.random.sample(range(count), count)
    ask = source.pick(["{k}?", "What is {k}?", "And {k}?", "Tell me {k}."])
    for n, i in enumerate(order):
        question = ask.format(k=keys[i])
        messages += [user(f"{capital(told)}. {question}" if n == 0 else question),
                     assistant(capital(form.format(k=keys[i], v=values[i])) + "."
                               if source.chance(0.8) else values[i])]
    return Item("drill", messages, check={"contains": [values[order[-1]]]})


def repeat(source: Source) -> Item:
    """Says words again as they were, which is the first thing a copying model learns."""
    words = [source.made_up(0.3) for _ in range(source.number(1, 8))]  # odd pieces, above all
    text = " ".join(words)
    ask = source.phrase("(Repeat|Say|Write|Copy|Say again|Repeat after me)(: | this: )")
    return Item("repeat", [user(ask + text), assistant(text)], check={"exact": text})


def story(source: Source) -> Item:
    """A few simple sentences about who and what the user named."""
    who, what, where = source.name(), source.pick(ANIMALS), source.made_up().capitalize()
    thing, colour = source.pick(THINGS), source.pick(COLOURS)
    ask = source.phrase("(Tell me|Write|I want|Give me) (a story|a short story|a tale) about ")
    text = source.phrase(
        f"(Once there was|There was once|Long ago there lived) a {what} called {who}. "
        f"(It lived|The {what} lived) in {where}. (One day|One morning|Then) {who} "
        f"(found|saw|lost|bought) a {colour} {thing}. (It was very|It was) "
        "(happy|sad|glad|proud). (The end.|That is all.)")
    return Item("story", [user(f"{ask}a {what} called {who} in {where} with a {colour} {thing}."),
                          assistant(text)], check={"contains": [who, where]})
