"""What the corpus voices read: our own sentences, rich in lip sounds, and endless small ones drawn from a grammar."""

import random
from collections.abc import Iterator
from typing import Final

SENTENCES: Final = (
    "Bob made a big pot of plum jam for Mum and Pam.",
    "Would you move the blue boat a few feet to the west?",
    "Five very brave voices have vowed to leave before evening.",
    "Who threw the new shoes through the room?",
    "My mother put the map beside the lamp, but maybe Ben moved it.",
    "We saw a wolf with white paws walk over the wooden bridge.",
    "She sells cheap shirts and shiny shoes in a small shop.",
    "Hello, can you hear me? Good. Let us begin.",
    "Peter packed a pair of purple pumps, a map and a cup.",
    "Father calmly parked the car far from the market.",
    "Please keep these three green leaves; each means peace.",
    "Oh no, nobody told Joe to go home alone on the road.",
    "The boy enjoyed the noise of the oil boiling in the foil.",
    "How now, brown cow? Out of the house without a sound.",
    "Thank you for waiting. I will be with you in a moment.",
    "Maybe it is time to stop. Hmm. No, I mean it.",
    "Every apple and apricot had an average amount of sap.",
    "Half of the staff laughed at the rough, tough cough.",
    "Watch the wide water. We will wait while you wash.",
    "Put the good book on the wooden hook and look.",
    "Judge George joined the jury in June and enjoyed it.",
    "Mm, that smells warm. Is it bread, butter and pepper?",
    "A measure of treasure gives pleasure at your leisure.",
    "Seven silver spoons, six soft socks, zero sizes.",
    "Nothing thin or thick could breathe in there, though.",
    "Yes. No. Maybe. Of course. What? Why? Who? Where?",
    "One two three four five six seven eight nine ten eleven twelve.",
    "I am calling about the meeting on Monday; is Wednesday better?",
    "If you speak quickly, people may miss a word or two.",
    "Let me explain what happened before you make up your mind.",
)

_SUBJECTS: Final = (
    *("my brother", "the woman", "a famous baker", "Bob", "every farmer", "our new boss", "the wise wolf", "Emma"),
    *("some people", "the whole team", "a young boy", "his mother", "the mayor of the village", "nobody", "Jim"),
    *("the pilot", "a poor fool", "the chef", "Father", "your best friend", "the judge", "Victoria", "an old man"),
)
_VERBS: Final = (
    *("moved", "brought", "put away", "found", "wants to buy", "will paint", "threw", "could never open", "forgot"),
    *("made", "has hidden", "would love", "measured", "pushed", "showed us", "gave up", "waved at", "bumped into"),
    *("washed", "chose", "used to keep", "may borrow", "broke", "laughed about", "drew", "watched over", "joined"),
)
_OBJECTS: Final = (
    *("a small blue boat", "the map", "five warm loaves", "the purple umbrella", "a cup of coffee", "my old watch"),
    *("the wooden bowl", "two large apples", "a piece of the puzzle", "the front window", "a few good books"),
    *("the whole album", "some fresh cheese", "an empty room", "the moon", "your shoes", "that awful noise"),
    *("the heavy box", "a bottle of perfume", "the garage", "three thin leaves", "a very big problem", "the phone"),
)
_ENDS: Final = (
    *("before breakfast", "in the evening", "by the river", "for a while", "without a word", "on Wednesday", "again"),
    *("from the top of the bridge", "with both hands", "as far as I know", "because of the storm", "at home", "now"),
    *("over the weekend", "to make room for more", "in a big way", "through the window", "very soon", "maybe"),
)
_OPENERS: Final = ("", "", "", "well, ", "you know, ", "I think ", "so ", "but ", "and then ", "oh, ", "in fact, ")


def sentences(seed: int) -> Iterator[str]:
    """An endless, repeatable stream of sentences to read."""
    draw = random.Random(seed)
    while True:
        if draw.random() < 0.25:
            yield draw.choice(SENTENCES)
        else:
            parts = (draw.choice(_SUBJECTS), draw.choice(_VERBS), draw.choice(_OBJECTS), draw.choice(_ENDS))
            sentence = draw.choice(_OPENERS) + " ".join(parts)
            yield sentence[0].upper() + sentence[1:] + draw.choice((".", ".", "?", "!"))
