"""The bundled tasks: plain declarations, one per suite file of the same name.

``few_shot`` never repeats a question of the suite. ``priors`` are qualities measured by ``benchmarks/suite_quality.py``
(greedy, all of the suite's questions), rounded to .05: what is believed of a model until it was measured here.
"""

from __future__ import annotations

from ..core.tasks import Task

TASKS: tuple[Task, ...] = (
    Task(
        name="sentiment",
        suite="sentiment",
        description="Is a review positive or negative? One word.",
        max_tokens=8,
        few_shot=(
            (
                "Is this review positive or negative?\nReview: The jacket fits perfectly and feels great.",
                "positive",
            ),
            (
                "Is this review positive or negative?\nReview: The zip broke and the shop refused to help.",
                "negative",
            ),
            (
                "Is this review positive or negative?\nReview: A dreary film that wasted my evening.",
                "negative",
            ),
            (
                "Is this review positive or negative?\nReview: Friendly staff and a delicious breakfast.",
                "positive",
            ),
        ),
        priors={},
    ),
    Task(
        name="topic",
        suite="topic",
        description="One of five topics for a sentence.",
        max_tokens=8,
        few_shot=(
            (
                "Topic of the sentence: sports, food, travel, technology, health?\nSentence: The referee sent the captain off the pitch.",
                "sports",
            ),
            (
                "Topic of the sentence: sports, food, travel, technology, health?\nSentence: The pharmacy ran out of cough syrup.",
                "health",
            ),
            (
                "Topic of the sentence: sports, food, travel, technology, health?\nSentence: Fry the onions slowly in butter.",
                "food",
            ),
            (
                "Topic of the sentence: sports, food, travel, technology, health?\nSentence: The app crashes when the network is slow.",
                "technology",
            ),
            (
                "Topic of the sentence: sports, food, travel, technology, health?\nSentence: Our flight to the coast was delayed.",
                "travel",
            ),
        ),
        priors={},
    ),
    Task(
        name="intent",
        suite="intent",
        description="What a short request to an assistant wants: one of five intents.",
        max_tokens=8,
        few_shot=(
            (
                "Intent of the request: alarm, weather, music, message, shopping?\nRequest: Is it warm in the garden?",
                "weather",
            ),
            (
                "Intent of the request: alarm, weather, music, message, shopping?\nRequest: Play something lively.",
                "music",
            ),
            (
                "Intent of the request: alarm, weather, music, message, shopping?\nRequest: Wake me before sunrise.",
                "alarm",
            ),
            (
                "Intent of the request: alarm, weather, music, message, shopping?\nRequest: Tell Max that I am on my way.",
                "message",
            ),
            (
                "Intent of the request: alarm, weather, music, message, shopping?\nRequest: Buy two bags of rice.",
                "shopping",
            ),
        ),
        priors={},
    ),
    Task(
        name="language",
        suite="language",
        description="Which of five languages a sentence is written in.",
        max_tokens=8,
        few_shot=(
            (
                "Which language is this: German, French, Spanish, Italian, Polish?\nText: Wo hast du die Äpfel gekauft?",
                "German",
            ),
            (
                "Which language is this: German, French, Spanish, Italian, Polish?\nText: J'aime marcher sous la pluie.",
                "French",
            ),
            (
                "Which language is this: German, French, Spanish, Italian, Polish?\nText: Gdzie jest mój parasol?",
                "Polish",
            ),
            (
                "Which language is this: German, French, Spanish, Italian, Polish?\nText: El niño juega en la calle.",
                "Spanish",
            ),
            (
                "Which language is this: German, French, Spanish, Italian, Polish?\nText: Stasera mangiamo fuori.",
                "Italian",
            ),
        ),
        priors={},
    ),
    Task(
        name="translation",
        suite="translation",
        description="One foreign word into English.",
        max_tokens=8,
        few_shot=(
            (
                "Translate from German to English: Apfel",
                "apple",
            ),
            (
                "Translate from Spanish to English: silla",
                "chair",
            ),
            (
                "Translate from French to English: lune",
                "moon",
            ),
            (
                "Translate from Italian to English: sole",
                "sun",
            ),
        ),
        priors={},
    ),
    Task(
        name="odd-one-out",
        suite="odd-one-out",
        description="The word of four that does not belong.",
        max_tokens=8,
        few_shot=(
            (
                "Which word does not belong: desk, chair, mouse, shelf?",
                "mouse",
            ),
            (
                "Which word does not belong: soap, duck, goose, swan?",
                "soap",
            ),
            (
                "Which word does not belong: pink, white, yellow, barn?",
                "barn",
            ),
            (
                "Which word does not belong: soup, brick, salad, steak?",
                "brick",
            ),
        ),
        priors={},
    ),
    Task(
        name="reading",
        suite="reading",
        description="Yes or no from one or two sentences.",
        max_tokens=8,
        few_shot=(
            (
                "Paul sold his boat and bought a tent.\nQuestion: Did Paul buy a tent? Answer yes or no.",
                "yes",
            ),
            (
                "Paul sold his boat and bought a tent.\nQuestion: Does Paul still own the boat? Answer yes or no.",
                "no",
            ),
            (
                "The shop opens at nine.\nQuestion: Is the shop open at seven? Answer yes or no.",
                "no",
            ),
            (
                "Eva is taller than Kim.\nQuestion: Is Kim shorter than Eva? Answer yes or no.",
                "yes",
            ),
        ),
        priors={},
    ),
    Task(
        name="extraction",
        suite="extraction",
        description="A person and a city out of a sentence, as JSON.",
        max_tokens=40,
        few_shot=(
            (
                "Extract name and city as JSON.\nText: Peter Klein lives in Munich.",
                '{"name": "Peter Klein", "city": "Munich"}',
            ),
            (
                "Extract name and city as JSON.\nText: From Seoul came a card by Jina Park.",
                '{"name": "Jina Park", "city": "Seoul"}',
            ),
            (
                "Extract name and city as JSON.\nText: The doctor in Malmo is Eva Berg.",
                '{"name": "Eva Berg", "city": "Malmo"}',
            ),
            (
                "Extract name and city as JSON.\nText: Omar Said sent two boxes to Tunis.",
                '{"name": "Omar Said", "city": "Tunis"}',
            ),
        ),
        priors={},
    ),
    Task(
        name="boolean",
        suite="boolean",
        description="The value of a short logical expression.",
        max_tokens=8,
        few_shot=(
            (
                "What is True and not False? Answer True or False.",
                "True",
            ),
            (
                "What is False or False? Answer True or False.",
                "False",
            ),
            (
                "What is not True or False? Answer True or False.",
                "False",
            ),
            (
                "What is not False and True? Answer True or False.",
                "True",
            ),
        ),
        priors={},
    ),
    Task(
        name="arithmetic",
        suite="arithmetic",
        description="Sums, differences and products of small numbers.",
        max_tokens=8,
        few_shot=(
            (
                "What is 6 + 7?",
                "13",
            ),
            (
                "What is 30 - 12?",
                "18",
            ),
            (
                "What is 4 * 5?",
                "20",
            ),
            (
                "What is 25 + 14?",
                "39",
            ),
        ),
        priors={},
    ),
)
