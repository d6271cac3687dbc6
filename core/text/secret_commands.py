"""Masks secrets in command lines and configuration files of programs: after flags, in SQL, in `.netrc` and `.pgpass`.

Every quantifier is bounded or possessive, and no match starts inside what an earlier start has read, so a line costs
linear time.
"""

from __future__ import annotations

import re

from core.text import secret_words
from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later
from core.text.secret_pattern import OPENING_SIGNS, SecretPattern, by_regex

_GAP = r"[\s\"',=\]]{1,4}"
_BETWEEN = r"[^\n|;&]{0,240}?"
# A quote before the value belongs to the gap.
_VALUE = r"(?:(?<=\")[^\"\n]{1,512}+|(?<=')[^'\n]{1,512}+|\"[^\"\n]{1,512}+\"?|'[^'\n]{1,512}+'?|[^\s\"',\]]++)"
# (programs, the flag up to the secret): after such a program a short flag is a password, elsewhere it is a port.
_PROGRAMS = (
    (r"mysql\w{0,8}|mariadb[\w-]{0,12}|xtrabackup"
     r"|mydumper|mycli", r"-p(?=[\"']?[^\s\"',\]])(?!assword\b|rotocol\b|ort\b|ager\b)"),
    (r"redis-(?:cli|benchmark)|valkey-(?:cli|benchmark)"
     r"|keydb-cli", rf"(?:-a|--pass|--user[ \t]\S{{1,64}}[ \t]--pass){_GAP}"),
    (r"(?:docker|podman|nerdctl|buildah|skopeo|crane|oras|helm|regctl|az|oc|ibmcloud|bw"
     r"|cf)\b(?>[^\n|;]{0,60}?\blogin)", rf"-p{_GAP}"),
    (r"sshpass|plink|pscp|psftp|mongo(?:sh|dump|restore|export|import|top|stat)?|cqlsh|influx|sqlcmd|bcp|zip|unzip"
     r"|7za?|useradd"
     r"|usermod|cypher-shell|kinit|smbpasswd|tsql|isql|impacket\S{0,20}|net-snmp", rf"-(?:p|pw|P){_GAP}"),
    (r"(?i:psexec)(?:64|\.py)?|paexec|winexe|wmiexec\S{0,4}|winrs|evil-winrm|crackmapexec|netexec|nxc|hydra|medusa"
     r"|supervisorctl|twine|expo|altool|notarytool|signtool"
     r"|security[ \t](?:unlock|create|import|set|add)\S{0,32}", rf"[-/]p(?:{_GAP}|:)"),
    (r"mqtt", rf"-pw{_GAP}"),
    (r"sshpass|7za?|unrar|rar|mongo(?:sh|dump|restore|export|import)?"
     , r"-(?:p|hp)(?=[\"']?[^\s\"',\]-])(?!assword\b|ort\b)"),
    (r"security[ \t]add\S{0,32}", rf"-w{_GAP}"),
    (r"snmp(?:walk|get|getnext|bulkwalk|bulkget|set|trap|inform|table|df|status|translate|delta)"
     , rf"-(?:c|A|X){_GAP}"),
    (r"snmp(?:walk|get|getnext|bulkwalk|bulkget|set|trap|inform)", r"-c(?=[\"']?[^\s\"',\]-])"),
    (r"gh[ \t]secret[ \t]set", rf"(?:-b|--body){_GAP}"),
    (r"ngrok", r"(?:add-)?authtoken[ \t](?!-)"),
    (r"netlify", rf"--auth{_GAP}"),
    (r"ldap(?:search|modify|add|delete|passwd|whoami)|rabbitmqadmin", rf"-(?:w|p){_GAP}"),
    (r"ldap(?:search|modify|add|delete|passwd|whoami)", r"-w(?=[\"']?[^\s\"',\]-])"),
    (r"ldappasswd", rf"-(?:s|a){_GAP}"),
    (r"lftp|open", rf"-u{_GAP}[^\s,\"']{{1,128}},"),
    (r"(?:curl|http|https|xh|wget|lftp|smbclient"
     r"|rpcclient|aria2c|etcdctl)", rf"(?:-u|--user|-U|--proxy-user|-a|--auth){_GAP}[^\s:%\"',]{{0,128}}[:%]"),
    (r"openssl|keytool|jarsigner|apksigner", rf"-(?:pass(?:in|out)?|k|K|storepass|keypass|srcstorepass"
                                             rf"|deststorepass){_GAP}(?:pass:)?"),
    (r"mosquitto_(?:pub|sub|rr)|ipmitool", rf"-P{_GAP}"),
    (r"ipmitool", r"-P(?=[\"']?[^\s\"',\]-])"),
    (r"swaks|send[eE]mail", rf"-(?:ap|xp){_GAP}"),
    (r"skopeo|podman|buildah|oras|crictl|ctr|nerdctl", rf"--(?:src-|dest-)?creds{_GAP}[^\s:\"',]{{0,128}}:"),
    (r"ctr[ \t](?>[^\n|;]{0,60}?\b(?:pull|push))", rf"(?:-u|--user){_GAP}[^\s:\"',]{{0,128}}:"),
    (r"crictl[ \t](?>[^\n|;]{0,60}?\bpull)", rf"--auth{_GAP}"),
    (r"redis-(?:cli)|valkey-(?:cli)", r"(?:AUTH|auth)[\"']?[ \t,][ \t\"']{0,3}(?:default[ \t])?"
     r"(?![a-z]{2,20}(?:\s|$))"),
    (r"caddy[ \t]hash-password", rf"(?:--plaintext|-p){_GAP}"),
    (r"nmcli|iwconfig|iw", r"(?:password|wifi-sec\.psk|psk|wep-key\d?|key)[ \t](?!on\b|off\b|open\b|restricted\b)"),
    (r"rclone[ \t]config[ \t](?:create|update|password)"
     , r"(?:pass(?:word)?2?|secret_access_key|client_secret|token|key)[ \t](?!-)"),
    (r"gcloud", r"activate-refresh-token[ \t]\S{1,128}[ \t]"),
    (r"composer[ \t](?:global[ \t])?config"
     , r"http-basic\.\S{1,200}[ \t]\S{1,64}[ \t]|(?:bearer|[a-z]{1,20}-(?:oauth|token))\.\S{1,200}[ \t]"),
    (r"(?:npm|yarn|pnpm)[ \t]config[ \t]set", r"\S{0,200}_(?:authToken|auth|password)[\"']?[ \t=]"),
    (r"mkpasswd", r"(?:-m|--method)[ \t=][\w-]{1,20}[ \t](?!-)"),
    (r"htpasswd|mosquitto_passwd", r"-[A-Za-z]{0,4}b[A-Za-z]{0,4}[ \t]\S{1,200}[ \t]\S{1,64}[ \t]"),
    (r"htpasswd", r"-[A-Za-z]{0,4}n[A-Za-z]{0,4}b[A-Za-z]{0,4}[ \t]\S{1,64}[ \t]"),
    (r"rabbitmqctl", r"(?:add_user|change_password|authenticate_user)[ \t]\S{1,64}[ \t]"),
    (r"mc|mcli", r"(?:alias[ \t]set|config[ \t]host[ \t]add)[ \t]\S{1,64}[ \t]\S{1,200}[ \t]\S{3,128}[ \t]"),
    (r"vault", r"login[ \t](?!-)"),
    (r"xfreerdp\d?|wfreerdp|rdesktop", r"(?:/p:|/pass:|-p[ \t])"),
    (r"aws", r"configure[ \t]set[ \t](?:aws_secret_access_key|aws_session_token)[ \t]"),
    (r"mysqladmin|mariadb-admin", r"\bpassword[ \t]"),
)  # fmt: skip
_PROGRAM = tuple(
    compile_later(rf"((?<![\w-])(?:{programs})(?:\.exe)?\b(?=[\s\"',]){_BETWEEN}(?<=[\s\"',])(?:{flag}))({_VALUE})")
    for programs, flag in _PROGRAMS
)
# fmt: off
_PROGRAM_HINTS = (
    "mysql mariadb xtrabackup mydumper mycli", "redis- valkey- keydb-", "login",
    "sshpass plink pscp psftp mongo cqlsh influx sqlcmd bcp zip 7z useradd usermod kin"
    "it cypher-shell smbpasswd tsql isql snmp impacket",
    "psexec paexec winexe wmiexec winrs evil-winrm crackmapexec netexec nxc hydra medusa supervisorctl twine"
    " security expo altool notarytool signtool",
    "mqtt",
    "sshpass 7z rar mongo", "security add", "snmp", "snmp", "gh secret", "ngrok", "netlify",
    "ldapsearch ldapmodify ldapadd ldapdelete ldappasswd ldapwhoami rabbitmqadmin",
    "ldap", "ldappasswd", "-u",
    "curl http xh "
    "wget lftp smbclient rpcclient aria2c etcdctl",
    "openssl keytool signer", "mosquitto_ ipmitool",
    "ipmitool", "swaks sendemail", "creds", "ctr", "crictl", "redis- valkey-", "caddy", "nmcli iwconfig iw",
    "rclone", "gcloud", "composer", "config set", "mkpasswd",
    "htpasswd mosquitto_passwd", "htpasswd", "rabbitmqctl",
    "alias host", "vault", "freerdp rdesktop", "configure", "mysqladmin mariadb-admin",
)
# fmt: on
_COOKIE = compile_later(
    rf"((?<![\w-])(?:curl|https?|xh|wget)\b{_BETWEEN}[ \t](?:-b|--cookie)[ \t=][\"']?[^\s=\"']{{1,64}}=)[^\s\"';]++"
)
_PULUMI = compile_later(
    rf"(\bpulumi\b{_BETWEEN}\bset\b{_BETWEEN}--secret[ \t](?:--[\w-]{{1,30}}[ \t])?[^\s-]\S{{0,64}}[ \t])[^\s-]\S*+"
)
# Programs that read a password from their input.
_READERS = (
    r"\b(?:chpasswd|cryptsetup|kinit|vncpasswd|smbpasswd|argon2|mkpasswd|pass[ \t]insert|op[ \t]signin"
    r"|ecryptfs\S{0,20}|passwd|(?:docker|podman|gh|wrangler)[ \t]secret[ \t](?:create|put|set))\b"
)
_HERE = compile_later(
    rf"((?:\bsudo\b[^\n|;&]{{0,80}}?-S\b|{_READERS}|--with-token\b|-stdin\b)[^\n|;&]{{0,80}}?<<<[ \t]?[\"']?"
    r"(?![\w.-]{1,64}:•)(?:[\w.-]{1,64}:)?)[^\s\"'•]++"
)
# What is piped into a program that reads a password.
_PIPED = compile_later(
    r"(\b(?:echo|printf)[ \t]{1,4}(?:-\w{1,3}[ \t]{1,4}|[\"']?%s(?:\\n)?[\"']?[ \t]{1,4})?)(?![\"']?\$)"
    rf"{_VALUE}(?=[ \t]{{0,4}}\|[^\n|;&]{{0,160}}?(?:-stdin\b|sudo[ \t][^\n|;&]{{0,80}}?-S\b|--with-token\b"
    rf"|--passphrase-fd\b|{_READERS}))"
)
_KEYGEN = compile_later(
    rf"(\bssh-keygen\b{_BETWEEN}[ \t]-[NP][ \t])({_VALUE})|(\bopenssl passwd(?:[ \t]-["
    rf"\w-]{{1,12}}){{0,4}}[ \t])[^\s-]\S*+"
)
_CHPASSWD = compile_later(
    r"(\becho[ \t]{1,4}(?:-\w{1,3}[ \t])?[\"']?[\w.-]{1,64}:)[^\s\"'|]{1,256}+(?=[\"']?[ \t]{0,4}\|[ \t]{0,4}"
    r"(?:sudo[ \t])?chpasswd)"
)
_FLAG = compile_later(
    r"(?<![\w-])(--?(?:[A-Za-z0-9]{1,20}[-_.]){0,4}(?i:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?"
    r"|requirepass|masterauth"
    r"|(?:api|access|private|secret|encryption|signing|master|auth|account|license|shared|certificate|app)[-_]?key"
    r"|(?:auth|bearer|access|api|id|refresh)token|bearer)"
    r"(?:[-_](?:[A-Za-z0-9]{1,16}))?"
    r"[\"']?(?:[ \t]{1,4}|[ \t]{0,2},[ \t]{0,2}))(?P<value>\"[^\"]*+\"?|'[^']*+'?|[^\s-][^\s\"']*+)"
)
_DIRECTIVE = compile_later(
    rf"((?:^|[\s{OPENING_SIGNS}])(?:requirepass|masterauth|bindpw|rootpw|sentinel[ \t]auth-pass[ \t]\S{{1,64}})[\"']?"
    r"[ \t,]{1,4})(?!\"\"|''|$|is\b|was\b|directive|option|\()"
    r"(?:(?P<quote>\\{0,7}[\"'])(?:(?!(?P=quote))[^\n])++(?P=quote)?"
    r"|[^\s\"\\]++)",
    re.IGNORECASE,
)
# Of an access list of Redis: `user default on >password ~* +@all`.
_REDIS_ACL = compile_later(
    r"(\b(?:set)?user[ \t]\S{1,64}[ \t](?:on|off)(?:[ \t][^\s>]\S{0,64}){0,8}[ \t]>)[^\s\"']{3,512}+", re.IGNORECASE
)
# `-u 'user:a b'`: the quote is opened before the name.
_QUOTED_USER = compile_later(
    rf"((?<![\w-])(?:curl|https?|xh|wget|lftp)\b{_BETWEEN}[ \t](?:-u|--user|--proxy-user|-a|--auth)[ \t=]"
    rf"([\"'])[^:\"']{{0,128}}:)"
    r"(?:(?!\2)[^\n]){1,512}+"
)
_SQL = compile_later(
    r"(\b(?:identified[ \t](?:(?:with|via)[ \t]['\"\w]{1,40}[ \t])?(?:by(?:[ \t]password)?|as|using)|set[ \t]"
    r"password[ \t]for[ \t][^=\n]{1,80}(?==)|password|password_hash|aws_secret_access_key|credentials)[ \t]{0,4}"
    r"(?:(?<=[ \t])|(?==))(?:=[ \t]{0,4})?)(?:'(?:[^'\\]|\\.)*+'?|\"(?:[^\"\\]|\\.)*+\"?|\\[\"'][^\"'\\]*+)",
    re.IGNORECASE,
)
_NETRC = compile_later(
    r"((?:\bmachine[ \t]\S{1,200}[ \t]|\bdefault[ \t]|^[ \t]*)login[ \t]\S{1,128}[ \t]{1,4}password[ \t]{1,4})\S++"
)
_PGPASS = compile_later(
    rf"((?:^|(?<=[\s{OPENING_SIGNS}]))"
    r"(?:[\w.*-]{1,253}|\[[0-9a-f:]{2,40}\]):(?:[0-9]{4,5}|\*):(?:[A-Za-z_][\w-]{0,62}|\*):"
    r"(?:[A-Za-z_][\w.@-]{0,62}|\*):)[^\s\"']++(?=[\s\"']|$)"
)


def _find_pgpass(line: str) -> str:
    return _PGPASS.sub(rf"\1{MASK}", line) if line.count(":") >= 4 else line


def _mask_flag(match: re.Match[str]) -> str:
    flag, value = match[1], match["value"]
    if (
        re.split(r"[-_.]", flag.strip("\"' ,\t").lower())[-1] in secret_words.HARMLESS
        or value.lower().strip("\"',]") in ("", "true", "false", "yes", "no", "none", "stdin")
        or value.startswith(("$", "|", ">", "<"))
    ):
        return match[0]
    closing = value[-1] if value[:1] not in "\"'" and value[-1] in ",]" else ""
    return f"{flag}{MASK}{closing}"


PATTERNS = (
    *(by_regex(hints, pattern, rf"\1{MASK}") for hints, pattern in zip(_PROGRAM_HINTS, _PROGRAM, strict=True)),
    by_regex("curl http xh wget lftp", _QUOTED_USER, rf"\1{MASK}"),
    by_regex("-b --cookie", _COOKIE, rf"\1{MASK}"),
    by_regex("pulumi", _PULUMI, rf"\1{MASK}"),
    by_regex(
        "-stdin sudo --with-token --passphrase-fd cryptsetup kinit passwd argon2 insert signin ecryptfs secret",
        _PIPED,
        rf"\1{MASK}",
    ),
    by_regex("<<<", _HERE, rf"\1{MASK}"),
    by_regex("ssh-keygen passwd", _KEYGEN, lambda match: f"{match[1] or match[3]}{MASK}"),
    by_regex("chpasswd", _CHPASSWD, rf"\1{MASK}"),
    by_regex("pass pwd secret token credential key masterauth bearer", _FLAG, _mask_flag),
    by_regex("requirepass masterauth auth-pass bindpw rootpw", _DIRECTIVE, rf"\1{MASK}"),
    by_regex("identified password aws_secret_access_key credentials", _SQL, rf"\1'{MASK}'"),
    by_regex("user", _REDIS_ACL, rf"\1{MASK}"),
    by_regex("login", _NETRC, rf"\1{MASK}"),
    SecretPattern(hints=(":",), find=_find_pgpass),
)
