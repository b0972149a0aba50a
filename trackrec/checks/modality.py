"""What a sentence speaks of: what the user has done, what they might like, or an item for its own sake."""

from __future__ import annotations

import re

_USER = re.compile(
    r"\b(?:they|them|their|theirs|he|she|him|her|his|hers|i|my|you|your|viewers?|users?|readers?|customers?|person|people|listeners?|individual|buyers?|shoppers?|players?|someone|somebody|ratings?|rated|rates?|stars?)\b",
    re.IGNORECASE,
)
_MODAL = (
    r"(?:would(?! (?:rather|sooner|choose|pick)\b)|might|may|should|will|shall|could(?! (?:not|n['’]t|never))|['’]d (?:like|love|enjoy|probably|likely)|['’]ll)\b"
    r"|likely\b|unlikely\b|probably\b|perhaps\b|possibly\b|possible (?:that|to)\b|potentially\b|presumably\b|surely\b"
    r"|recommend\w*\b|suggestions?\b|suggested\b|worth (?:a (?:try|look|watch|read)|trying|watching|reading|exploring)"
    r"|good (?:bets?|choices?|fits?|match(?:es)?|next)|least risky|next (?:choice|read|watch|pick|step)|future\b|(?:is|are) expected\b|candidates?\b"
    r"|if (?:they|he|she|this|the|you|it)\b|unless\b|imagine\b|hypothetical\w*|when choosing\b|(?:anyone|someone|somebody|people|those|viewers|readers|fans|users) who\b"
)
_HYPOTHETICAL = re.compile(rf"\b(?:{_MODAL})", re.IGNORECASE)
_IMPERATIVE = re.compile(
    r"^\W*(?:(?:so|then|thus|therefore|hence|instead|also|please|next|finally|accordingly)\b,? )?"
    r"(?:recommend|suggest|try|offer|show|give|choose|propose|bring|reach|consider|avoid|pick|look|add|serve|select|prioriti[sz]e|focus|steer|feed|include|exclude|skip|present|point|keep|let|watch|read|start|explore|check)\b(?! (?:ratings?|scores?))",
    re.IGNORECASE,
)
_SO = re.compile(r"^\W*(?:so|therefore|thus|hence)\b", re.IGNORECASE)
_FANS = re.compile(r"^\W*(?:fans|lovers|admirers|viewers|readers|people|anyone|someone) (?:of|who)\b", re.IGNORECASE)
_STARTS = re.compile(r"[,;:]|\b(?:and|but|so|which|who|while|although|though)\b", re.IGNORECASE)
_RESUMES = re.compile(
    r"[;]|\b(?:because|given|since|judging (?:by|from)|based on|as (?:shown|evidenced|seen|suggested|indicated|they (?:have|loved|liked|rated|gave))|having)\b",
    re.IGNORECASE,
)
_CRITICS = re.compile(
    r"\b(?:critics?|audiences?|reviewers|the academy|the public|moviegoers|everyone|many people|film series)\b",
    re.IGNORECASE,
)


def is_about_user(text: str) -> bool:
    """Whether a sentence names the user, or gives a rating."""
    return _USER.search(text) is not None


def is_recommendation(text: str) -> bool:
    """Whether a whole sentence is advice: "So try ...", "Fans of ...", "If they ..."."""
    return any(pattern.search(text) is not None for pattern in (_IMPERATIVE, _SO, _FANS)) or bool(
        re.match(r"\W*if\b", text, re.IGNORECASE)
    )


def speaks_of_others(text: str) -> bool:
    """Whether it says what critics or audiences think."""
    return _CRITICS.search(text) is not None


def without_hypotheses(text: str) -> str:
    """A sentence with what it only thinks possible blanked out; as long as before, so that places stay.

    From the clause in which "would", "might", "recommend" and their like stand to the sentence's end, or to where a
    reason is given.

    >>> without_hypotheses("They loved Heat, and would likely enjoy Casablanca.")
    'They loved Heat,                                      '
    """
    out = text
    place = 0
    while found := _HYPOTHETICAL.search(out, place):
        starts = [match.end() for match in _STARTS.finditer(out, 0, found.start())]
        joins = [match.start() for match in _STARTS.finditer(out, 0, found.start())]
        start = starts[-1] if starts else 0
        if joins and out[joins[-1]].isalpha():
            start = joins[-1]
        resumes = _RESUMES.search(out, found.end())
        end = resumes.start() if resumes else len(out)
        out = out[:start] + " " * (end - start) + out[end:]
        place = end
    return out
