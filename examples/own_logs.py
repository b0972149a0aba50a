"""Write two small logs that are not about films: ``books.csv`` with ratings and ``groceries.csv`` without.

``python examples/own_logs.py FOLDER``; then ``trackrec data check FOLDER/books.csv`` says what to do next.
"""

from __future__ import annotations

import csv
import datetime
import sys
from pathlib import Path

import numpy as np

SUBJECTS = ["Mystery", "History", "Science", "Cooking", "Poetry", "Travel", "Fantasy", "Biography"]
AUTHORS = [
    "A. Marlow",
    "B. Okafor",
    "C. Lindqvist",
    "D. Tanaka",
    "E. Ruiz",
    "F. O'Hara",
    "G. Petrov",
    "李华",
    "H. Nowak",
]
FIRST = [
    "The Last",
    "A Quiet",
    "Beyond the",
    "Letters from the",
    "Under a",
    "The Secret",
    "Winter in the",
    'The "Other"',
]
SECOND = ["Harbour", "Garden", "Archive", "Kitchen", "Mountain", "Library, Again", "Orchard", "Café", "Station"]
SHELVES = {
    "Fruit & Vegetables": ["Bananas", "Tomatoes, cherry", "Spinach", "Apples", "Carrots", "Avocado"],
    "Dairy": ["Whole milk 1 l", "Feta", "Yoghurt, plain", "Butter", "Oat drink"],
    "Bakery": ["Rye bread", "Croissant", "Bagels, 4", "Baguette"],
    "Snacks": ["Crisps, salted", "Dark chocolate", "Peanuts", "Liquorice"],
    "Drinks": ["Sparkling water", "Orange juice", "Ground coffee", "Green tea"],
    "Household": ["Dish soap", "Kitchen roll", "Bin bags"],
}
BEGIN = datetime.datetime(2023, 1, 5, 9, 0, tzinfo=datetime.UTC)


def write_books(path: Path, readers: int = 160, books: int = 240, seed: int = 17) -> None:
    """Ratings of 1 to 10 with titles, authors and subjects in the same table, semicolons between; a few bad rows."""
    generator = np.random.default_rng([seed, 1])
    subject = generator.integers(0, len(SUBJECTS), books)
    titles = [
        f"{FIRST[generator.integers(len(FIRST))]} {SECOND[generator.integers(len(SECOND))]}" + f" {n}" * (n > 20)
        for n in range(books)
    ]
    authors = [AUTHORS[generator.integers(len(AUTHORS))] for _ in range(books)]
    popular = 1 / (np.arange(books) + 8.0)
    rows = []
    for reader in range(readers):
        tastes = generator.choice(len(SUBJECTS), 2, replace=False)
        when = BEGIN + datetime.timedelta(days=float(generator.uniform(0, 400)))
        for book in generator.choice(books, int(generator.integers(8, 45)), replace=False, p=popular / popular.sum()):
            when += datetime.timedelta(days=float(generator.exponential(6.0)))
            mean = 8.2 if subject[book] in tastes else 5.6
            stars = int(np.clip(round(generator.normal(mean, 1.4)), 1, 10))
            isbn = f"97800{10_000_000 + 7 * book}"
            rows.append(
                [
                    f"R{reader:04d}",
                    isbn,
                    titles[book],
                    authors[book],
                    SUBJECTS[subject[book]],
                    stars,
                    f"{when:%Y-%m-%d %H:%M}",
                ]
            )
    rows.sort(key=lambda row: str(row[-1]))
    rows[5][0], rows[17][5], rows[40][6] = "", "n/a", "unknown"
    rows.append(rows[-1])
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Reader", "ISBN", "Book Title", "Author", "Category", "Stars", "Review Date"])
        writer.writerows(rows)


def write_groceries(path: Path, customers: int = 120, seed: int = 17) -> None:
    """Orders with quantities, some of them returns, and no ratings; every order has one time."""
    generator = np.random.default_rng([seed, 2])
    shelf_of = [(shelf, name) for shelf, names in SHELVES.items() for name in names]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["order_no", "customer", "sku", "product_name", "category", "qty", "order_date"])
        order = 0
        for customer in range(customers):
            taste = generator.dirichlet(np.full(len(SHELVES), 0.7))
            weight = np.array([taste[list(SHELVES).index(shelf)] + 0.02 for shelf, _ in shelf_of])
            when = BEGIN + datetime.timedelta(days=float(generator.uniform(0, 60)))
            for _ in range(int(generator.integers(4, 14))):
                order, when = order + 1, when + datetime.timedelta(days=float(generator.exponential(9.0)))
                for place in generator.choice(
                    len(shelf_of), int(generator.integers(1, 6)), replace=False, p=weight / weight.sum()
                ):
                    shelf, name = shelf_of[place]
                    number = int(generator.integers(1, 5)) if generator.random() > 0.02 else -1
                    writer.writerow(
                        [order, f"C-{customer:03d}", f"SKU{place:03d}", name, shelf, number, f"{when:%d.%m.%Y %H:%M}"]
                    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    folder.mkdir(parents=True, exist_ok=True)
    write_books(folder / "books.csv")
    write_groceries(folder / "groceries.csv")
    print(folder / "books.csv", folder / "groceries.csv")
