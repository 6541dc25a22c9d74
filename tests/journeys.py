"""A spec with every feature of the event alone, and payments for it.

Categories, coordinates and a date of birth, in a time zone where days begin early.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from worker.features import Spec

#: 2024-02-28T21:00:00Z, which in Auckland is the morning of the 29th.
START_MS = 1_709_154_000_000

TOML = """
format = 1
name = "journeys"
allowed_lateness = "20s"
max_ahead = "5m"
time_zone = "Pacific/Auckland"
[event]
transaction_id = "id"
event_time = "time"
[[entity]]
name = "card"
key = "card"
[[field]]
name = "id"
type = "text"
[[field]]
name = "time"
type = "time"
[[field]]
name = "card"
type = "text"
[[field]]
name = "category"
type = "text"
required = false
[[field]]
name = "code"
type = "integer"
required = false
[[field]]
name = "born"
type = "date"
required = false
[[field]]
name = "home_lat"
type = "decimal"
decimals = 4
minimum = -90
maximum = 90
[[field]]
name = "home_long"
type = "decimal"
decimals = 4
minimum = -180
maximum = 180
[[field]]
name = "shop_lat"
type = "decimal"
decimals = 4
required = false
minimum = -90
maximum = 90
[[field]]
name = "shop_long"
type = "decimal"
decimals = 4
required = false
minimum = -180
maximum = 180
[[feature]]
name = "category"
category = "category"
max_values = 3
[[feature]]
name = "merchant_code"
category = "code"
[[feature]]
name = "age"
age = "born"
[[feature]]
name = "is_minor"
condition = "age"
below = 18
[[feature]]
name = "day_of_month"
calendar = "day_of_month"
[[feature]]
name = "kilometres"
distance = [["home_lat", "home_long"], ["shop_lat", "shop_long"]]
decimals = 1
[[feature]]
name = "kilometres_mean"
entity = "card"
statistic = "mean"
of = "kilometres"
windows = ["10s", "60s"]
[[feature]]
name = "kilometres_max"
entity = "card"
statistic = "max"
of = "kilometres"
window = "60s"
[[feature]]
name = "categories"
entity = "card"
statistic = "distinct"
of = "category"
window = "60s"
[[feature]]
name = "minor_count"
entity = "card"
statistic = "count"
where = "is_minor"
window = "60s"
[[feature]]
name = "detour"
ratio = ["kilometres", "kilometres_mean_60s"]
decimals = 2
"""

#: The same with a second entity, whose windows look at what the first stage hands on.
TWO_ENTITIES = (
    TOML.replace(
        '[[field]]\nname = "id"',
        """[[entity]]
name = "shop"
key = "shop"
[[field]]
name = "shop"
type = "text"
[[field]]
name = "id\"""",
        1,
    )
    + """
[[feature]]
name = "shop_kilometres_mean"
entity = "shop"
statistic = "mean"
of = "kilometres"
window = "60s"
[[feature]]
name = "shop_categories"
entity = "shop"
statistic = "distinct"
of = "category"
window = "60s"
"""
)

VOCABULARIES = {"category": ["food", "café", ""], "merchant_code": ["5411", "-7"]}

#: Places in units of 1e-4 degrees: cities, poles, and where longitudes change sign.
PLACES = [
    (508503, 43517),
    (-368485, 1747633),
    (-177134, -1780650),
    (900000, 0),
    (-900000, 1800000),
    (0, -1800000),
    (508504, 43517),
]


def journeys() -> Spec:
    """Return the spec with its vocabularies."""
    return Spec.from_toml(TOML).with_vocabularies(VOCABULARIES)


@st.composite
def payments(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Payments as JSON has them, mostly in order; what is missing is left out."""
    rows: list[dict[str, Any]] = []
    now_ms = START_MS
    for i in range(draw(st.integers(0, 25))):
        now_ms += draw(st.sampled_from([0, 1000, 5000, 30_000, 43_200_000]))
        home, shop = (draw(st.sampled_from([*PLACES, None])) for _ in range(2))
        home = home or PLACES[0]
        row = {
            "id": str(i),
            "time": now_ms - draw(st.sampled_from([0, 0, 0, 3000, 90_000])),
            "card": draw(st.sampled_from(["a", "b"])),
            "category": draw(st.sampled_from(["food", "café", "", "fuel", None])),
            "code": draw(st.sampled_from([5411, -7, 0, None])),
            "born": draw(st.sampled_from(["2004-02-29", "2010-03-01", None]))
            or draw(st.none() | st.dates().map(str)),
            "home_lat": home[0] / 10_000,
            "home_long": home[1] / 10_000,
            "shop_lat": shop and shop[0] / 10_000,
            "shop_long": shop and shop[1] / 10_000,
        }
        rows.append({name: value for name, value in row.items() if value is not None})
    return rows
