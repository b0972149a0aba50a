"""Money and tokens: what a run may spend, what it is expected to, and what it did."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pydantic import Field

from trackrec.engines.base import Usage
from trackrec.engines.failures import BudgetError, EngineError
from trackrec.settings import Settings

MILLION = Decimal(1_000_000)


class PriceSettings(Settings):
    """A price list of your own, for models that the public one lacks or contracts that differ from it."""

    name: str = Field(min_length=1, max_length=80)
    """What the bill calls it, such as "contract of March"."""
    prompt: float = Field(ge=0, le=10_000)
    """US dollars for a million tokens that are read."""
    completion: float = Field(ge=0, le=10_000)
    """US dollars for a million tokens that are written."""


class BudgetSettings(Settings):
    """The most that one command may spend at an endpoint; answers from the cache cost nothing."""

    money: float | None = Field(default=None, ge=0, le=1_000_000)
    """US dollars; null: no ceiling. With a ceiling the price must be known."""
    tokens: int | None = Field(default=None, ge=0)
    """Tokens read and written together; null: no ceiling."""
    price: PriceSettings | None = None
    """Prices that go before the public list (the package genai-prices)."""


class PriceList(Protocol):
    """What tokens cost."""

    @property
    def name(self) -> str:
        """Of the list, for the bill."""
        ...

    def cost(self, usage: Usage) -> Decimal:
        """US dollars for so many tokens."""
        ...


@dataclass(frozen=True)
class OwnPrices:
    """Prices that the recipe names."""

    settings: PriceSettings

    @property
    def name(self) -> str:
        return self.settings.name

    def cost(self, usage: Usage) -> Decimal:
        """US dollars for so many tokens."""
        prompt, completion = Decimal(str(self.settings.prompt)), Decimal(str(self.settings.completion))
        return (usage.prompt_tokens * prompt + usage.completion_tokens * completion) / MILLION


@dataclass(frozen=True)
class PublicPrices:
    """Prices of the package genai-prices, found by the endpoint's address. Nothing is asked of any network."""

    model: str
    base_url: str

    @property
    def name(self) -> str:
        from importlib.metadata import version

        return f"genai-prices {version('genai-prices')}"

    def cost(self, usage: Usage) -> Decimal:
        """US dollars for so many tokens; tokens that the endpoint had read before at their own price.

        Raises:
            LookupError: the list does not know the endpoint or the model.
        """
        import genai_prices

        counts = genai_prices.Usage(
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cache_read_tokens=usage.cached_tokens or None,
        )
        return genai_prices.calc_price(counts, self.model, provider_api_url=self.base_url).total_price


def find_prices(settings: BudgetSettings, model: str, base_url: str) -> PriceList | None:
    """The price list for a model at an endpoint; None if no list knows it.

    Raises:
        EngineError: there is a ceiling in money and no price.
    """
    if settings.price is not None:
        return OwnPrices(settings.price)
    public = PublicPrices(model, base_url)
    try:
        public.cost(Usage(1, 1))
    except (LookupError, ImportError) as error:
        if settings.money is None:
            return None
        raise EngineError(
            f"budget.money is {settings.money:g} US dollars, and the price of {model!r} at {base_url} is not known "
            f"({error}). Nothing was sent. Put budget.price (name, prompt, completion: US dollars for a million "
            "tokens) into the recipe, or a ceiling in budget.tokens instead"
        ) from error
    return public


def _cost(money: Decimal | None, prices: str | None) -> str:
    return "at a price that no list knows" if money is None else f"{dollars(money)} at {prices}"


@dataclass(frozen=True)
class Estimate:
    """What some requests may take, before any of them is sent."""

    calls: int
    """Calls of the endpoint."""
    kept: int
    """Texts that the cache has already."""
    most: Usage
    """The most tokens: prompts counted at three characters a token, every text at its greatest length."""
    money: Decimal | None
    """The most in US dollars; None: the price is not known."""
    prices: str | None
    """Name of the price list."""

    def __str__(self) -> str:
        return (
            f"{self.calls} calls ({self.kept} texts are in the cache), at most {self.most.prompt_tokens:,} tokens read "
            f"and {self.most.completion_tokens:,} written, {_cost(self.money, self.prices)}"
        )


@dataclass(frozen=True)
class Bill:
    """What was spent."""

    calls: int
    usage: Usage
    money: Decimal | None
    """US dollars; None: the price is not known."""
    prices: str | None

    def __str__(self) -> str:
        return (
            f"{self.calls} paid calls, {self.usage.prompt_tokens:,} tokens read and "
            f"{self.usage.completion_tokens:,} written, {_cost(self.money, self.prices)}"
        )


def dollars(money: Decimal) -> str:
    """Money in words: cents, or as many digits as a small sum needs.

    >>> dollars(Decimal("12.346")), dollars(Decimal("0.00123"))
    ('12.35 US dollars', '0.00123 US dollars')
    """
    return f"{money:.2f} US dollars" if money >= 1 or not money else f"{float(money):.3g} US dollars"


class Budget:
    """Keeps one command under its ceiling, from any number of threads.

    The most that a call can cost is set aside before it is sent, so that calls under way cannot pass the ceiling
    together.
    """

    def __init__(self, settings: BudgetSettings, prices: PriceList | None) -> None:
        self.settings, self.prices = settings, prices
        self.calls, self.usage, self.money = 0, Usage(), Decimal(0)
        self._held, self._held_money = Usage(), Decimal(0)
        self._lock = threading.Lock()

    def cost(self, usage: Usage) -> Decimal | None:
        """US dollars for so many tokens; None: the price is not known."""
        return None if self.prices is None else self.prices.cost(usage)

    def hold(self, most: Usage) -> None:
        """Set the most that a call can take aside.

        Raises:
            BudgetError: that would pass the ceiling.
        """
        money = self.cost(most) or Decimal(0)
        with self._lock:
            tokens = self.usage.tokens + self._held.tokens + most.tokens
            if self.settings.tokens is not None and tokens > self.settings.tokens:
                raise BudgetError(f"the next call may take {most.tokens:,} tokens, and {self._left()}")
            if self.settings.money is not None:
                spent = self.money + self._held_money + money
                if spent > Decimal(str(self.settings.money)):
                    raise BudgetError(f"the next call may cost {dollars(money)}, and {self._left()}")
            self._held += most
            self._held_money += money

    def settle(self, held: Usage, used: Usage | None) -> Decimal | None:
        """Put what a call took in the place of what was set aside.

        Args:
            held: what ``hold`` was told.
            used: what the endpoint counted; None: the call came to nothing and is not billed.

        Returns:
            US dollars that it cost; None: nothing, or the price is not known.
        """
        money = None if used is None else self.cost(used)
        with self._lock:
            released = Usage(-held.prompt_tokens, -held.completion_tokens, -held.cached_tokens)
            self._held += released
            self._held_money -= self.cost(held) or Decimal(0)
            if used is not None:
                self.calls += 1
                self.usage += used
                self.money += money or Decimal(0)
        return money

    def bill(self) -> Bill:
        """What was spent so far by this command."""
        with self._lock:
            name = None if self.prices is None else self.prices.name
            return Bill(self.calls, self.usage, None if self.prices is None else self.money, name)

    def _left(self) -> str:
        parts = []
        if self.settings.money is not None:
            parts.append(f"{dollars(self.money)} of budget.money {self.settings.money:g}")
        if self.settings.tokens is not None:
            parts.append(f"{self.usage.tokens:,} of budget.tokens {self.settings.tokens:,}")
        return " and ".join(parts) + " are spent"
