"""Secrets of several lines: (the whole text, what must be gone). Every value is invented."""

from __future__ import annotations

from tests.unit.core.text.made_up import ALPHANUMERIC, HEX, PEM_HEAD, PEM_TAIL, b64, made

_KEY_LINES = [made(64, ALPHANUMERIC + "+/", f"pem{number}") for number in range(4)]
SEVERAL_LINES = [
    ("passwords:\n  - listPw57\n  - listPw58\nuser: bob", "listPw58"),
    (
        "token\n  eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0\n  " + made(12, seed="half") + "." + made(30, seed="wrapped"),
        made(30, seed="wrapped"),
    ),
    ("AWS_SECRET_ACCESS_KEY=" + made(20, seed="first") + "\\\n" + made(20, seed="second"), made(20, seed="second")),
    ("\n".join((PEM_HEAD.format("RSA "), *_KEY_LINES, PEM_TAIL.format("RSA "))), _KEY_LINES[2]),
    ("\n".join((PEM_HEAD.format("OPENSSH "), *_KEY_LINES, PEM_TAIL.format("OPENSSH "))), _KEY_LINES[0]),
    (
        "\n".join((PEM_HEAD.format("ENCRYPTED COSIGN "), *_KEY_LINES, PEM_TAIL.format("ENCRYPTED COSIGN "))),
        _KEY_LINES[0],
    ),
    ('{"private_key": "' + "\\n".join((PEM_HEAD.format(""), *_KEY_LINES, PEM_TAIL.format(""))) + '"}', _KEY_LINES[1]),
    (
        "\n".join(("PuTTY-User-Key-File-3: ssh-rsa", "Private-Lines: 3", *_KEY_LINES[:3], "Private-MAC: 00")),
        _KEY_LINES[1],
    ),
    (
        "Password for the elastic user (reset with `bin/reset`):\n  " + made(20, seed="elastic"),
        made(20, seed="elastic"),
    ),
    ("Please use the following password to proceed:\n\n" + made(32, HEX, "jenkins"), made(32, HEX, "jenkins")),
    ("db:\n  password: |\n    block-Pw33\n  user: bob", "block-Pw33"),
    ("web | db:\nweb |   - dbPassword: >-\nweb |       folded-Pw34\nweb |     user: bob", "folded-Pw34"),
    ("password = <<EOF\nhere-Pw35\nEOF", "here-Pw35"),
    ('variable "db_password" {\n  type = string\n  default = "hclPw36"\n}', "hclPw36"),
    ('"db_password": {\n  "sensitive": true,\n  "value": "terraformPw37"\n}', "terraformPw37"),
    ("- name: DB_PASSWORD\n  value: kubeYaml1", "kubeYaml1"),
    ('    "name": "API_TOKEN",\n    "value": "kubeJson1"', "kubeJson1"),
    ("tls.key: " + b64(PEM_HEAD.format("RSA ") + made(300))[:76] + "\n" + "\n".join(_KEY_LINES), _KEY_LINES[3]),
]
