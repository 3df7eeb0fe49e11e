"""Which addresses of the network a stranger may have us speak to: those of the public internet, and no other. Pure.

`ipaddress.is_global` is not enough: it passes multicast, and IPv6 addresses that carry an IPv4 address inside (NAT64,
6to4, Teredo, `::a.b.c.d`), behind which anything may stand.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_UNICAST = IPv6Network("2000::/3")
"""All that is assigned to the public internet of today."""
_REFUSED = tuple(
    ip_network(text)
    for text in (
        "192.88.99.0/24",  # 6to4 relays
        "2001::/23",  # Teredo, benchmarks, ORCHID and other protocols
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_public(text: str) -> bool:
    """Tell whether an address belongs to the public internet. What is no address does not."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and (address not in _UNICAST or address.scope_id is not None):
        return False
    if isinstance(address, IPv4Address) and (address.is_multicast or address.is_reserved):
        return False
    return address.is_global and not any(address in net for net in _REFUSED if net.version == address.version)
