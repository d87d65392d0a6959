"""Identities of Sensors' SDKs as the collector takes them: a project's own key of its customers,
ids of other kinds, and unbinding.
"""

from __future__ import annotations

import time

import pytest
from sensorsanalytics import sdk
from sensorsanalytics.sdk import SensorsAnalytics, SensorsAnalyticsIdentity

from tests.serving import running

CIF = SensorsAnalyticsIdentity("$identity_bank_cif", "c1")
MOBILE = SensorsAnalyticsIdentity(SensorsAnalyticsIdentity.MOBILE, "138")
COOKIE = SensorsAnalyticsIdentity("$identity_cookie_id", "k1")


@pytest.fixture
def bank(tmp_path):
    """A collector where the bank's number of a customer is the customer's id."""
    yield from running(tmp_path, "--set", "sensors_login_keys=$identity_bank_cif")


def sdk_for(live):
    address = f"{live.url}/sa?project=production&token={live.key}"
    return SensorsAnalytics(sdk.DefaultConsumer(address), enable_time_free=True)


def ids(row):
    return row["event"], row.get("user_id"), row.get("device_id"), row.get("distinct_id")


def test_a_declared_key_is_the_customer(bank):
    one = sdk_for(bank)
    one.track_by_id("Pay", {"sum": 5}, CIF, COOKIE)
    one.track_by_id("Ask", {}, CIF)
    one.track("$identity_bank_cif+c2", "Old", {})  # an app that only knows the distinct id
    one.profile_set_by_id({"level": "gold"}, CIF)
    one.close()
    assert list(map(ids, bank.events())) == [
        ("Pay", "c1", "k1", None),
        ("Ask", "c1", None, None),
        ("Old", "c2", None, None),
    ]
    assert bank.profiles() == {"c1": {"level": "gold", "$identity_bank_cif": "c1"}}


def test_without_it_the_key_is_part_of_the_id(live):
    one = sdk_for(live)
    one.track_by_id("Ask", {}, CIF)
    one.close()
    assert list(map(ids, live.events())) == [("Ask", None, "$identity_bank_cif+c1", None)]


def test_an_unbind_names_what_is_parted(bank):
    one = sdk_for(bank)
    one.bind(CIF, MOBILE)
    time.sleep(0.002)  # its clock must go on: bound and unbound in one instant is bound
    one.unbind(MOBILE)
    one.close()
    bound, unbound = bank.events()
    assert ids(bound) == ("$BindID", "c1", None, None)
    assert bound["$identity_mobile"] == "138"
    assert ids(unbound) == ("$UnbindID", None, "$identity_mobile+138", None)
