"""Hosts, URLs and addresses, as strangers and attackers write them."""

PUBLIC, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
EVERYTHING = [
    *("e.com", "*.e.com", "http://e.com", "http://*.e.com", PUBLIC, f"[{PUBLIC_6}]"),
    *("internal:http://media.internal", "internal:http://media.internal:8000"),
]
"""A list that leaves as much open as one can."""
MISSPELLED = [
    "https://user:secret@e.com/",
    "https://e.com:secret@127.0.0.1/",
    "https://secret@e.com@127.0.0.1/",
    "https://e.com\\@127.0.0.1/?secret",
    "https:\\\\e.com/secret",
    "https://e.com\t/secret",
    "https://e.com/a\r\nHost: secret",
    " https://e.com/secret",
    "https://e.com/\x00secret",
    "https://e.com/\u202esecret",
    "https://e.com/\ud800secret",
    "https://e.com%2f.secret.com/",
    "https://e%2ecom/secret",
    "https:///e.com/secret",
    "https:/e.com/secret",
    "https:e.com/secret",
    "//e.com/secret",
    "e.com/secret",
    "file:///etc/secret",
    "ftp://e.com/secret",
    "gopher://e.com/secret",
    "data:image/png;base64,secret",
    "https://e.com:/secret",
    "https://e.com:0/secret",
    "https://e.com:65536/secret",
    "https://e.com:443:80/secret",
    "https://e.com:\u0664\u0664\u0663/secret",
    "https://e..com/secret",
    "https://e.com../secret",
    "https://-e.com/secret",
    f"https://{'a' * 64}.com/secret",
    f"https://{'a.' * 130}com/secret",
    "https://a\u2260b.com/secret" + "x" * 9000,
    "https://0x7f000001/secret",
    "https://2130706433/secret",
    "https://0177.0.0.1/secret",
    "https://127.1/secret",
    "https://127.0.0.0x1/secret",
    "https://\uff11\uff12\uff17.1/secret",
    "https://e.com.127/secret",
    "https://256.1.1.1/secret",
    "https://[e.com]/secret",
    "https://[::1%25lo]/secret",
    "https://[::1]e.com/secret",
    "https://::1/secret",
    "https://[::127.1]/secret",
]
"""URLs that programs read differently; all of them say `secret` somewhere."""
LITERALS = [
    "https://127.0.0.1/",
    "https://\u2460\u2461\u2466.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:127.0.0.1]/",
    "https://[64:ff9b::7f00:1]/",
    "https://0.0.0.0/",
    "http://169.254.169.254/latest/meta-data",
    "https://localhost/",
    "https://metadata.google.internal/",
]
"""URLs of addresses and names that nobody listed."""
PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "100.64.0.1", "169.254.169.254"),
    *("0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.0.1", "198.18.0.1", "240.0.0.1"),  # noqa: S104 - never bound
    *("192.0.2.1", "192.88.99.1", "100.100.100.200", "168.63.129.16", "239.255.255.250"),
    *("::", "::1", "::ffff:127.0.0.1", "::ffff:9.9.9.9", "::127.0.0.1", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001::1"),
    *("2001:db8::1", "3fff::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1"),
    *("fec0::1", "100::1", f"{PUBLIC_6}%eth0", "localhost", "2130706433", "0177.0.0.1", ""),
]
"""Addresses that no public host may have."""
OWN = ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "100.64.0.1", "::1", "fc00::1"]
"""Those of them that an internal host may have."""
