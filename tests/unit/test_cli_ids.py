"""Ids as people type them on the command line."""

from __future__ import annotations

import pytest

from zuji.engine.errors import InvalidInput
from zuji.server.cli.ids import device, id_type, person


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("user_id", "user_id"),
        ("device_id", "device_id"),
        ("mobile", "$identity_mobile"),
        ("bank.cif-2", "$identity_bank.cif-2"),
        ("$identity_mobile", "$identity_mobile"),
        ("$identity_été", "$identity_été"),
    ],
)
def test_types_go_by_their_short_name(said, meant):
    assert id_type(said) == meant


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("user", "mean user_id"),
        ("User-ID", "mean user_id"),
        ("userid", "mean user_id"),
        ("device", "mean device_id"),
        ("", "type of id"),
        ("138", "type of id"),
        ("a b", "type of id"),
        ("$mobile", "type of id"),
    ],
)
def test_what_is_nearly_a_type_is_not_taken_for_another(said, told):
    with pytest.raises(InvalidInput, match=told):
        id_type(said)


def test_a_person_is_a_type_and_an_id():
    assert person("mobile=138=9") == {"$identity_mobile": "138=9"}
    assert person("user_id=ann") == {"user_id": "ann"}
    with pytest.raises(InvalidInput, match="TYPE=ID"):
        person("138")


def test_a_device_is_one_or_a_typed_id():
    assert device("a=b", "") == "a=b"
    assert device("phone", "device_id") == "phone"
    assert device("138", "mobile") == "$identity_mobile+138"
    with pytest.raises(InvalidInput, match="customer"):
        device("ann", "user_id")
