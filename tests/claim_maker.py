"""Claims with known truth, written by rule from real histories: true and false alike, in many wordings.

It shares no code with the checker: it counts with Polars on raw titles and genres, and its wordings are its own. The
rules of truth are those of ``docs/grounding-rules.md``. A wording belongs to the development or the held-out half by a
hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

TRUE, FALSE, OPEN = "supported", "contradicted", "not_checkable"


@dataclass(frozen=True)
class Made:
    """A claim whose truth is known."""

    user_id: Any
    text: str
    verdict: str
    kind: str
    wording: str

    @property
    def half(self) -> str:
        if self.wording in FRESH:
            return "fresh"
        return "development" if hashlib.sha256(self.wording.encode()).digest()[0] % 2 else "held_out"


LIKED = (
    "They enjoyed {t}.",
    "One of their favourites is {t}.",
    "The {person} loved {t}.",
    "{t} went down well with them.",
    "{t} was a hit with this {person}, who liked it.",
    "They had a good time with {t} and liked it a lot.",
    "Among what they liked is {t}.",
    "They were impressed by {t}.",
    "This {person} thinks highly of {t}.",
    "They gave {t} a high rating.",
    "{t} pleased them.",
    "They are a fan of {t}.",
    "A clear favourite: {t}.",
    "They appreciated {t}",
    "Liked: {t}.",
)
DISLIKED = (
    "They did not enjoy {t}.",
    "They disliked {t}.",
    "{t} left them cold.",
    "{t} did not please them.",
    "They didn't like {t}.",
    "The {person} was disappointed by {t}.",
    "They were not impressed by {t}.",
    "They rated {t} poorly.",
    "{t} fell flat for this {person}.",
    "They had little love for {t}.",
    "Not a fan of {t}.",
    "They were bored by {t}.",
    "They gave {t} a low rating.",
    "They found {t} disappointing.",
)
ABOVE = (
    "They prefer {g} {items}.",
    "{g} {items} are their favourites.",
    "They like {g} {items} more than the rest.",
    "They lean towards {g}.",
    "They have a soft spot for {g} {items}.",
    "{g} {items} do better with them than others.",
    "{g} {items} are liked more than average.",
    "They are keener on {g} {items} than on others.",
    "They gravitate towards {g} {items}.",
    "They favour {g} {items}.",
    "This {person} is easier to please with {g} {items}.",
    "Their taste runs to {g} {items}, which they prefer.",
    "They rate {g} {items} higher than other {items}.",
    "{g} is preferred.",
)
BELOW = (
    "They care less for {g} {items}.",
    "They are harder to please with {g} {items}.",
    "{g} {items} do worse with them than others.",
    "They are less fond of {g} {items}.",
    "They like {g} {items} less than the rest.",
    "{g} {items} are liked less.",
    "They are cooler on {g}.",
    "They are not as keen on {g} {items} as on others.",
    "They rate {g} {items} lower than other {items}.",
    "{g} {items} work less well for them.",
    "They are less interested in {g} {items}.",
    "They tend to avoid {g} {items}.",
)
COUNTS = (
    "They liked {a} of {b} {g} {items}.",
    "{a} of the {b} {g} {items} were liked.",
    "Of {b} {g} {items} they liked {a}.",
    "{g} {items}: {a} of {b} liked.",
    "{G} {items} ({a} of {b} liked) are in the history.",
    "They liked {a} out of {b} {g} {items}.",
    "{a}/{b} {g} {items} were enjoyed.",
    "Their record with {g} {items} is {a} of {b}.",
)
SHARES = (
    "They like about {k} in 10 {items}.",
    "This {person} likes roughly {k} of every 10 {items} rated.",
    "About {p}% of the {items} they rated were liked.",
    "They liked around {p} percent of what they rated.",
    "They enjoy about {p}% of {items}.",
    "Roughly {k} out of 10 {items} are liked.",
)
AVERAGES = (
    "Their average rating is {m}.",
    "On average they give {m} stars.",
    "The mean rating of this {person} is {m}.",
    "They rate {items} {m} on average.",
)
RATINGS = (
    "They rated {t} {r}.",
    "They gave {t} {r} stars.",
    "{t} got {r} stars from them.",
    "They rated {t} a {r}.",
    "They gave a {r} to {t}.",
)
SIZES = (
    "They have rated {n} {g} {items}.",
    "They watched {n} {g} {items}.",
    "The history has {n} {g} {items}.",
    "They have seen {n} {items} of the {g} kind.",
)
COMPARED = (
    "They prefer {g} {items} to {h} {items}.",
    "They like {g} {items} more than {h} {items}.",
    "{g} {items} are liked better than {h} {items}.",
    "They favour {g} over {h}.",
    "They are fonder of {g} {items} than of {h} {items}.",
    "They would choose {g} over {h} {items}.",
    "They care less for {h} {items} than for {g} {items}.",
    "They enjoy {g} {items} rather than {h} {items}.",
)
ERAS = (
    "They prefer {items} from before {y}.",
    "{Items} from before {y} go down better than newer ones.",
    "They like older {items}, from before {y}, more than newer ones.",
    "They are fonder of {items} made before {y}.",
    "They lean towards pre-{y} {items}.",
)
DECADES = (
    "They prefer {items} from the {d}s.",
    "{d}s {items} are their favourites.",
    "They are fonder of {items} of the {d}s.",
    "They favour the {d}s.",
)
MOSTLY = ("They mostly watch {g} {items}.", "Mostly {g} {items} are in the history.", "They watch mainly {g}.")
UNCHECKABLE = (
    "They enjoy a good story.",
    "This {person} values strong characters and witty dialogue.",
    "They watch {items} late at night.",
    "They like slow {items} with a quiet mood.",
    "They dislike clichés.",
    "Their taste is hard to pin down.",
    "They prefer {items} with a happy ending.",
    "They like {items} directed by Agnes Quillfeather.",
    "They seem to watch with their family.",
    "A thoughtful {person} with broad interests.",
    "They are fond of clever plots.",
    "They care about the acting.",
)
LATE: dict[str, tuple[str, ...]] = {
    "liked": (
        "{t} is among the {items} they really liked.",
        "They were delighted with {t}.",
        "This {person} adores {t}.",
        "They were thrilled by {t}.",
        "Big fan of {t}.",
        "They speak highly of {t}.",
    ),
    "disliked": (
        "{t} was not to their taste.",
        "They never warmed to {t}.",
        "They hated {t}.",
        "{t} disappointed them.",
        "They did not think much of {t}.",
        "They couldn't get into {t}.",
    ),
    "above": (
        "This {person} is especially fond of {g} {items}.",
        "They show a clear preference for {g}.",
        "{g} {items} tend to go down better than others.",
        "Where they are most generous is {g}, which they favour.",
        "They respond better to {g} {items}.",
        "They are drawn to {g} {items}.",
    ),
    "below": (
        "They are tougher on {g} {items}.",
        "{g} {items} fare worse.",
        "They are lukewarm about {g} {items}.",
        "They show less enthusiasm for {g} {items}.",
        "They respond less well to {g} {items}.",
        "{g} {items} are their least favourite.",
    ),
    "counts": (
        "Out of {b} {g} {items}, {a} were liked.",
        "They rated {b} {g} {items} and liked {a} of them.",
        "{a} of their {b} {g} {items} got a like.",
        "They enjoyed {a} of the {b} {g} {items} they rated.",
    ),
    "shares": (
        "Some {p}% of their {items} are liked.",
        "They end up liking about {p}% of {items}.",
        "Nearly {k} in every 10 {items} they rate are liked.",
    ),
    "compared": (
        "{g} {items} beat {h} {items} for this {person}.",
        "They would rather watch {g} than {h}.",
        "Compared with {h} {items}, they like {g} {items} more.",
        "They are kinder to {g} {items} than to {h} {items}.",
    ),
}
"""Wordings written after the checker had been fitted to the ones above; measured once, then left alone."""
FRESH = frozenset(wording for group in LATE.values() for wording in group)
INVENTED = (
    "The Purple Horizon",
    "Midnight at Harrow Lake",
    "Quillfeather",
    "Seven Lanterns",
    "A Winter in Bruges 3",
    "Zorblax Rising",
)


class ClaimMaker:
    """Writes claims about users.

    Args:
        histories: ``user_id, position, item_id, rating, label``.
        items: ``item_id, title, year, genres``.
        nouns: item, items and person, as the texts call them.
        seed: of all choices.
        late: whether only the wordings of ``LATE`` are used, where there are some.
    """

    def __init__(
        self, histories: pl.DataFrame, items: pl.DataFrame, nouns: tuple[str, str, str], seed: int, late: bool = False
    ) -> None:
        groups = {
            "liked": LIKED,
            "disliked": DISLIKED,
            "above": ABOVE,
            "below": BELOW,
            "counts": COUNTS,
            "shares": SHARES,
            "compared": COMPARED,
        } | (LATE if late else {})
        self.liked, self.disliked, self.above, self.below = (
            groups[name] for name in ("liked", "disliked", "above", "below")
        )
        self.counts, self.shares, self.compared = (groups[name] for name in ("counts", "shares", "compared"))
        self.rng = np.random.default_rng(seed)
        self.words = {"item": nouns[0], "items": nouns[1], "Items": nouns[1].capitalize(), "person": nouns[2]}
        told = items.with_columns(name=pl.col("title").str.replace(r"\s*\(\d{4}\)$", ""))
        self.table = histories.join(told, on="item_id", how="left", maintain_order="left").sort("user_id", "position")
        self.titles = told.filter(~pl.col("name").str.contains(r"[,(]"))["name"].unique(maintain_order=True).to_list()
        self.genres = sorted({g for row in items["genres"].to_list() for g in row or [] if g.lower() != "unknown"})

    def make(self, number: int) -> list[Made]:
        """So many claims, the users in a random order, each kind in turn."""
        users = self.rng.permutation(self.table["user_id"].unique(maintain_order=True).to_numpy())
        kinds: list[Callable[[pl.DataFrame], Iterator[tuple[str, dict[str, Any], str]]]] = [
            self._titles, self._directions, self._counts, self._shares, self._averages, self._ratings, self._sizes,
            self._comparisons, self._eras, self._decades, self._mostly, self._open,
        ]  # fmt: skip
        made: list[Made] = []
        while len(made) < number:
            for user in users:
                rows = self.table.filter(pl.col("user_id") == user)
                for kind in kinds:
                    for wording, values, verdict in kind(rows):
                        text = wording.format(**self.words, **values)
                        text = text[0].upper() + text[1:]
                        made.append(Made(rows["user_id"][0], text, verdict, kind.__name__.strip("_"), wording))
                if len(made) >= number:
                    break
        return made

    def _pick(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def _coin(self) -> bool:
        return bool(self.rng.integers(2))

    def _titles(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        clear = rows.filter(~pl.col("name").str.contains(r"[,(]"))
        if clear.height:
            row = self._pick(clear.rows(named=True))
            same = rows.filter(pl.col("name") == row["name"])["label"]
            if same.n_unique() == 1:
                praise = self._coin()
                wording = self._pick(self.liked if praise else self.disliked)
                yield wording, {"t": row["name"]}, TRUE if praise == bool(row["label"]) else FALSE
        if self.rng.random() < 0.4:
            other = self._pick(INVENTED) if self._coin() else self._pick(self.titles)
            if other not in rows["name"].to_list():
                # Without quotation marks an unknown name may be a series, a director, or anything.
                yield self._pick(self.liked + self.disliked), {"t": f'"{other}"'}, FALSE

    def _tally(self, rows: pl.DataFrame, genre: str) -> tuple[int, int]:
        mine = rows.filter(pl.col("genres").list.contains(genre))
        return int(mine["label"].sum() or 0), mine.height

    def _some_genre(self, rows: pl.DataFrame, least: int = 2) -> str | None:
        fit = [genre for genre in self.genres if self._tally(rows, genre)[1] >= least]
        return self._pick(fit) if fit else None

    def _case(self, genre: str) -> dict[str, str]:
        word = genre if self._coin() else genre.lower()
        return {"g": word, "G": genre}

    def _directions(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        genre = self._some_genre(rows)
        if genre:
            liked, rated = self._tally(rows, genre)
            gap = liked * rows.height - rated * int(rows["label"].sum())  # in whole numbers: no rounding
            up = self._coin()
            yield (
                self._pick(self.above if up else self.below),
                self._case(genre),
                TRUE if (gap > 0 if up else gap < 0) else FALSE,
            )

    def _counts(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        genre = self._some_genre(rows)
        if genre:
            liked, rated = self._tally(rows, genre)
            right = self._coin()
            a, b = liked, rated
            while not right and (a, b) == (liked, rated):
                b = max(1, rated + int(self.rng.integers(-2, 3)))
                a = int(self.rng.integers(0, b + 1))
            yield self._pick(self.counts), self._case(genre) | {"a": a, "b": b}, TRUE if right else FALSE

    def _shares(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        liked, rated = int(rows["label"].sum()), rows.height
        tenths = int(self.rng.integers(1, 10)) if self._coin() else round(10 * liked / rated)
        if abs(abs(10 * liked - tenths * rated) - rated) > 1e-9:  # not on the edge of the tolerance
            off = abs(10 * liked - tenths * rated) > rated
            yield self._pick(self.shares), {"k": tenths, "p": 10 * tenths}, FALSE if off else TRUE

    def _averages(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        mean = float(rows["rating"].mean())  # type: ignore[arg-type]
        told = round(mean + (0.0 if self._coin() else self._pick((-0.6, -0.3, 0.2, 0.5))), 1)
        if abs(abs(told - mean) - 0.05) > 0.003:
            yield self._pick(AVERAGES), {"m": told}, TRUE if abs(told - mean) < 0.05 else FALSE

    def _ratings(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        clear = rows.filter(~pl.col("name").str.contains(r"[,(\d]"))
        if clear.height:
            row = self._pick(clear.rows(named=True))
            same = set(rows.filter(pl.col("name") == row["name"])["rating"].to_list())
            told = int(row["rating"]) if self._coin() else int(self.rng.integers(1, 6))
            yield self._pick(RATINGS), {"t": row["name"], "r": told}, TRUE if float(told) in same else FALSE

    def _sizes(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        genre = self._some_genre(rows)
        if genre:
            rated = self._tally(rows, genre)[1]
            told = rated if self._coin() else max(2, rated + self._pick((-3, -1, 1, 2, 5)))
            yield self._pick(SIZES), self._case(genre) | {"n": told}, TRUE if told == rated else FALSE

    def _comparisons(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        one, other = self._some_genre(rows), self._some_genre(rows)
        if one and other and one != other:
            (a, b), (c, d) = self._tally(rows, one), self._tally(rows, other)
            yield self._pick(self.compared), {"g": one, "h": other}, TRUE if a * d > c * b else FALSE

    def _era(self, rows: pl.DataFrame, mine: pl.DataFrame) -> bool:
        dated = rows.drop_nulls("year")
        return int(mine["label"].sum()) * dated.height > mine.height * int(dated["label"].sum())

    def _eras(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        year = int(self._pick((1980, 1985, 1990, 1995, 1996, 1997)))
        mine = rows.filter(pl.col("year") < year)
        if 2 <= mine.height < rows.height:
            yield self._pick(ERAS), {"y": year}, TRUE if self._era(rows, mine) else FALSE

    def _decades(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        decade = int(self._pick((1970, 1980, 1990)))
        mine = rows.filter((pl.col("year") >= decade) & (pl.col("year") < decade + 10))
        if 2 <= mine.height < rows.height:
            yield self._pick(DECADES), {"d": decade}, TRUE if self._era(rows, mine) else FALSE

    def _mostly(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        sizes = {genre: self._tally(rows, genre)[1] for genre in self.genres}
        top = max(sizes.values())
        genre = self._pick([g for g, n in sizes.items() if n == top]) if self._coin() else self._some_genre(rows)
        if genre:
            yield self._pick(MOSTLY), self._case(genre), TRUE if sizes[genre] == top else FALSE

    def _open(self, rows: pl.DataFrame) -> Iterator[tuple[str, dict[str, Any], str]]:
        if self.rng.random() < 0.6:
            yield self._pick(UNCHECKABLE), {}, OPEN
