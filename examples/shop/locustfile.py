"""The shop's workload for those who use Locust:

    go run -C examples ./shop serve -variant after
    pip install locust
    locust -f examples/shop/locustfile.py --host http://127.0.0.1:8080

Locust is a closed loop: each of its users waits for an answer before the next question, so
a server that stands still is asked less, and that does not show in its percentiles. The
command `go run -C examples ./shop load` counts from the moment an action was due.
"""
import random

from locust import HttpUser, constant, task

PRODUCTS, CATEGORIES, CONSUMERS = 2400, 50, 200
PHONE = "id,name,price,rating"  # what a phone shows in lists and on the home screen


def zipf(n, s):
    return [1 / (rank + 1) ** s for rank in range(n)]


POPULAR = zipf(PRODUCTS, 1.0)
BROWSED = zipf(CATEGORIES, 0.8)


def product():
    rank = random.choices(range(PRODUCTS), POPULAR)[0]
    return 1 + rank * 7919 % PRODUCTS


def category():
    return random.choices(range(CATEGORIES), BROWSED)[0]


class Shopper(HttpUser):
    wait_time = constant(0)

    def on_start(self):
        self.client.headers["X-Api-Key"] = f"consumer-{random.randrange(CONSUMERS):03d}"

    @task(55)
    def detail(self):
        self.client.get(f"/products/{product()}", name="/products/{id}")

    @task(20)
    def list(self):
        page = random.choice([0, 0, 0, 1])
        self.client.get(f"/categories/{category()}/products?page={page}&fields={PHONE}", name="/categories/{id}/products")

    @task(5)
    def top(self):
        self.client.get(f"/categories/{category()}/top", name="/categories/{id}/top")

    @task(10)
    def home(self):
        for _ in range(10):
            self.client.get(f"/products/{product()}?fields={PHONE}", name="/products/{id} (home)")

    @task(2)
    def price(self):
        self.client.put(f"/products/{product()}/price", data=str(random.randrange(100, 50100)), name="/products/{id}/price")

    @task(8)
    def order(self):
        self.client.post("/orders", data=str(product()), name="/orders")
