"""Lists words that help to decide whether a text is a secret, or only a name or an ordinary sentence."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# `primary key` and `cache key` are not secret: a key counts by the word before it.
BEFORE_KEY = _words(
    """
    enc cookie wg wireguard
    api access private secret encrypt encryption signing master auth account session license shared app application
    fernet jwt hmac crypt crypto cipher aes rsa ssh root unseal recovery deploy sas write ingest consumer client
    storage admin service integration webhook subscription bearer seal data hash
    functions function sentry ingestion instrumentation
    """
)
# `dbpass`, `rootpass`.
BEFORE_PASS = _words(
    "require master key store root db sql pg postgres mongo redis rabbit mqtt smtp mail imap ftp ldap bind rpc vpn wifi"
    " admin ssh sftp"
)
# The last word of a name that makes it harmless: where a secret is, how long it lives, how many there are.
HARMLESS = frozenset(
    _words(
        """
        file files path paths dir directory count limit name names type types ttl length timeout expiry expires in at
        expiration endpoint policy enabled required ref refs reference url uri host port version versions arn store
        manager provider providers header audience issuer lifetime age size bucket algorithm alg format prefix suffix
        min max status state used budget rate strategy method mode class field param parameter source hint label scope
        scopes namespace usage validity duration interval rotation attempts retries strength complexity reset changed
        updated created engine backend driver volume mount key_name index kind template validation validator rules
        selector option options plugin request requests error errors response seconds second minutes days hours ms per
        limiter bytes chars characters reader writer stdin prompt history review reviewer owner group helper
        encoder decoder encryption filter handler service repository controller config configuration env cmd command
        """
    )
)
# `next_token`, `eos_token`: words before `token` that make it a place in a list or a part of a text.
NOT_A_TOKEN = _words(
    """
    next page continuation sync resume cancellation stop eos bos pad unk mask special max min total num prompt
    completion input output generated cached reasoning remaining csrftoken partition
    """
)
# How a sentence about a secret continues: `the password is required`, `password: must contain a digit`.
WORDS_AFTER_SECRET = frozenset(
    _words(
        """
        a an the not no now too only in at on to of for by with being about required requires invalid incorrect wrong
        missing empty weak expired expiring set unset stored hashed encrypted read used correct valid needed optional
        disabled enabled generated shown masked hidden deprecated printed available unknown ok okay fine unchanged
        changed reset null none undefined blank mandatory visible protected longer shorter default rotated revoked
        renewed refreshed denied rejected accepted failed failure timeout unauthorized forbidden error updated created
        deleted removed found mounted injected loaded provided given sent received configured managed inherited ignored
        skipped never always already still also just same different unique long short strong good bad safe unsafe
        compromised leaked exposed redacted obfuscated blocked locked unlocked supported unsupported possible impossible
        allowed prohibited permanent temporary public private secret it this that what which where when how yes true
        false authentication authorization validation verification connection permission permissions access reading
        parsing decoding open must should may can cannot could will would least minimum maximum between exactly more
        less up over under within after before until from per and or but if as is was are were has have had does did do
        be been password string str int any object
        """
    )
)
