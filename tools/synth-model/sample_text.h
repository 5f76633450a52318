// SPDX-License-Identifier: Apache-2.0
/* Written for this program: the text from which the small vocabulary is learned. */
#ifndef SYNTH_SAMPLE_TEXT_H
#define SYNTH_SAMPLE_TEXT_H

static const char sample_text[] =
    "The river was low that summer, and the children could walk across it on the stones. In the "
    "morning they went to the other side with bread and apples, and in the evening they came back "
    "with their pockets full of shells. Nobody asked them what they had been doing there. It was "
    "enough that they were home before dark and that they had something to say at the table.\n"
    "\n"
    "There is a question that every reader of a long book will ask at some point: why does the "
    "author not say what happened? The answer, I think, is that the author does not know. People "
    "write in order to find out. When they have found out, they stop, and the book is over. That "
    "is also the reason why the best pages are often in the middle and not at the end.\n"
    "\n"
    "To make the bread you need flour, water, salt and time. Mix the flour with the water and let "
    "it stand for an hour. Then add the salt, work it through, and leave the dough in a warm "
    "place until it is twice as large. Do not hurry. The oven should be very hot when the bread "
    "goes in, and there should be some steam. After forty minutes it will be done; knock on it "
    "from below, and if it sounds hollow, take it out.\n"
    "\n"
    "A computer does what it is told, which is its strength and also its weakness. You tell it "
    "to read a number, to add another number, to compare the result with a third one, and to "
    "go on from there. Everything that it can do is made from such small steps. The art is in "
    "putting them together so that another person, who reads the program later, can see at once "
    "what was meant and can trust that it will do this and nothing else.\n"
    "\n"
    "for (int i = 0; i < n; i++) {\n    sum += values[i];\n}\nreturn sum / n;\n"
    "\n"
    "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n"
    "\n"
    "When the train had left the station, she opened her bag and looked for the letter. It was "
    "not there. She remembered the kitchen, the table, the cup of coffee that had gone cold while "
    "she was reading, and then she knew where it was. She could have laughed. All the way from "
    "the house to the station she had held on to the bag as if somebody wanted to take it from "
    "her, and the one thing that mattered was lying beside the cup, where anyone could read it. "
    "The man across from her asked whether something was wrong. \"Nothing,\" she said. \"I have "
    "only forgotten what I wanted to forget.\"\n"
    "\n"
    "The weather will be fine over the weekend, with some clouds in the north and light wind from "
    "the west. Temperatures will be between ten and twenty degrees. On Monday there may be rain "
    "in the mountains. Please look at the forecast again before you go, and tell other people "
    "where you are going and when you will come back.\n";

#endif
