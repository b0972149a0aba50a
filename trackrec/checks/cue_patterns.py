"""The words by which a text says that somebody likes something, and how much: cues, connectors, numbers.

English, general over domains: nothing here names a film or a genre. Another language or a house style adds its own lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from trackrec.users.counts import FAME as FAME_WORDS
from trackrec.users.counts import LEVELS

Sign = Literal[-1, 1]
"""1: likes, -1: does not."""


@dataclass(frozen=True)
class Cue:
    """What a cue says of the names that follow it (or, ``before``, of those that it follows)."""

    sign: Sign
    relative: bool = False
    """Whether it compares with the user's own average, as "fonder of" does, beside plain "likes"."""
    before: bool = False
    seen: bool = False
    """It only says that the user knows the thing: "watched"."""
    often: bool = False
    """It says that the user goes for such things more than everybody does: "watches many"."""


_DO = r"(?:(?:do|does|did|have|has|had|would|could|can|is|are|was|were|be|been)\b ?)"
_NOT = r"(?:not|never|n[o']t|n’t|rarely|hardly|seldom|neither)"
_VERBS = r"(?:s|d|es|ed|ing)?"

_CUES: tuple[tuple[str, Cue], ...] = (
    # What is gone for. Before the likes: it says nothing of liking.
    (
        r"(?:watche?|listen|read|buy|choose|pick|play|hear)s? (?:to )?(?:an? (?:great )?(?:lot|deal) of|lots of|plenty of|many)",
        Cue(1, often=True),
    ),
    # What is not liked, relative to the rest. Before the likes, whose words are inside them.
    (r"(?:care[sd]?|caring|feel\w*|felt) (?:much |far |a lot |rather )?less (?:for|about)", Cue(-1, True)),
    (
        r"(?:harder|tougher|more difficult|hard|difficult) to (?:please|impress|win over)(?: with| by| when it comes to)?",
        Cue(-1, True),
    ),
    (
        r"(?:cool|cooler|colder|cold|lukewarm|wary|warier|sceptical|skeptical|critical|stricter|harsher|tougher|tepid|lower down)(?: (?:on|towards?|about|of|with))",
        Cue(-1, True),
    ),
    (
        r"less (?:\w+ )?(?:keen on|fonder of|fond of|into|interested in|drawn to|taken (?:with|by)|impressed (?:by|with)|enthusiastic about|happy with|convinced by|inclined to(?:wards)?|partial to|sure of|prefers?|liked?)",
        Cue(-1, True),
    ),
    (
        r"(?:not|never) (?:as|so|quite as|nearly as) (?:keen on|fond of|happy with|interested in|taken with|drawn to|impressed by|positive about|generous (?:to|with))",
        Cue(-1, True),
    ),
    (
        r"(?:rate|score|mark|grade)[sd]?(?= [^.;]{1,120}? (?:lower|worse|less|poorly|badly|low)\b)",
        Cue(-1, True),
    ),
    (r"(?:prefer|like|enjoy|rate|favou?r|appreciate)s? less(?:er)?:?", Cue(-1, True)),
    (r"(?:like|enjoy|rate|appreciate)[sd]?(?= [^.;,]{1,80}? less\b)", Cue(-1, True)),
    (r"(?:avoid|shun|steer clear of|stay away from|shy away from|skip)" + _VERBS, Cue(-1, True)),
    (
        r"(?:thinks?|thought) (?:much |far )?less (?:well |highly )?of|(?:thinks?|thought) (?:poorly|little|badly|nothing|no better) of",
        Cue(-1, True),
    ),
    (
        r"(?:respond|react|warm|take)(?:s|ed)? (?:less|worse)(?: \w+)? to|(?:less|lower|little|weaker) (?:enthusiasm|interest|love|appetite|taste|patience|liking|time|fondness) (?:for|in)",
        Cue(-1, True),
    ),
    # Plainly not liked.
    (r"(?:dislike|hate|loathe|despise|detest|regret|reject)" + _VERBS, Cue(-1)),
    (
        r"(?:struggle[sd]?|struggling) with|(?:bored|put off|turned off|unimpressed|disappointed|annoyed|unmoved|let down)(?: by| with)?",
        Cue(-1),
    ),
    (
        r"(?:no|not|never) (?:\w+ )?(?:a |big |great |much |of a |an? \w+ )*(?:fans?|lovers?|admirers?) of|(?:no|little|scant|small|limited|not much) (?:time|love|taste|patience|liking|enthusiasm|interest|appetite) (?:for|in)",
        Cue(-1),
    ),
    (
        rf"{_DO}?{_NOT} (?:really |much |particularly |especially |wholeheartedly |quite |at all )*(?:to )?(?:like|enjoy|love|care (?:much )?for|appreciate|rate|value|go for|warm to|warmed to|take to|took to|think (?:much|a lot|highly|well) of|get into|get on with|see the point of|respond (?:well )?to|fond of|keen on|into|impressed by|interested in|lean towards?|prefer|favou?r|return to)"
        + _VERBS,
        Cue(-1),
    ),
    (
        r"(?:\w+n['’]t) (?:really |much |particularly |wholeheartedly |quite )*(?:like|enjoy|love|care (?:much )?for|appreciate|rate|value|go for|warm to|take to|think (?:much|a lot|highly|well) of|get into|get on with|respond (?:well )?to|fond of|keen on|into|impressed by|lean towards?|prefer|faze|return to)"
        + _VERBS,
        Cue(-1),
    ),
    (
        r"(?:gave|gives?) (?:low|poor|bad) (?:ratings|marks|scores|stars) to|(?:rated?s?|scored?s?) (?:\w+ )?(?:low|lower|poorly|badly)(?: on)?",
        Cue(-1),
    ),
    (r"least (?:favou?rites?|liked|loved|preferred)(?: \w+)?(?: (?:is|are|was|were|include[sd]?))?:?", Cue(-1, True)),
    (r"trouble (?:with|attaching)", Cue(-1)),
    # Liked, relative to the rest.
    (
        r"(?:rate|score|mark|grade)[sd]?(?= [^.;]{1,120}? (?:higher|better|highly|well|best|high)\b)",
        Cue(1, True),
    ),
    (
        r"prefer(?:s|red|ring)?(?: more)?:?|(?:choose|chooses|chose|pick|picks|picked|opts? for|opted for|go for|goes for|went for)",
        Cue(1, True),
    ),
    (r"lean(?:s|ed|ing)? (?:more |heavily |strongly )?(?:towards?|to)", Cue(1, True)),
    (
        r"(?:fonder|keener|warmer|hotter|firmer|happier|easier to please|kinder|more generous|more enthusiastic|more positive|more interested|more drawn|more taken|more fond|more keen) ?(?:of|on|with|to|towards?|by|about|in)?(?= )",
        Cue(1, True),
    ),
    (r"fonder(?: than \w+ (?:are )?)?(?: of)?", Cue(1, True)),
    (r"favou?r(?:s|ed|ing)?", Cue(1, True)),
    (r"favou?rites?(?: \w+)?(?: (?:is|are|was|were|include[sd]?))?:?", Cue(1, True)),
    (
        r"(?:gravitate[sd]?|drawn|incline[sd]?) (?:more )?to(?:wards?)?|tend(?:s|ed)? towards?|(?:especially|particularly|most) (?:fond of|keen on|happy with|into|interested in|taken with)|(?:respond|react|warm|take|open up)(?:s|ed)? (?:better|more|best|most)(?: \w+)? to|most (?:generous|enthusiastic|positive|forgiving)(?: (?:to|with|about|towards?))?|partial to|soft spot for|(?:particular |special )?(?:preference|weakness|taste|love|liking|fondness|affinity|enthusiasm) for",
        Cue(1, True),
    ),
    (
        r"stand(?:s)? out (?:on|for|with|in)|(?:best|most) (?:liked|loved|enjoyed)(?: \w+)? (?:is|are|were|was)",
        Cue(1, True),
    ),
    (r"most (?:of )?(?:like|enjoy|love)[sd]?", Cue(1, True)),
    # Plainly liked.
    (
        r"(?<!genres )(?<!categories )(?<!kinds )(?<!comedies )(?<!dramas )(?<!thrillers )(?<!stories )(?<!films )(?<!movies )(?<!books )(?<!items )(?<!such )(?<!things )(?<!ones )(?<!titles )(?:like|enjoy|love|adore|appreciate|value|admire|relish|cherish|treasure)(?:s|d|es|ed)?(?! on\b)",
        Cue(1),
    ),
    (
        r"(?:thinks?|thought|spoke|speaks?) (?:very |quite |so )?(?:well|highly|the world) of|(?:fell|falls?|fall) (?:well|hard) (?:on|for)|(?:fell|falls?) for|did well on",
        Cue(1),
    ),
    (
        r"(?:big |great |huge |real )?(?:fans?|lovers?|admirers?) of|keen on|fond of|(?:big|strong|solid|sold) on|(?:happy|pleased|impressed|taken|delighted|moved|satisfied|thrilled|excited|charmed|captivated|won over|enthralled) (?:with|by)|(?:respond|react|warm|take|took)(?:s|ed)? (?:well |warmly )?to|(?:liking|enjoying|loving|appreciating)|enthusiastic about",
        Cue(1),
    ),
    (
        r"(?:gave|gives?) (?:high|good|top|full) (?:ratings|marks|scores|stars) to|rate[sd]? (?:\w+ )?(?:high|highly|higher|well)(?: on)?",
        Cue(1),
    ),
    (r"(?:had|have|has) (?:a (?:good|great|fine|wonderful) time|fun) with", Cue(1)),
    # Of the names before the cue.
    (
        r"(?:is|are|was|were) (?:their|his|her|the|a) least (?:favou?rite|liked|loved|preferred)s?(?: \w+)?",
        Cue(-1, True, before=True),
    ),
    (
        r"(?:an? |their |his |her )?(?:\w+ )?(?:low|poor|bad|weak|terrible|lower|the lowest) (?:rating|mark|score|grade)s?|(?:was|were|is|are) (?:a )?(?:flop|miss|dud|disappointment|disappointing)\b(?: \w+ (?:them|this \w+))?|(?<= )(?:disappointing|boring|dull|tedious)(?=[.,;]|$)",
        Cue(-1, before=True),
    ),
    (
        r"(?:an? |their |his |her )?(?:\w+ )?(?:high|good|top|great|excellent|higher|the highest) (?:rating|mark|score|grade)s?|(?:was|were|is|are) (?:a )?(?:big |great )?(?:hit|success|treat)s?(?: with (?:them|this \w+|the \w+))?",
        Cue(1, before=True),
    ),
    (
        r"(?:is|are|was|were|get|gets) (?:liked|enjoyed|loved|appreciated|favou?red|preferred|rated) (?:much |far |rather )?(?:less|lower|worse)(?: than average)?",
        Cue(-1, True, before=True),
    ),
    (
        r"(?:is|are|was|were|get|gets) (?:liked|enjoyed|loved|appreciated|favou?red|rated) (?:much |far |rather )?(?:more|better|higher|best|most)(?: than average)?",
        Cue(1, True, before=True),
    ),
    (
        r"(?:did|do|does)(?: not|n['’]t) (?:really )?(?:please|impress|work|appeal|move|win|excite|convince|suit|satisfy|click|land|interest)(?: (?:for|to|with))?(?: (?:them|him|her|this \w+))?",
        Cue(-1, before=True),
    ),
    (
        r"(?:go(?:es)?|went|come[s]?|came) (?:down|over|across) (?:badly|poorly|worse|less well)|(?:fall|fell|falls) (?:flat|short)|(?:leave|left|leaves) (?:them|him|her|this \w+) (?:cold|cool)|disappoint(?:s|ed)?(?: them)?|(?:fare|do|score|rank|work|land|perform)(?:s|d|es|ed)? (?:worse|worst|low|lower|lowest|badly|poorly|less well)|bore[sd]? (?:them|him|her)",
        Cue(-1, True, before=True),
    ),
    (
        r"(?:go(?:es)?|went|come[s]?|came) (?:down|over|across) (?:well|better|best)|(?:work|fare|do|score|rank|land|perform)(?:s|ed|d|es)? (?:well|better|best|high|higher|highest)|(?:please|impress|delight|move|excite|convince|charm)(?:s|d|es|ed)? (?:them|him|her|this \w+)|(?:win|won|wins) them over|stand(?:s)? out(?! (?:on|for|with))|(?:is|are|was|were) (?:a |clear |their |his |her |the |particular |firm )*favou?rites?",
        Cue(1, True, before=True),
    ),
    (
        rf"(?:is|are|was|were|get|gets|being) (?:{_NOT} |less |rarely )(?:often |much |well )*(?:liked|enjoyed|loved|appreciated|favou?red|preferred)|(?:is|are|was|were|get|gets) (?:\w+ )?(?:disliked|hated)|(?:is|are|was|were) (?:{_NOT}|less) (?:to )?(?:their|his|her) (?:taste|liking)",
        Cue(-1, before=True),
    ),
    (
        r"(?:is|are|was|were|get|gets|being) (?:(?:much|often|well|highly|generally|usually|mostly|better|more|most) )*(?:liked|enjoyed|loved|appreciated|favou?red|preferred)|(?:is|are|was|were) (?:to )?(?:their|his|her) (?:taste|liking)|(?:appeal)(?:s|ed)?(?: to them)?",
        Cue(1, before=True),
    ),
    # Only known.
    (
        r"(?:history|record|list|log) (?:has|holds|contains|includes|shows|counts)|there (?:are|is|were)",
        Cue(1, seen=True),
    ),
    (
        r"(?:has |have |had )?(?:watched|saw|seen|consumed|read|bought|purchased|played|tried)|(?:has|have) rated|rated(?! (?:films|movies|books|items|on))",
        Cue(1, seen=True),
    ),
)
CUES = re.compile(
    "|".join(rf"(?P<c{number}>\b(?:{pattern})(?![\w'’]))" for number, (pattern, _) in enumerate(_CUES)), re.IGNORECASE
)


def cue_of(found: re.Match[str]) -> Cue:
    """What a match of ``CUES`` says."""
    return _CUES[int(str(found.lastgroup)[1:])][1]


_WORDS = "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
NUMBER_WORDS = {word: value for value, word in enumerate(_WORDS.split())} | {
    "none": 0,
    "zero": 0,
    "all": -1,
    "both": -2,
}
"""Numbers in words; -1 and -2 stand for "all" and "both"."""
NUMBER = rf"(?:\d+|{'|'.join(_WORDS.split()[1:])})"
COUNT = re.compile(
    rf"(?P<of>(?<![\d.])\b(?P<a>{NUMBER}|none|all|both) (?:(?:out )?of|from) (?:the |their |his |her |its |all |these |those |only )*(?P<b>{NUMBER})\b(?!\.\d)"
    rf"|\((?P<x>\d+)\s*/\s*(?P<y>\d+)\b[^)]*\)|(?<![\d/])(?P<x2>\d+)/(?P<y2>\d+)(?![\d/]))",
    re.IGNORECASE,
)
SHARE = re.compile(
    rf"(?P<hedge>(?:about|around|roughly|nearly|almost|approximately|some|over|under|more than|less than|just (?:over|under)|close to|an? estimated|~|circa)\s?(?:an? )?)?"
    rf"(?:(?<![\d.])(?P<tenths>{NUMBER}) (?:in|out of) (?:every )?(?P<base>10|ten|5|five|4|four|3|three|100|a hundred)\b|(?P<percent>\d+(?:\.\d+)?) ?(?:%|percent|per cent)"
    r"|(?P<fraction>half|(?:a|one|two|three) (?:third|quarter|fifth)s?|three-quarters|two-thirds)(?= (?:of|the)\b))",
    re.IGNORECASE,
)
HEDGED = re.compile(
    rf"(?P<hedge>(?:about|around|roughly|nearly|almost|approximately|some|over|under|more than|less than|just (?:over|under)|close to|~)\s?(?:an? )?)"
    rf"(?<![\d.])(?P<tenths>{NUMBER}) (?:in|of|out of) (?:every )?(?P<base>10|ten|5|five|4|four|3|three|100|a hundred)\b(?P<percent>(?!))?(?P<fraction>(?!))?",
    re.IGNORECASE,
)
OF_EVERY = re.compile(
    rf"(?P<hedge>(?!))?(?<![\d.])(?P<tenths>{NUMBER}) (?:in|of|out of) every (?P<base>10|ten|5|five|4|four|3|three|100|a hundred)\b(?P<percent>(?!))?(?P<fraction>(?!))?",
    re.IGNORECASE,
)
WHAT_WAS_RATED = re.compile(
    r"\b(?:what|whatever|the (?:ones|things)|those) (?:that )?(?:they|he|she|this \w+|the \w+) (?:have |has |had )?(?:rated|watched|seen|saw|read|bought)\b",
    re.IGNORECASE,
)
WHICH = re.compile(r"\b(?:which|that|whom|who) (?:they|he|she|this \w+|the \w+) $", re.IGNORECASE)
IT = re.compile(r" (?:it|them|that one|this one)\b")
SHARE_WORDS = re.compile(
    r"\b(?P<word>nearly all|almost all|hardly any|almost no|almost none|very few|none|no(?= \w+ (?:\w+ )?rated)|all|every|most|the majority|a minority|few|everything|nothing)\b",
    re.IGNORECASE,
)
RATING = re.compile(
    r"(?P<hedge>(?:about|around|roughly|nearly|almost|approximately) )?(?<![\d.(])(?P<value>\d(?:\.\d+)?|one|two|three|four|five)(?P<stars>[- ]?stars?\b)?(?![\d%])(?! (?:in|of|out)\b)",
    re.IGNORECASE,
)
AVERAGE = re.compile(r"\b(?:on average|averag\w+|mean(?: rating)?)\b", re.IGNORECASE)
SPLIT = re.compile(r";|\b(?:but|while|whereas|although|though|however|yet|whilst|except)\b", re.IGNORECASE)
OVER = re.compile(
    r"\b(?:(?:better|more|higher|rather) than|more often than|over|instead of|above|ahead of|than|to)\b", re.IGNORECASE
)
AGAINST = re.compile(
    r"\b(?:compared (?:with|to)|in comparison (?:with|to)|unlike|next to|relative to)\b", re.IGNORECASE
)
BEATS = re.compile(
    r"\b(?:beats?|outranks?|outscores?|outdoes|outdo|surpass(?:es)?|wins? over|(?:would|'d) (?:rather|sooner)(?: \w+)?)(?![\w])",
    re.IGNORECASE,
)
OVER_LESS = re.compile(r"\b(?:worse|less|lower) than\b", re.IGNORECASE)
NEGATION = re.compile(r"\b(?:not|nor|never)\b(?! only)", re.IGNORECASE)
MOSTLY = re.compile(
    r"\b(?:mostly|mainly|primarily|predominantly|chiefly|(?:most|more)(?:[- ](?:often|frequently))?[- ]?(?:watched|rated|seen|read|bought|common|frequent))\b",
    re.IGNORECASE,
)
NO_OUTLIER = re.compile(
    r"\bno (?:single |one |particular )?\w+ (?:really |clearly )?stands? out\b|\bno (?:clear |strong |particular )(?:\w+ )?preference"
    r"|\bno \w+ is liked (?P<side>more|less)\b",
    re.IGNORECASE,
)
_KINDS, _MEANINGS = ("|".join(words) for words in zip(*LEVELS, strict=True))
GENEROSITY = re.compile(
    rf"\b(?:an?|the) (?P<kind>{_KINDS}) (?!(?:rating|score|mark|grade|of)s?\b)\w+(?:, (?P<meaning>{_MEANINGS}))?|\b(?P<alone>{_MEANINGS})\b",
    re.IGNORECASE,
)
"""How easily the user is pleased, in the words of ``prompts.generosity``."""
FAME = re.compile(
    rf"\b(?P<level>{'|'.join(FAME_WORDS)})(?: \w+)?(?=[.,;!?]|$)|\b(?P<some>mostly|mainly|largely) (?P<kind>famous|"
    r"popular|well-known|mainstream|little-known|obscure|unknown)(?: \w+)?(?=[.,;!?]|$)",
    re.IGNORECASE,
)
"""How well known the user's items are, in the words of ``users.consumption``, and a few others for them."""
MIXED = re.compile(
    r"\b(?:watche?|listen|read|buy|choose|pick|play|hear)s? (?:to )?(?:an? lot of|lots of|many) different (?:\w+)",
    re.IGNORECASE,
)
OWN_STYLE = re.compile(
    r"\(\d+ of \d+|\b\d+ of \d+ liked|\b(?:car(?:es?|ed|ing) less for|fonder of|cooler on|(?:harder|easier) to please|less keen on|thought (?:well|less|less well) of|think (?:well|less) of|fell well on|did well on|least liked is|about \d in (?:10|ten))\b|^(?:this|the) \w+ likes (?:none of the|all|hardly any|nearly all) [\w ]+ rated\b|^they like (?:none of the|all|hardly any|nearly all) [\w ]+ rated\b",
    re.IGNORECASE,
)
"""Phrases of this project's own sentences. Where they stand, whatever is named is a title or a kind, and nothing else."""
PLAIN_PAST = re.compile(
    r"^They (?:have )?(?:liked|loved|enjoyed|disliked|hated|did not (?:like|enjoy)|watched|consumed|appreciated)\b",
    re.IGNORECASE,
)
"""A plain sentence on what was done: its object is an item."""
_EMPTY = """
they them their the a an and or of in are is were was with but this viewer user reader to more most less by from
all at as that for than also both it he she his her has have had been be watch watches rate rates kind kinds
seen ones newer older others go going among what
"""
EMPTY = frozenset(_EMPTY.split())
"""Words that say nothing on their own."""
BY_PERSON = re.compile(r"\b(?:by|with|starring|directed by|featuring|from director|written by)\s*$", re.IGNORECASE)

_Y = r"(?:1[89]|20)\d\d"
YEARS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE))
    for kind, pattern in (
        ("between", rf"\b(?:from |between |in )?(?P<low>{_Y})\s*(?:to|and|-|–|through)\s*(?P<high>{_Y})\b"),
        (
            "decade",
            r"\b(?:from |of |in |made in |released in )?(?:the )?(?P<part>early |late |mid-?)?['’]?(?P<decade>(?:1[89]|20)?\d0)['’]?s\b",
        ),
        (
            "decade",
            r"\b(?:from |of |in )?(?:the )?(?P<name>twenties|thirties|forties|fifties|sixties|seventies|eighties|nineties)\b",
        ),
        (
            "before",
            rf"\b(?:(?:from |made |released |dated )?(?:before|earlier than|prior to)|pre-|older than)\s?(?P<high>{_Y})\b",
        ),
        (
            "from",
            rf"\b(?:from|since|starting(?: in| from)?)\s(?P<low>{_Y})(?: on(?:wards?)?| or later| and (?:later|after))?\b",
        ),
        ("after", rf"\b(?:(?:from |made |released )?(?:after|later than|newer than)|post-)\s?(?P<low>{_Y})\b"),
        ("in", rf"\b(?:in|of|made in|released in)\s(?P<low>{_Y})\b"),
        ("paren", rf"\(\s?(?P<low>{_Y})\b[^)]*\)?"),
    )
)
DECADES = dict(
    zip(
        ["twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties"],
        range(1920, 2000, 10),
        strict=True,
    )
)
"""First years of decades in words."""
