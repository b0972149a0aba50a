"""Ask a running service by its Python client: python examples/ask_the_service.py http://localhost:8000 7

Needs the extra ``serve``. A token, where the service wants one, comes from the environment variable TRACKREC_TOKEN.
"""

import os
import sys

from trackrec.serving.client import Client, ServiceError

address, person = sys.argv[1:3]
client = Client(address, token=os.environ.get("TRACKREC_TOKEN"))
try:
    told = client.user(person)
except ServiceError as refused:  # 404: nobody of that id; 410: too old a text; 503: no store
    sys.exit(f"{refused}")
print(told.text)
for sentence in told.sentences:
    print(f"  {sentence.verdict}: {sentence.text} {sentence.events}")

vector = client.vectors([person]).vectors[0].vector  # for a ranker of your own; None: there is none
print("vector:", None if vector is None else [round(number, 3) for number in vector])

last = [event.model_dump(include={"item_id", "rating"}) for event in told.history[-3:]]
ranked = client.rank(person, events=last, top=3)  # events as they are now; candidates: popular items if not given
for item in ranked.items:
    reasons = client.why(person, item.item_id).reasons
    print(f"{item.title}: {item.probability:.2f}, without the text {item.without_text:.2f}; {len(reasons)} reasons")
client.close()
