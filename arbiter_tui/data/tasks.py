"""The bundled tasks: plain declarations, one per suite file of the same name; and ``general``, which has none.

Worked examples never repeat a question of the suite; they take the same form. ``priors`` are qualities measured by
``benchmarks/suite_quality.py`` (greedy, every question of the suite), rounded to .05 and capped at .95, because some
forty questions prove no certainty: what is believed of a model until it was measured on the machine at hand.

The wordings of sentiment, topic, intent, reading, boolean and arithmetic were chosen among several with these same
questions in view, so their figures flatter the wording; those of language were measured on questions that the choice
never saw; translation, extraction and opposite were worded once. Two models less than .2 apart are not told apart by
forty questions. Reading asks for a word or two: a whole sentence counts as wrong there even if the word is in it.
"""

from __future__ import annotations

from ..core.tasks import Task


def _shown(form: str, *pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((form.format(asked), said) for asked, said in pairs)


def _priors(smollm2: float, gemma3: float) -> dict[str, float]:
    return {"smollm2-135m": smollm2, "gemma3-270m": gemma3}


TASKS: tuple[Task, ...] = (
    Task(
        name="sentiment",
        suite="sentiment",
        description="Is a review positive or negative?",
        max_tokens=4,
        few_shot=_shown(
            "Classify the sentiment of this review as positive or negative. Answer with one word.\n"
            "Review: {}\nSentiment:",
            ("The jacket fits perfectly and feels great.", "positive"),
            ("The zip broke and the shop refused to help.", "negative"),
            ("Friendly staff and a delicious breakfast.", "positive"),
            ("A dreary film that wasted my evening.", "negative"),
        ),
        priors=_priors(0.5, 0.95),
    ),
    Task(
        name="topic",
        suite="topic",
        description="Which of five topics a sentence is about",
        max_tokens=6,
        few_shot=_shown(
            "Choose the topic of the sentence from: sports, food, travel, technology, health.\nSentence: {}\nTopic:",
            ("The referee sent the captain off the pitch.", "sports"),
            ("The pharmacy ran out of cough syrup.", "health"),
            ("Fry the onions slowly in butter.", "food"),
            ("The app crashes when the network is slow.", "technology"),
            ("Our flight to the coast was delayed.", "travel"),
        ),
        priors=_priors(0.3, 0.75),
    ),
    Task(
        name="intent",
        suite="intent",
        description="What a short request to an assistant wants, one of five",
        max_tokens=6,
        few_shot=_shown(
            "Request: {}\nIntent:",
            ("Is it warm in the garden?", "weather"),
            ("Play something lively.", "music"),
            ("Wake me before sunrise.", "alarm"),
            ("Tell Max that I am on my way.", "message"),
            ("Buy two bags of rice.", "shopping"),
        ),
        priors=_priors(0.35, 0.6),
    ),
    Task(
        name="language",
        suite="language",
        description="The language a sentence is written in, one of five",
        max_tokens=6,
        few_shot=_shown(
            "{}",
            ("Wo hast du die Äpfel gekauft?", "German"),
            ("J'aime marcher sous la pluie.", "French"),
            ("Gdzie jest mój parasol?", "Polish"),
            ("El niño juega en la calle.", "Spanish"),
            ("Stasera mangiamo fuori.", "Italian"),
        ),
        priors=_priors(0.95, 0.55),
    ),
    Task(
        name="translation",
        suite="translation",
        description="One German, French, Spanish or Italian word into English",
        max_tokens=8,
        few_shot=_shown(
            "Translate from {}",
            ("German to English: Apfel", "apple"),
            ("Spanish to English: silla", "chair"),
            ("French to English: lune", "moon"),
            ("Italian to English: sole", "sun"),
        ),
        priors=_priors(0.15, 0.9),
    ),
    Task(
        name="reading",
        suite="reading",
        description="A question about one sentence, answered from it in a word or two",
        max_tokens=12,
        few_shot=(
            ("Lena grows tomatoes on her balcony.\nWhat does Lena grow?", "tomatoes"),
            ("The judge arrived by train on Friday.\nOn which day did the judge arrive?", "Friday"),
            ("A mouse ate the cheese in the cellar.\nWhich animal ate the cheese?", "mouse"),
            ("Max gave the map to Olga.\nWho has the map now?", "Olga"),
        ),
        priors=_priors(0.2, 0.7),
    ),
    Task(
        name="extraction",
        suite="extraction",
        description="A person's name and a city out of a sentence, as JSON",
        max_tokens=40,
        few_shot=_shown(
            "Extract name and city as JSON.\nText: {}",
            ("Peter Klein lives in Munich.", '{"name": "Peter Klein", "city": "Munich"}'),
            ("From Seoul came a card by Jina Park.", '{"name": "Jina Park", "city": "Seoul"}'),
            ("The doctor in Malmo is Eva Berg.", '{"name": "Eva Berg", "city": "Malmo"}'),
            ("Omar Said sent two boxes to Tunis.", '{"name": "Omar Said", "city": "Tunis"}'),
        ),
        priors=_priors(0.9, 0.95),
    ),
    Task(
        name="opposite",
        suite="opposite",
        description="The opposite of a word",
        max_tokens=6,
        few_shot=_shown(
            "What is the opposite of {}?", ("hot", "cold"), ("up", "down"), ("fast", "slow"), ("arrive", "depart")
        ),
        priors=_priors(0.6, 0.8),
    ),
    Task(
        name="boolean",
        suite="boolean",
        description="The value of a short logical expression, True or False",
        max_tokens=4,
        few_shot=_shown(
            "{} is",
            ("True and not False", "True"),
            ("False or False", "False"),
            ("not True or False", "False"),
            ("not False and True", "True"),
        ),
        priors=_priors(0.55, 0.35),
    ),
    Task(
        name="arithmetic",
        suite="arithmetic",
        description="Sums and differences of small numbers",
        max_tokens=4,
        few_shot=_shown("{} =", ("6 + 7", "13"), ("15 - 4", "11"), ("3 + 5", "8"), ("12 - 6", "6")),
        priors=_priors(0.1, 0.25),
    ),
    Task(
        name="general",
        description="Whatever a client asks that names no task",
    ),
)
