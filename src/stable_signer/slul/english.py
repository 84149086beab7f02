"""English as the rule path sees it: closed word classes, contractions, senses and names, all as tables.

Words are lower case. What a table maps to is a gloss of `weights/glosses.csv`.
"""

from __future__ import annotations

from functools import lru_cache

import lemminflect


def words(text: str) -> frozenset[str]:
    """The words of `text`."""
    return frozenset(text.split())


ARTICLES = words("a an the")
BE = words("am is are was were be been being 'm 're ain isn")
PAST_BE = words("was were")
DO = words("do does did")
HAVE = words("have has had having 've")
NEGATIONS = words("not n't")
MODALS = {
    "can": "CAN",
    "could": "CAN",
    "will": "WILL",
    "shall": "WILL",
    "'ll": "WILL",
    "should": "SHOULD",
    "ought": "SHOULD",
    "must": "MUST",
    "may": "MAYBE",
    "might": "MAYBE",
    "would": "",
    "'d": "",
}
"""Modal verbs; `would` alone is grammar and has no sign."""
SUBJECTS = words("i you he she it we they who")
PRONOUNS = {
    "i": "IX-1",
    "me": "IX-1",
    "you": "IX-2",
    "ya": "IX-2",
    "he": "IX-3",
    "she": "IX-3",
    "it": "IX-3",
    "him": "IX-3",
    "we": "IX-1-PL",
    "us": "IX-1-PL",
    "they": "IX-3-PL",
    "them": "IX-3-PL",
    "myself": "SELF-1",
    "yourself": "SELF-2",
    "himself": "SELF-3",
    "herself": "SELF-3",
    "itself": "SELF-3",
    "ourselves": "SELF-1-PL",
    "yourselves": "SELF-2-PL",
    "themselves": "SELF-3-PL",
}
POSSESSIVES = {
    "my": "POSS-1",
    "your": "POSS-2",
    "his": "POSS-3",
    "her": "POSS-3",
    "its": "POSS-3",
    "our": "POSS-1-PL",
    "their": "POSS-3-PL",
    "mine": "POSS-1",
    "yours": "POSS-2",
    "hers": "POSS-3",
    "ours": "POSS-1-PL",
    "theirs": "POSS-3-PL",
}
DETERMINERS = words("""
    this that these those some any every each all both another no either neither such many much few
""")
WH = {
    "what": "WHAT",
    "who": "WHO",
    "whom": "WHO",
    "whose": "WHO",
    "where": "WHERE",
    "when": "WHEN",
    "why": "WHY",
    "how": "HOW",
    "which": "WHICH",
}
WH_PHRASES = words("WHATS-UP HOW-MANY HOW-MUCH HOW-OLD WHAT-FOR WHY-NOT DO-DO")
CONJUNCTIONS = words("and but or so nor then plus")
CONDITIONALS = words("if unless")
TIME_CLAUSES = words("when while once whenever")
SUBORDINATORS = words("because although though since until till before after whether")
PREPOSITIONS = words("""
    in on under over behind between with without from for about against near around across through
    before after until since during inside outside above below beside than like into onto along among
    off up down out past within toward towards beyond except
""")
SILENT_PREPOSITIONS = words("of at by to as upon per via")
"""Prepositions that signers seldom sign: of 7 of 101, at 4 of 90, to 36 of 386 sentences of NCSLGR."""
PREPOSITION_SIGNS = {
    "to": "TO",
    "into": "INSIDE",
    "onto": "ON",
    "among": "BETWEEN",
    "within": "INSIDE",
    "like": "SAME",
    "past": "PAST",
    "beyond": "OVER",
}
INTERJECTIONS = words("""
    yes no yeah yep nope hello hi hey bye goodbye please thanks okay ok wow oh sorry well ah aha oops
    hmm um uh sure right
""")
GRAMMAR_WORDS = (
    ARTICLES
    | BE
    | DO
    | HAVE
    | SILENT_PREPOSITIONS
    | words("""
    would 'd 's it there that which who whom whose let and in on at during for so ever when while once s
    t d m re ll ve don doesn didn isn aren wasn weren won couldn wouldn shouldn haven hasn hadn ain used
    take takes took taking ago years year old not get gets got yet soon what whenever one ones one let lets
""")
)
"""Words that may stand without a sign of their own because word order, the face or another sign says them."""

CONTRACTIONS = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "will not",
    "ain't": "is not",
    "let's": "us",
    "gonna": "going to",
    "wanna": "want to",
    "gotta": "have to",
    "y'all": "you all",
    "kinda": "a little",
    "gimme": "give me",
    "lemme": "let me",
    "dunno": "do not know",
    "'cause": "because",
    "cuz": "because",
    "whatcha": "what are you",
}

TIME_WORDS = words("""
    yesterday today tomorrow now tonight recently monday tuesday wednesday thursday friday saturday
    sunday mondays tuesdays wednesdays thursdays fridays saturdays sundays daily weekly monthly yearly
    someday currently nowadays everyday midnight noon
""")
TIME_NOUNS = words("""
    day week month year hour minute morning afternoon evening night weekend summer winter spring autumn
    fall century decade weekday moment season
""")
TIME_MODIFIERS = words("last next this every each early late all")
TIME_GLOSSES = words("""
    LAST-NIGHT LAST-WEEK LAST-YEAR LAST-MONTH NEXT-WEEK NEXT-MONTH NEXT-YEAR EVERYDAY EVERY-WEEK EVERY-
    MONTH EVERY-YEAR EVERY-MONDAY EVERY-TUESDAY THIS-MORNING THIS-AFTERNOON THIS-EVENING THIS-WEEK THIS-
    MONTH THIS-YEAR LONG-AGO NOW TONIGHT ALL-DAY ALL-NIGHT ALL-MORNING RECENT
""")
WEATHER = words("""
    rain snow cold hot warm cool windy sunny cloudy late early dark freezing chilly humid stormy foggy
    raining snowing noon midnight monday tuesday wednesday thursday friday saturday sunday
""")
LIGHT_VERBS = {
    "take": words("""
    shower bath nap walk break rest test exam trip look seat picture photo class
"""),
    "have": words("fun breakfast lunch dinner shower bath look"),
    "make": words("decision mistake plan"),
}
"""Verbs that say nothing beside such an object: "take a shower" is SHOWER."""
PLACES = words("""
    school work bed church college camp market town court jail class lunch dinner breakfast bat
""")
"""Nouns that go with "to" without an article, though they could be verbs."""
SPEECH_VERBS = words("""
    say tell think know believe hope feel hear see understand remember mean explain promise wish guess
    suppose agree show read learn find notice decide worry sure glad happy sorry afraid
""")
ASKING_VERBS = words("""
    know ask tell wonder remember forget see understand learn explain decide show care find
""")
DEGREE = words("very really so too extremely quite pretty")

AGENTS = words("""
    driver writer reader runner swimmer speaker listener learner buyer seller owner winner loser helper
    believer designer drinker smoker thinker traveler traveller gambler climber catcher diver rider
    voter killer builder cleaner caller dreamer fighter signer user supporter founder producer creator
    inventor editor survivor investor donor educator instructor translator lover worker follower cooker
    banker beginner interviewer supervisor organizer farmer painter performer teacher dancer singer
    player skater skier golfer bowler
""")
FIRST_NAMES = words("""
    mark bill rose grace hope joy rob jack pat art frank dawn faith chip dean gene grant guy jean lance
    max miles nick ray rich robin ruby sandy skip sue victor wade ward will may june april august summer
    daisy lily amber crystal ivy holly heather penny charity drew bob dick don ed josh kitty olive peg
    pearl pierce rusty sally star stone sunny tate terry tim tom tony tuck violet wally eve angel dusty
    earl hunter mason carter parker taylor cooper page paige harper bishop butler fisher singer young
    king baker cook brown green white black gray grey gold silver short long little rice bush ford
""")
MONTH_LIKE = words("may june april august march")

SENSES = {
    ("like", "PREP"): "SAME",
    ("watch", "NOUN"): "WRISTWATCH",
    ("mean", "ADJ"): "CRUEL",
    ("watch", "VERB"): "WATCH",
    ("kind", "ADJ"): "NICE",
    ("fall", "NOUN"): "AUTUMN",
    ("fall", "VERB"): "FALL-DOWN",
    ("train", "VERB"): "PRACTICE",
    ("play", "NOUN"): "THEATER",
    ("present", "NOUN"): "GIFT",
    ("present", "ADJ"): "NOW",
    ("close", "ADJ"): "NEAR",
    ("close", "ADV"): "NEAR",
    ("last", "VERB"): "CONTINUE",
    ("book", "VERB"): "APPOINTMENT",
    ("state", "VERB"): "SAY",
    ("break", "NOUN"): "REST",
    ("well", "ADV"): "GOOD",
    ("well", "ADJ"): "HEALTH",
    ("pretty", "ADV"): "VERY",
    ("so", "ADV"): "VERY",
    ("own", "VERB"): "HAVE",
    ("fire", "VERB"): "DISMISS",
    ("left", "VERB"): "LEAVE",
    ("get", "BECOME"): "BECOME",
    ("right", "ADV"): "RIGHT",
    ("too", "ADV"): "ALSO",
    ("one", "PRON"): "THING",
    ("drink", "NOUN"): "DRINK",
    ("work", "NOUN"): "WORK",
    ("bat", "NOUN"): "BASEBALL",
    ("charge", "VERB"): "COST",
    ("leave", "VERB"): "LEAVE",
    ("sign", "VERB"): "SIGN",
    ("long", "ADV"): "LONG",
    ("call", "VERB"): "PHONE",
    ("spring", "NOUN"): "SPRING",
    ("second", "ADJ"): "SECOND",
    ("miss", "NOUN"): "",
    ("just", "ADV"): "ONLY",
    ("move", "NOUN"): "MOVE",
    ("light", "ADJ"): "LIGHT",
    ("even", "ADV"): "",
    ("wish", "NOUN"): "WISH",
    ("back", "ADV"): "BACK-LOAN",
    ("patient", "NOUN"): "",
    ("ring", "NOUN"): "",
    ("fly", "VERB"): "AIRPLANE",
    ("second", "NOUN"): "",
    ("type", "NOUN"): "CATEGORY",
    ("letter", "NOUN"): "LETTER",
    ("park", "NOUN"): "PARK",
    ("order", "VERB"): "ORDER",
    ("save", "VERB"): "SAVE",
}
"""(lemma, part of speech) -> the gloss of that sense; "" when no sign has it: the word is spelled."""

# Derived forms: (ending, what replaces it), tried in order when a word and its lemmas are unknown.
SUFFIXES = (
    ("ily", "y"),
    ("ically", "ic"),
    ("ally", "al"),
    ("ly", ""),
    ("ly", "le"),
    ("iness", "y"),
    ("ness", ""),
    ("ment", ""),
    ("ation", "e"),
    ("ation", ""),
    ("ion", ""),
    ("ion", "e"),
    ("ing", ""),
    ("ing", "e"),
    ("able", ""),
    ("able", "e"),
    ("y", ""),
    ("ful", ""),
    ("ed", ""),
    ("ist", ""),
    ("ity", ""),
    ("ity", "e"),
    ("s", ""),
)
NEGATIVE_PREFIXES = ("un", "in", "im", "dis", "non", "non-", "ir", "il")

AUXILIARIES = BE | DO | HAVE | frozenset(MODALS)
CLOSED = (
    ARTICLES | AUXILIARIES | NEGATIONS | DETERMINERS | CONJUNCTIONS | CONDITIONALS | TIME_CLAUSES
    | SUBORDINATORS | PREPOSITIONS | SILENT_PREPOSITIONS | INTERJECTIONS | TIME_WORDS | frozenset(WH)
    | frozenset(PRONOUNS) | frozenset(POSSESSIVES)
)  # fmt: skip
"""Words that are never names, unless FIRST_NAMES has them."""


# The same without the apostrophe, as people type them; "well", "hell", "were" and the like are words.
CONTRACTIONS |= {
    f"{verb}nt": f"{verb} not"
    for verb in words("do does did is are was were have has had would should could")
}
CONTRACTIONS |= {"cant": "can not", "im": "i 'm", "ive": "i 've", "youre": "you 're", "thats": "that 's"}


@lru_cache(maxsize=20_000)
def lemmas(word: str) -> dict[str, tuple[str, ...]]:
    """Parts of speech that `word` may be (NOUN, VERB, ADJ, ADV ...) and its lemmas as each."""
    return lemminflect.getAllLemmas(word)


def verb_form(word: str) -> str:
    """ "base", "third", "ing", "past" (also the participle) or "" when `word` is no verb form."""
    bases = lemmas(word).get("VERB", ())
    if not bases:
        return ""
    if word == bases[0]:  # "saw" is the past of "see" before it is the tool
        return "base"
    if word.endswith("ing"):
        return "ing"
    return "third" if word.endswith("s") else "past"


def is_verb(word: str, verb: str) -> bool:
    """Whether `word` is a form of the verb."""
    return verb in lemmas(word).get("VERB", ())


def is_plural(word: str) -> bool:
    """Whether a noun is the plural of another word."""
    return lemmas(word).get("NOUN", (word,))[0] != word


def is_time_noun(word: str) -> bool:
    """Whether `word` is a noun that measures time, in the singular or plural."""
    return bool(TIME_NOUNS & {word, *lemmas(word).get("NOUN", ())})
